"""The results of a folder: which there are, a row and the details of each."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hale.bench import place
from hale.pipeline.write import RESULT
from hale.serve.files import called, opaque, read_table
from hale.serve.place import MADE
from hale.serve.review import REVIEW, reviewed, state_of
from hale.serve.volumes import grid_of

SCAN = "scan_"
"""What the name of a scan's copy beside its result begins with."""
MAPS = {
    "anomaly": "anomaly.nii.gz",
    "pvalue": "pvalue.nii.gz",
    "mask": "mask.nii.gz",
    "pseudo_healthy": "pseudo_healthy.nii.gz",
    "brain": "brain.nii.gz",
}
COLUMNS = (
    "id",
    "name",
    "method",
    "model",
    "contrasts",
    "score",
    "flagged",
    "lesions",
    "lesions_ml",
    "largest_ml",
    "quality",
    "out_of_domain",
    "p_values_hold",
    "date",
    "reviewed",
    "path",
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """One result."""

    id: str
    folder: Path
    path: str
    """Below the folder of results."""
    detection: Mapping[str, Any]
    """What ``detection.json`` says."""


def all_results(root: Path) -> Iterator[Found]:
    """Yield the results below ``root``, in order of path; links are not followed.

    The maps of a benchmark are none: its own page shows them.
    """
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if place.SUITE in names and place.MAPS in folders:
            folders.remove(place.MAPS)
        if RESULT in names:
            folders.clear()
            if (found := result_in(Path(folder), root)) is not None:
                yield found


def result_of(root: Path, name: str) -> Found:
    """Return the result of an id.

    Raises:
        Unknown: There is none.
    """
    return called(name, all_results(root), "result")


def row_of(found: Found) -> dict[str, Any]:
    """Return what the cohort table shows of a result."""
    result, quality = found.detection, found.detection.get("quality") or {}
    provenance = result.get("provenance") or {}
    volumes = [float(lesion["volume_ml"]) for lesion in result.get("lesions") or ()]
    validity = result.get("p_values")
    calibrated = result.get("calibration") is not None
    return {
        "id": found.id,
        "name": result.get("id"),
        "method": provenance.get("method"),
        "model": provenance.get("model"),
        "contrasts": result.get("contrasts", []),
        "score": result.get("score"),
        "flagged": result.get("flagged"),
        "lesions": len(volumes) if calibrated else None,
        "lesions_ml": round(sum(volumes), 3) if calibrated else None,
        "largest_ml": round(max(volumes, default=0.0), 3) if calibrated else None,
        "quality": quality.get("verdict"),
        "out_of_domain": bool(quality.get("out_of_domain")),
        "p_values_hold": None if validity is None else validity.get("holds"),
        "date": provenance.get("date"),
        "reviewed": reviewed(found.folder),
        "path": found.path,
    }


def table_of(rows: list[dict[str, Any]]) -> str:
    """Return rows as tab-separated values; ``n/a`` where there is nothing to say."""
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join(_cell(row[column]) for column in COLUMNS) for row in rows]
    return "\n".join(lines) + "\n"


def details_of(found: Found, scans: Mapping[str, str]) -> dict[str, Any]:
    """Return what the viewer needs of a result.

    Args:
        found: Of `result_of`.
        scans: Name of the file of each contrast, under which it can be asked for.
    """
    folder = found.folder
    grid = grid_of(folder / MAPS["anomaly"])
    files: dict[str, Any] = {key: n for key, n in MAPS.items() if (folder / n).is_file()}
    files["scan"] = dict(scans)
    if (folder / REVIEW / MAPS["mask"]).is_file():
        files["reviewed"] = "reviewed.nii.gz"
    return {
        "id": found.id,
        "detection": found.detection,
        "files": files,
        "grid": {"shape": list(grid.shape), "spacing": list(grid.spacing)},
        "calibrated": found.detection.get("calibration") is not None,
        "report": (folder / "report.html").is_file(),
        "dicom": bool((read_table(folder / MADE) or {}).get("dicom")),
        "review": state_of(folder) if reviewed(folder) else None,
    }


def result_in(folder: Path, root: Path) -> Found | None:
    """Return a folder's result, None if its table is damaged, or not one of hale."""
    try:
        changed = (folder / RESULT).stat().st_mtime_ns
    except OSError:
        return None
    table = _read(folder / RESULT, changed)
    if table is None or not _is_ours(table):
        return None
    path = folder.relative_to(root).as_posix()
    return Found(id=opaque(path), folder=folder, path=path, detection=table)


def _is_ours(table: Mapping[str, Any]) -> bool:
    """Say whether a table has the shape of a ``detection.json``."""
    if not {"id", "provenance"} <= table.keys() or not isinstance(table["provenance"], dict):
        return False
    lists = (table.get(key, []) for key in ("contrasts", "lesions", "notes"))
    tables = (table.get(key) for key in ("quality", "p_values", "calibration", "seconds"))
    if not all(isinstance(value, list) for value in lists):
        return False
    if not all(value is None or isinstance(value, dict) for value in tables):
        return False
    lesions = all(
        isinstance(lesion, dict) and _is_number(lesion.get("volume_ml"))
        for lesion in table.get("lesions", [])
    )
    seconds = (table.get("seconds") or {}).values()
    score = table.get("score")
    return lesions and all(map(_is_number, seconds)) and (score is None or _is_number(score))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@lru_cache(maxsize=4096)
def _read(path: Path, changed: int) -> dict[str, Any] | None:
    """Return a table; ``changed`` makes the memory forget one that was written again."""
    del changed
    return read_table(path)


def _cell(value: Any) -> str:
    """Return a value as one cell: no tab, no line end, nothing that a spreadsheet computes."""
    if value is None:
        return "n/a"
    if isinstance(value, list):
        value = "+".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    text = " ".join(str(value).split())
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
