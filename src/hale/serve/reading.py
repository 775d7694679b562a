"""A detection, read back from the files that were written of it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from hale.core.detection import Detection, Lesion, Validity
from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.quality import ContrastSeen, Finding, Quality, Verdict
from hale.core.scan import Contrast
from hale.io.nifti import read_volume
from hale.pipeline.write import RESULT
from hale.serve.files import read_table
from hale.serve.results import MAPS
from hale.serve.volumes import opened


def read_detection(folder: Path, scans: Mapping[str, Path]) -> Detection:
    """Return the detection that a folder holds, but the pictures of its registration.

    Args:
        folder: As `hale.pipeline.write.write_detection` wrote it.
        scans: The file of each contrast, the reference first.

    Raises:
        Refused: A file is missing or damaged, or the scan is not here.
    """
    table = read_table(folder / RESULT)
    if table is None:
        raise Refused(str(folder), f"has no {RESULT} that can be read", "run `hale detect` again")
    used = {c: scans[c] for c in table.get("contrasts", ()) if c in scans}
    if not used:
        why = "its scan is not here"
        raise Refused(str(table["id"]), why, "start the station with --scans FOLDER of it")
    pvalue, mask = folder / MAPS["pvalue"], folder / MAPS["mask"]
    healthy = folder / MAPS["pseudo_healthy"]
    try:
        return Detection(
            anomaly=turned(folder / MAPS["anomaly"]),
            brain=turned(folder / MAPS["brain"]) > 0,
            pvalue=turned(pvalue) if pvalue.is_file() else None,
            mask=turned(mask).astype(np.int32) if mask.is_file() else None,
            pseudo_healthy=turned(healthy) if healthy.is_file() else None,
            contrasts={Contrast(c): read_volume(path).volume for c, path in used.items()},
            **_told(table),
        )
    except (KeyError, TypeError, ValueError) as error:
        why = f"its {RESULT} is not one of hale ({error})"
        raise Refused(str(folder), why, "run `hale detect` again") from None


def turned(path: Path) -> np.ndarray:
    """Return the values of a file, float32, RAS+."""
    image = nib.as_closest_canonical(opened(path))
    return np.asarray(image.dataobj, np.float32)


def turned_slice(path: Path, k: int) -> np.ndarray:
    """Return the axial slice ``k`` of a file, float32 (i j 1), RAS+; the rest is not kept."""
    image = opened(path)
    orientation = nib.io_orientation(image.affine)
    axis = int(np.flatnonzero(orientation[:, 0] == 2)[0])
    at = k if orientation[axis, 1] > 0 else image.shape[axis] - 1 - k
    cut = tuple(slice(at, at + 1) if a == axis else slice(None) for a in range(3))
    return np.asarray(nib.as_closest_canonical(image.slicer[cut]).dataobj, np.float32)


def turned_spacing(path: Path) -> tuple[float, float, float]:
    """Return mm per voxel of a file, in the order of RAS+."""
    affine = nib.as_closest_canonical(opened(path)).affine
    i, j, k = np.linalg.norm(affine[:3, :3], axis=0)
    return float(i), float(j), float(k)


def turned_labels(labels: np.ndarray, like: Path) -> np.ndarray:
    """Return labels in the order of a file's voxels, RAS+."""
    image = nib.Nifti1Image(labels.astype(np.int32), opened(like).affine)
    return np.asarray(nib.as_closest_canonical(image).dataobj, np.int32)


def lesions_in(table: Mapping[str, Any]) -> tuple[Lesion, ...]:
    """Return the lesions of a ``detection.json``."""
    return tuple(
        Lesion(
            label=int(row["label"]),
            volume_ml=float(row["volume_ml"]),
            centre_mm=_mm(row["centre_mm"]),
            centre_mni_mm=None if row["centre_mni_mm"] is None else _mm(row["centre_mni_mm"]),
            peak=float(row["peak"]),
            peak_mm=_mm(row["peak_mm"]),
            mass=float(row["mass"]),
            p=float(row["p"]),
        )
        for row in table["lesions"]
    )


def lesions_of_labels(
    labels: np.ndarray,
    anomaly: np.ndarray,
    grid: Grid,
    known: Sequence[Lesion],
    automatic: np.ndarray,
) -> tuple[Lesion, ...]:
    """Return the lesions of a mask that was drawn.

    Args:
        labels: Numbered.
        anomaly: The map.
        grid: Of both.
        known: As they were found.
        automatic: Their mask. p, mass and place in MNI152 are theirs alone who lie as they were
            found: what was drawn has none.
    """
    index = np.argwhere(labels > 0)
    numbers, values = labels[tuple(index.T)], anomaly[tuple(index.T)].astype(np.float64)
    there = automatic[tuple(index.T)]
    before = {lesion.label: lesion for lesion in known}
    lesions = []
    for number in np.unique(numbers):
        inside = numbers == number
        same = (there[inside] == number).all() and inside.sum() == (automatic == number).sum()
        old = before.get(int(number)) if same else None
        centre = grid.positions(index[inside].mean(0)[None])[0]
        peak = grid.positions(index[inside][values[inside].argmax()][None])[0]
        lesions.append(
            Lesion(
                label=int(number),
                volume_ml=int(inside.sum()) * grid.voxel_ml,
                centre_mm=_mm(centre.round(1).tolist()),
                centre_mni_mm=None if old is None else old.centre_mni_mm,
                peak=float(values[inside].max()),
                peak_mm=_mm(peak.round(1).tolist()),
                mass=math.nan if old is None else old.mass,
                p=math.nan if old is None else old.p,
            )
        )
    return tuple(lesions)


def _told(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the table says that is no array."""
    quality, validity = table["quality"], table["p_values"]
    return {
        "id": str(table["id"]),
        "lesions": lesions_in(table),
        "score": float(table["score"]),
        "flagged": table["flagged"],
        "validity": None
        if validity is None
        else Validity(
            holds=bool(validity["holds"]),
            reasons=tuple(validity["reasons"]),
            not_checked=tuple(validity["not_checked"]),
        ),
        "checks": {n: math.nan if x is None else float(x) for n, x in table["checks"].items()},
        "quality": Quality(
            findings=tuple(
                Finding(verdict=Verdict(f["verdict"]), what=f["what"], measure=f["measure"])
                for f in quality["findings"]
            ),
            out_of_domain=tuple(quality["out_of_domain"]),
        ),
        "contrasts_seen": tuple(_seen(row) for row in quality["contrasts"]),
        "notes": tuple(table["notes"]),
        "seconds": dict(table["seconds"]),
        "calibration": table["calibration"],
        "provenance": dict(table["provenance"]),
    }


def _seen(row: Mapping[str, Any]) -> ContrastSeen:
    recognised = row["recognised"]
    return ContrastSeen(
        claimed=Contrast(row["claimed"]),
        recognised=None if recognised is None else Contrast(recognised),
        agrees=bool(row["agrees"]),
        why=str(row["why"]),
        is_clear=bool(row["is_clear"]),
    )


def _mm(position: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in position)
    return x, y, z
