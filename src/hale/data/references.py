"""Anomaly maps on disk and what belongs to them: reference masks, brains, who is healthy."""

import csv
import re
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Volume
from hale.core.types import Mask
from hale.io.nifti import stem

NIFTI = (".nii.gz", ".nii")
HEALTHY_WORDS = {
    "lesion": {"none", "no"},
    "group": {"healthy", "control", "hc"},
    "diagnosis": {"healthy", "control", "hc"},
    "status": {"healthy", "control", "hc"},
}
"""Columns of `participants.tsv`, and what in them says that a person is healthy."""


@dataclass(frozen=True, kw_only=True)
class MapFiles:
    """Where the maps of one scan are."""

    anomaly: Path
    brain: Path | None = None
    pvalue: Path | None = None
    mask: Path | None = None


def find_maps(folder: Path) -> dict[str, MapFiles]:
    """Return the maps of each id, in the order of ids.

    Args:
        folder: With ``<id>/anomaly.nii.gz`` and its neighbours at any depth, as `hale detect`
            writes them; else with ``<id>.nii.gz`` lying flat.

    Raises:
        Refused: No folder, no maps, an id twice.
    """
    if not folder.is_dir():
        raise Refused(str(folder), "is not a folder", "give the folder of the maps")
    ours = [path for path in _images(folder) if stem(path) == "anomaly"]
    flat = [path for path in _images(folder) if path.parent == folder]
    named = [(path.resolve().parent.name, path) for path in ours] or [(stem(p), p) for p in flat]
    if not named:
        remedy = "give a folder with <id>/anomaly.nii.gz or <id>.nii.gz"
        raise Refused(str(folder), "holds no anomaly map", remedy)
    found: dict[str, MapFiles] = {}
    for id_, path in sorted(named):
        if id_ in found:
            why = f"two maps are of {id_}: {found[id_].anomaly} and {path}"
            raise Refused(str(folder), why, "evaluate one folder at a time")
        found[id_] = _with_neighbours(path) if ours else MapFiles(anomaly=path)
    return found


def find_references(
    folder: Path, ids: Iterable[str], apart_from: Collection[Path] = ()
) -> dict[str, Path]:
    """Return the reference mask of each id that has one.

    Args:
        folder: Searched at any depth for ``<id>*lesion*mask``, then ``<id>_seg``, then ``<id>``.
            What goes on with ``_ses-`` after an id without a visit is of another id.
        ids: What to search for.
        apart_from: Files that are no references, because they are the maps.

    Raises:
        Refused: No folder, or two masks for an id.
    """
    if not folder.is_dir():
        raise Refused(str(folder), "is not a folder", "give the folder of the reference masks")
    maps = {path.resolve() for path in apart_from}
    files = [(stem(path), path) for path in _images(folder) if path.resolve() not in maps]
    kinds = (r"(?![a-zA-Z0-9]).*lesion.*mask", "_seg", "")
    found: dict[str, Path] = {}
    for id_ in ids:
        for kind in kinds:
            path = _only(id_, kind, files, folder)
            if path is not None:
                found[id_] = path
                break
    return found


def find_brains(folder: Path, ids: Iterable[str]) -> dict[str, Path]:
    """Return ``<id>*brain*mask`` of each id that has one; two are refused."""
    files = [(stem(path), path) for path in _images(folder)]
    found = {id_: _only(id_, r"(?![a-zA-Z0-9]).*brain.*mask", files, folder) for id_ in ids}
    return {id_: path for id_, path in found.items() if path is not None}


def healthy_people(table: Path) -> set[str]:
    """Return the ``participant_id`` of whom the table says that they are healthy (`HEALTHY_WORDS`).

    Without a table nobody is.
    """
    if not table.is_file():
        return set()
    with table.open(encoding="utf-8-sig", newline="") as lines:
        return {
            row["participant_id"]
            for row in csv.DictReader(lines, delimiter="\t")
            if row.get("participant_id")
            and any((row.get(c) or "").strip().lower() in w for c, w in HEALTHY_WORDS.items())
        }


