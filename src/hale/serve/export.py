"""The reviewed state of a result, as files for others."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from hale import __version__
from hale.core.detection import Lesion
from hale.core.errors import Refused
from hale.pipeline.write import LESION_COLUMNS
from hale.report.page import write_report
from hale.serve.corrections import Reviewed, automatic_mask, reviewed_state
from hale.serve.files import read_table
from hale.serve.place import MADE
from hale.serve.reading import lesions_in, lesions_of_labels, read_detection, turned_labels
from hale.serve.results import MAPS, Found
from hale.serve.review import MASK, REVIEW, state_of
from hale.serve.volumes import grid_of, opened, read_map

FORMATS = {
    "mask.nii.gz": "application/gzip",
    "mask.seg.dcm": "application/dicom",
    "lesions.tsv": "text/tab-separated-values",
    "report.html": "text/html",
}
COLUMNS = (*LESION_COLUMNS, "verdict", "who", "when", "drawn")


def export(found: Found, name: str, path: Path, scans: Mapping[str, Path], root: Path) -> None:
    """Write one of `FORMATS`.

    Args:
        found: The result.
        name: Which format.
        path: Of the file to write.
        scans: The file of each contrast.
        root: Folder of results, which the files of a DICOM series are told from.

    Raises:
        Refused: There is no mask, no scan, or no DICOM to refer to.
    """
    masks = (found.folder / MAPS["mask"], found.folder / REVIEW / MASK)
    if name == "report.html" and not any(mask.is_file() for mask in masks):
        review = sentences(state_of(found.folder))
        write_report(read_detection(found.folder, scans), path, review=review)
        return
    reviewed = reviewed_state(found)
    match name:
        case "mask.nii.gz":
            _write_mask(found, reviewed, path)
        case "mask.seg.dcm":
            _write_segmentation(found, reviewed, path, root)
        case "lesions.tsv":
            path.write_text(_table(found, reviewed), encoding="utf-8")
        case _:
            _write_report(found, reviewed, path, scans)


def _write_mask(found: Found, reviewed: Reviewed, path: Path) -> None:
    header = opened(found.folder / MAPS["anomaly"]).header.copy()
    smallest = np.uint8 if reviewed.labels.max(initial=0) < 256 else np.uint16
    header.set_data_dtype(smallest)
    nib.save(nib.Nifti1Image(reviewed.labels.astype(smallest), None, header), path)


def _write_segmentation(found: Found, reviewed: Reviewed, path: Path, root: Path) -> None:
    """Write DICOM SEG, its lesions numbered anew, from 1.

    Raises:
        Refused: The scan did not come as DICOM, or its files are gone.
    """
    from pydicom import dcmread

    from hale.io.dicom_seg import write_segmentation

    files = [root / name for name in (read_table(found.folder / MADE) or {}).get("dicom", ())]
    if not files or not all(file.is_file() for file in files):
        why = "its scan did not come as DICOM to this station, or was taken away"
        raise Refused(found.id, why, "use the NIfTI mask")
    anomaly = found.folder / MAPS["anomaly"]
    lesions = _lesions(found, reviewed.labels, read_map(anomaly))
    labels = np.zeros_like(reviewed.labels)
    for number, lesion in enumerate(lesions, start=1):
        labels[reviewed.labels == lesion.label] = number
    numbered = [replace(lesion, label=n) for n, lesion in enumerate(lesions, start=1)]
    write_segmentation(
        path, labels, grid_of(anomaly), files, numbered, software_version=__version__
    )
    if reviewed.state["history"]:
        written = dcmread(path)
        for segment in written.SegmentSequence:
            segment.SegmentAlgorithmType = "SEMIAUTOMATIC"
        written.save_as(path)


def _table(found: Found, reviewed: Reviewed) -> str:
    """Return all lesions, those that were rejected last."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    anomaly = read_map(found.folder / MAPS["anomaly"])
    for labels in (reviewed.labels, reviewed.rejected):
        for lesion in _lesions(found, labels, anomaly):
            said = reviewed.state["lesions"].get(str(lesion.label), {})
            drawn = isnan(lesion.p)
            by = said or (reviewed.state["mask"] if drawn else None) or {}
            row = [said.get("verdict", "n/a"), *_who(by), "yes" if drawn else "no"]
            writer.writerow([*_cells(lesion), *row])
    return text.getvalue()


def _who(said: Mapping[str, Any]) -> list[str]:
    return [" ".join(str(said.get(key, "n/a")).split()) for key in ("who", "when")]


def _cells(lesion: Lesion) -> list[Any]:
    """Return what ``lesions.tsv`` says of a lesion; ``n/a`` where it is unknown."""
    mni = lesion.centre_mni_mm or ("n/a",) * 3
    mass = "n/a" if isnan(lesion.mass) else f"{lesion.mass:.3f}"
    p = "n/a" if isnan(lesion.p) else f"{lesion.p:.4f}"
    size = f"{lesion.volume_ml:.3f}"
    return [lesion.label, size, *lesion.centre_mm, *mni, f"{lesion.peak:.2f}", mass, p]


def _lesions(found: Found, labels: np.ndarray, anomaly: np.ndarray) -> tuple[Lesion, ...]:
    grid, known = grid_of(found.folder / MAPS["anomaly"]), lesions_in(found.detection)
    return lesions_of_labels(labels, anomaly, grid, known, automatic_mask(found))


def _write_report(found: Found, reviewed: Reviewed, path: Path, scans: Mapping[str, Path]) -> None:
    detection = read_detection(found.folder, scans)
    left = replace(
        detection,
        mask=turned_labels(reviewed.labels, found.folder / MAPS["anomaly"]),
        lesions=_lesions(found, reviewed.labels, read_map(found.folder / MAPS["anomaly"])),
    )
    write_report(left, path, review=sentences(reviewed.state))


def sentences(state: Mapping[str, Any]) -> Sequence[str]:
    """Return what a review says, a sentence each."""
    told = []
    for verdict, word in (("accept", "Accepted"), ("reject", "Rejected, and left out")):
        groups: dict[tuple[str, str], list[str]] = {}
        for label, said in state["lesions"].items():
            if said["verdict"] == verdict:
                groups.setdefault((said["who"], said["when"][:10]), []).append(label)
        told += [
            f"{word} by {who}, {day}: component {', '.join(sorted(labels, key=int))}."
            for (who, day), labels in groups.items()
        ]
    if mask := state["mask"]:
        told.append(f"The mask was redrawn by {mask['who']}, {mask['when'][:10]}.")
    if state["comment"]:
        told.append(f"Comment: {state['comment']}")
    return told
