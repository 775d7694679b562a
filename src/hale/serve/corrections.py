"""The reviewed state of a result: the mask as it was drawn, without what was rejected."""

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import nibabel as nib
import numpy as np
from scipy.ndimage import label

from hale.calibration import TWENTY_SIX
from hale.core.errors import Refused
from hale.core.types import Labels
from hale.serve.results import MAPS, Found
from hale.serve.review import MASK, REVIEW, state_of
from hale.serve.volumes import grid_of, opened, read_labels

NEAR = 1e-3
"""Difference of two affines that is rounding, mm."""
MOST = 255
"""Lesions of a mask that is drawn in a browser, a byte a voxel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reviewed:
    """What stands after a review."""

    labels: Labels
    """Lesions that were not rejected, as the file stores its voxels."""
    rejected: Labels
    """The others."""
    state: dict[str, Any]
    """Of `state_of`."""


def reviewed_state(found: Found) -> Reviewed:
    """Return the reviewed mask of a result.

    Raises:
        Refused: It has neither a mask nor a drawn one.
    """
    drawn, automatic = found.folder / REVIEW / MASK, found.folder / MAPS["mask"]
    state = state_of(found.folder)
    if drawn.is_file():
        labels = read_labels(drawn)
    elif automatic.is_file():
        labels = read_labels(automatic)
    else:
        raise Refused(found.id, "has no mask: it is not calibrated", "draw one, then export it")
    gone = rejects(state)
    out = np.zeros(max(1, int(labels.max(initial=0)) + 1), np.int32)
    out[[number for number in gone if number < len(out)]] = 1
    rejected = labels * out[labels]
    return Reviewed(labels=labels - rejected, rejected=rejected, state=state)


def rejects(state: Mapping[str, Any]) -> list[int]:
    """Return the numbers of the lesions that a review rejects."""
    verdicts = {int(n): said["verdict"] for n, said in state["lesions"].items()}
    return [number for number, verdict in verdicts.items() if verdict == "reject"]


def automatic_mask(found: Found) -> Labels:
    """Return the mask as it was found; nothing where there is none."""
    path = found.folder / MAPS["mask"]
    if path.is_file():
        return read_labels(path)
    return np.zeros(grid_of(found.folder / MAPS["anomaly"]).shape, np.int32)


def refuse_other_grid(
    found: Found, affine: Sequence[float] | None, shape: Sequence[int] | None
) -> None:
    """Refuse a mask that was drawn on another grid than the file's; None was not told.

    Args:
        found: The result.
        affine: 16 numbers, row by row, of the grid that was drawn on.
        shape: Its voxels.

    Raises:
        Refused: It is another one: what was drawn would be turned or moved.
    """
    grid = grid_of(found.folder / MAPS["anomaly"])
    if affine is not None and (
        len(affine) != grid.affine.size
        or not np.allclose(np.reshape(affine, (4, 4)), grid.affine, rtol=0, atol=NEAR)
    ):
        why = "was drawn on a grid that lies elsewhere than this result's"
        raise Refused("the mask", why, "load the result again, then draw")
    if shape is not None and tuple(shape) != tuple(grid.shape):
        why = f"is of {' x '.join(map(str, shape))} voxels"
        raise Refused("the mask", why, "load the result again, then draw")


def inflated(body: bytes, voxels: int) -> np.ndarray:
    """Return the bytes of a gzip body: exactly one a voxel.

    Raises:
        Refused: It is no gzip, or of another size.
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        data = unpacker.decompress(body, voxels + 1)
    except zlib.error:
        raise Refused("the mask", "is no gzip", "send the voxels as uint8, gzip") from None
    if len(data) != voxels or not unpacker.eof:
        raise Refused("the mask", f"is not of {voxels} voxels", "draw on this result")
    return np.frombuffer(data, np.uint8)


def drawn_mask(found: Found, body: bytes) -> tuple[Path, int]:
    """Write a mask that was drawn into the folder of the review; return it and its voxels.

    Raises:
        Refused: It is not of this result's grid, or has too many lesions.
    """
    anomaly = found.folder / MAPS["anomaly"]
    grid = grid_of(anomaly)
    drawn = inflated(body, int(np.prod(grid.shape))).reshape(grid.shape, order="F")
    gone = rejects(state_of(found.folder))
    labels = renumbered(drawn.astype(np.int32), automatic_mask(found), gone)
    if labels.max(initial=0) > MOST:
        raise Refused("the mask", f"has more than {MOST} lesions", "erase the smallest")
    header = opened(anomaly).header.copy()
    header.set_data_dtype(np.uint8)
    image = nib.Nifti1Image(labels.astype(np.uint8), None, header)
    folder = found.folder / REVIEW
    folder.mkdir(exist_ok=True)
    with NamedTemporaryFile(dir=folder, prefix=".", suffix=".nii.gz", delete=False) as file:
        part = Path(file.name)
    nib.save(image, part)
    part.chmod(0o644)
    return part, int((labels > 0).sum())


def renumbered(drawn: Labels, before: Labels, rejected: Collection[int] = ()) -> Labels:
    """Return a drawn mask with a number for each lesion.

    What was a lesion stays the same one. Paint that touches one (26 neighbours) is of the one that
    it touches most, unless it has a number that is new; other paint is new, one for each piece.
    What was rejected takes no paint: it would be left out with it.
    """
    kept = (drawn > 0) & (before > 0)
    own = (drawn > max(1, int(before.max(initial=0)))) & ~kept
    labels = np.where(kept, before, np.where(own, drawn, np.int32(0)))
    used = {*np.unique(before).tolist(), *np.unique(labels).tolist()}
    pieces, _ = label(drawn > 0, TWENTY_SIX)
    open_ = (drawn > 0) & (labels == 0)
    for piece in np.unique(pieces[open_]):
        inside = pieces == piece
        known = labels[inside & (labels > 0) & ~np.isin(labels, list(rejected))]
        if known.size:
            number = int(np.bincount(known).argmax())
        else:
            wanted = int(drawn[inside].max())
            number = max(used) + 1 if wanted in used else wanted
            used.add(number)
        labels[inside & open_] = number
    return labels
