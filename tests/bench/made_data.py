"""A data set of small FLAIR volumes that lie on one grid, and a suite of quick methods on it."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from hale.bench.suite import Suite
from hale.bench.suite_file import build_suite

SHAPE = (32, 36, 10)
AFFINE = np.diag([3.0, 3.0, 4.0, 1.0])
HEALTHY = {"fit": 4, "standardise": 3, "calibrate": 4, "test": 3}
ILL = tuple(range(21, 29))
GIVEN = ["prep.slots=[['FLAIR']]", "prep.mode=given", "calibration.alpha=0.2"]
DAE = [*GIVEN, "method.width=4", "method.steps=3", "method.batch=4"]
PLANTED = {
    "name": "planted",
    "data": "healthy",
    "kind": "synthetic",
    "contrast": "FLAIR",
    "split": "test",
    "beside": "healthy",
    "extracted": True,
    "lesions": {"volumes_ml": [0.8, 2.0], "contrasts_sd": [-2.0, 3.0], "cells_per_scan": 2},
}


def write_scan(folder: Path, name: str, *, ill: bool = False, values: Any = None) -> Path:
    """Write an ellipsoid with noise; a patient's mask says where it is brighter."""
    rng = np.random.default_rng(list(name.encode()))
    at = (np.indices(SHAPE).T - (np.array(SHAPE) - 1) / 2) / np.array([14, 16, 5])
    brain = (at**2).sum(-1).T < 1
    lesion = np.zeros(SHAPE, np.uint8)
    if ill:
        i, j = rng.integers(9, 18, 2)
        lesion[i : i + 4, j : j + 4, 3:6] = 1
        write(folder / name / f"{name}_desc-lesion_mask.nii.gz", lesion)
    image = np.where(brain, 200 + 12 * rng.standard_normal(SHAPE) + 40 * lesion, 0)
    path = folder / name / f"{name}_FLAIR.nii.gz"
    write(path, (image if values is None else values).astype(np.float32))
    return path


def write(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)


def write_data(folder: Path) -> Path:
    """Write healthy people, divided, and patients; return the folder of both."""
    lines = ["participant_id\tsplit"]
    number = 0
    for split, count in HEALTHY.items():
        for _ in range(count):
            number += 1
            write_scan(folder / "healthy", f"sub-{number:02}")
            lines.append(f"sub-{number:02}\t{split}")
    (folder / "healthy/participants.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for number in ILL:
        write_scan(folder / "ill", f"sub-{number}", ill=True)
    return folder


def suite_of(**changes: Any) -> Suite:
    """Return a clean suite: settings chosen on even, reported on odd numbers."""
    ill = {"data": "ill", "kind": "patients", "contrast": "FLAIR", "disease": "made"}
    table: dict[str, Any] = {
        "name": "made",
        "title": "Made",
        "healthy": "healthy",
        "draws": 100,
        "cohorts": [
            {
                "name": "healthy",
                "data": "healthy",
                "kind": "healthy",
                "contrast": "FLAIR",
                "split": "test",
            },
            {
                **ill,
                "name": "odd",
                "subjects": "odd",
                "validation": "even",
                "beside": "healthy",
            },
            {**ill, "name": "even", "subjects": "even", "beside": "healthy"},
        ],
        "methods": [
            {"name": "intensity", "recipe": "intensity-default", "settings": GIVEN},
        ],
    }
    return build_suite({**table, **changes})


def whole_suite() -> Suite:
    """Return a suite of every kind of method: one breaks, one is other people's."""
    cohorts = [*suite_of().resolved()["cohorts"], PLANTED]
    methods = [
        {"name": "intensity", "recipe": "intensity-default", "settings": GIVEN},
        {"name": "dae", "recipe": "dae-small", "settings": DAE},
        {"name": "broken", "recipe": "dae-small", "settings": [*GIVEN, "calibration.alpha=0.01"]},
        {"name": "alone", "single": "intensity", "settings": ["prep.mode=given"]},
        {"name": "theirs", "maps": "theirs", "supervision": "healthy scans", "cohorts": ["odd"]},
    ]
    return suite_of(cohorts=cohorts, methods=methods, seeds=[0, 1], folds=2)


def row(board: dict[str, Any], method: str, cohort: str) -> dict[str, Any]:
    return next(r for r in board["rows"] if (r["method"], r["cohort"]) == (method, cohort))
