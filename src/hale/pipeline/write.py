"""The files of one detection, written together: all of them appear, or none does."""

import csv
import gzip
import io
import json
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import count
from math import isnan
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from hale import __version__
from hale.core.detection import Detection
from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.quality import LEFT_RIGHT, ContrastSeen, Quality
from hale.core.scan import Source, Stored
from hale.io.model import swap
from hale.io.nifti import as_stored, write_volume
from hale.io.picture import is_picture
from hale.report.page import write_report
from hale.report.view import first_volume
from hale.report.words import decision

RESULT = "detection.json"
REVIEW = "review"
"""Folder of what readers said of a result."""
LESION_COLUMNS = (
    "lesion",
    "volume_ml",
    "x_mm",
    "y_mm",
    "z_mm",
    "mni_x_mm",
    "mni_y_mm",
    "mni_z_mm",
    "peak_z",
    "mass_ml",
    "p",
)


def write_detection(
    detection: Detection, source: Source, out: Path, *, report: bool = True
) -> None:
    """Write maps, tables and report of one scan into ``out``, replacing what was there.

    Args:
        detection: On the scan's RAS+ grid.
        source: Of the scan. The maps are written as its file stored its voxels, RAS+ where it came
            from no file. Where it came as DICOM, the mask is written as DICOM SEG too; where it
            came as a picture, the map as an array of its pixels.
        out: A folder; it appears when it is complete.
        report: Whether to draw ``report.html`` too.

    Raises:
        Refused: The folder cannot be written, or the disk is full.
    """
    grid = first_volume(detection).grid
    stored = source.stored or Stored(shape=grid.shape, affine=grid.affine)
    with new_folder(out) as folder:
        write_volume(folder / "anomaly.nii.gz", detection.anomaly, stored)
        if is_picture(Path(next(iter(source.files), ""))):
            np.save(folder / "anomaly.npy", as_stored(detection.anomaly, stored)[..., 0])
        if detection.own is not None:
            write_volume(folder / "score.nii.gz", detection.own, stored)
        write_volume(folder / "brain.nii.gz", detection.brain.astype(np.uint8), stored)
        if detection.pvalue is not None:
            write_volume(folder / "pvalue.nii.gz", detection.pvalue, stored)
        if detection.mask is not None:
            write_volume(folder / "mask.nii.gz", _smallest(detection.mask), stored)
            (folder / "lesions.tsv").write_text(lesion_table(detection), encoding="utf-8")
            detection = _with_segmentation(detection, grid, source, folder / "mask.seg.dcm")
        if detection.pseudo_healthy is not None:
            write_volume(folder / "pseudo_healthy.nii.gz", detection.pseudo_healthy, stored)
        if report:
            write_report(detection, folder / "report.html")
        text = json.dumps(as_json(detection), indent=2, ensure_ascii=False)
        (folder / RESULT).write_text(text + "\n", encoding="utf-8")
        _carry_reviews(out, folder)


def _carry_reviews(before: Path, folder: Path) -> None:
    """Take over what readers said of what was there.

    Where the mask is another one, whose numbers mean other lesions, it is set aside under the first
    free of ``review.1``, ``review.2``, ...
    """
    for kept in sorted(before.glob(f"{REVIEW}*/")):
        shutil.copytree(kept, folder / kept.name)
    review = folder / REVIEW
    if review.is_dir() and _mask_bytes(before) != _mask_bytes(folder):
        aside = (folder / f"{REVIEW}.{number}" for number in count(1))
        review.replace(next(path for path in aside if not path.exists()))


def _mask_bytes(folder: Path) -> bytes | None:
    """Return the mask of a result's folder, inflated; None without one that can be read."""
    try:
        return gzip.decompress((folder / "mask.nii.gz").read_bytes())
    except (OSError, EOFError, zlib.error):
        return None


def _with_segmentation(detection: Detection, grid: Grid, source: Source, path: Path) -> Detection:
    """Write the mask as DICOM SEG if the scan came as DICOM; where it cannot be, note why."""
    if not source.dicom or detection.mask is None:
        return detection
    from hale.io.dicom_seg import write_segmentation

    try:
        write_segmentation(
            path,
            detection.mask,
            grid,
            source.dicom,
            detection.lesions,
            software_version=__version__,
        )
    except Refused as error:
        path.unlink(missing_ok=True)
        return replace(detection, notes=(*detection.notes, f"no DICOM SEG: {error}"))
    return detection


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a folder to fill; put it in the place of ``out`` when the block ends without error.

    Raises:
        Refused: It cannot be written, or the disk is full; what was at ``out`` is there still.
    """
    part = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
        yield part
        swap(part, out)
    except OSError as error:
        why = f"cannot be written ({error.strerror or error})"
        raise Refused(str(out), why, "free space, or give another --out") from None
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)


def as_json(detection: Detection) -> dict[str, Any]:
    """Return all figures of a detection as plain JSON."""
    return {
        "id": detection.id,
        "contrasts": [str(contrast) for contrast in detection.contrasts],
        "score": detection.score,
        "flagged": detection.flagged,
        "decision": decision(detection),
        "p_values": None if detection.validity is None else asdict(detection.validity),
        "calibration": detection.calibration,
        "lesions": [asdict(lesion) for lesion in detection.lesions],
        "quality": quality_json(detection.quality, detection.contrasts_seen),
        "checks": {name: None if isnan(x) else x for name, x in detection.checks.items()},
        "notes": list(detection.notes),
        "seconds": {name: round(value, 2) for name, value in detection.seconds.items()},
        "place": None if detection.place is None else dict(detection.place),
        "provenance": dict(detection.provenance),
        "intended_use": "Research use only. Not a medical device; not for diagnosis.",
    }


def quality_json(quality: Quality, contrasts: Sequence[ContrastSeen]) -> dict[str, Any]:
    """Return verdict and reasons as plain JSON."""
    return {
        "verdict": str(quality.verdict),
        "findings": [asdict(finding) for finding in quality.findings],
        "out_of_domain": list(quality.out_of_domain),
        "contrasts": [asdict(seen) for seen in contrasts],
        "left_right": LEFT_RIGHT,
    }


def lesion_table(detection: Detection) -> str:
    """Return the lesions as tab-separated values: ml, mm RAS+."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(LESION_COLUMNS)
    for lesion in detection.lesions:
        mni = lesion.centre_mni_mm or ("n/a",) * 3
        peak, mass = f"{lesion.peak:.2f}", f"{lesion.mass:.3f}"
        row = [lesion.label, f"{lesion.volume_ml:.3f}", *lesion.centre_mm, *mni, peak, mass]
        writer.writerow([*row, f"{lesion.p:.4f}"])
    return text.getvalue()


def _smallest(mask: np.ndarray) -> np.ndarray:
    """Return labels in the smallest unsigned type that holds them."""
    return mask.astype(np.uint8 if mask.max() < 256 else np.uint16)