def matching(patterns: Iterable[str], ids: Collection[str]) -> set[str]:
    """Return the ids that match a pattern such as ``sub-IXI*``.

    Raises:
        Refused: A pattern matches none.
    """
    chosen = set()
    for pattern in patterns:
        matches = {id_ for id_ in ids if fnmatchcase(id_, pattern)}
        if not matches:
            remedy = f"ids here are such as {min(ids)}" if ids else "check the folder"
            raise Refused(f"healthy {pattern}", "names no map", remedy)
        chosen |= matches
    return chosen


def read_map(path: Path) -> Volume:
    """Return an image as float32, its axes turned to RAS+.

    Raises:
        Refused: The file cannot be read, is not three-dimensional or holds NaN or infinities.
    """
    try:
        image = nib.as_closest_canonical(nib.load(path))
        values = np.asarray(image.dataobj, np.float32)
    except (ImageFileError, OSError, EOFError, zlib.error, ValueError) as error:
        raise Refused(str(path), f"cannot be read ({error})", "write the file again") from error
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise Refused(str(path), f"has {values.ndim} dimensions", "give a 3-D image")
    if not np.isfinite(values).all():
        raise Refused(
            str(path), "holds NaN or infinite values", "write finite ones, 0 off the brain"
        )
    grid = Grid(shape=values.shape, affine=np.asarray(image.affine, np.float64))
    return Volume(values=np.ascontiguousarray(values), grid=grid)


def read_grid(path: Path) -> Grid:
    """Return where the voxels of an image are, its axes turned to RAS+; no voxel is read.

    Raises:
        Refused: The file cannot be read.
    """
    try:
        image: Any = nib.load(path)
        affine = np.asarray(image.affine, np.float64)
        orientation = nib.io_orientation(affine)
        i, j, k = (int(image.shape[int(axis)]) for axis in np.argsort(orientation[:, 0]))
    except (ImageFileError, OSError, EOFError, zlib.error, ValueError, IndexError) as error:
        raise Refused(str(path), f"cannot be read ({error})", "write the file again") from error
    turned = affine @ nib.orientations.inv_ornt_aff(orientation, image.shape[:3])
    return Grid(shape=(i, j, k), affine=turned)


def read_mask(path: Path, grid: Grid) -> Mask:
    """Return a mask of 0 and 1 that lies on ``grid``.

    Raises:
        Refused: As `read_map`; other values than 0 and 1; another grid.
    """
    mask = read_on(path, grid)
    other = np.setdiff1d(np.unique(mask), (0, 1))
    if other.size:
        why = f"holds values other than 0 and 1, such as {other[0]:g}"
        raise Refused(str(path), why, "give a binary mask")
    return mask > 0


def read_on(path: Path, grid: Grid) -> np.ndarray:
    """Return the values of an image that lies on ``grid``, RAS+; elsewhere it is refused."""
    volume = read_map(path)
    if not volume.grid.is_the_same_as(grid):
        if volume.grid.shape != grid.shape:
            why = f"is {volume.grid.shape} voxels, its anomaly map {grid.shape}"
        else:
            apart = np.abs(volume.grid.affine - grid.affine)[:3, 3].max()
            why = f"lies on another grid than its anomaly map (origins {apart:.3g} mm apart)"
        raise Refused(str(path), why, "resample the mask to the map (nearest neighbour)")
    return volume.values


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.name.endswith(NIFTI) and p.is_file())


def _only(id_: str, rest: str, files: list[tuple[str, Path]], folder: Path) -> Path | None:
    """Return the one file whose stem is ``id_`` and then ``rest``, a pattern; two are refused."""
    visit = "" if "ses-" in id_ else "(?!_ses-)"  # a visit's mask is that visit's alone
    pattern = re.compile(re.escape(id_) + visit + rest)
    named = [path for name, path in files if name.startswith(id_) and pattern.fullmatch(name)]
    if len(named) > 1:
        names = " and ".join(str(path.relative_to(folder)) for path in named)
        raise Refused(id_, f"has more than one mask: {names}", "leave the one that counts")
    return named[0] if named else None


def _with_neighbours(anomaly: Path) -> MapFiles:
    suffix = anomaly.name.removeprefix("anomaly")
    beside = {name: anomaly.with_name(name + suffix) for name in ("brain", "pvalue", "mask")}
    there = {name: path if path.is_file() else None for name, path in beside.items()}
    return MapFiles(anomaly=anomaly, **there)
