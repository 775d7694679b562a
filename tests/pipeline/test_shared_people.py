"""A fit does not calibrate on people whom it learns from, whatever their exams are called."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hale.core.errors import Refused
from hale.pipeline.fit import fit
from hale.pipeline.job import Options
from hale.recipe import build_recipe

RECIPE = {"method": {"name": "atlas"}, "prep": {"mode": "given"}}


def cohort(folder: Path, rows: list[tuple[str, str, str]]) -> Path:
    """Write exams and a table that says whose they are and what they are for."""
    rng = np.random.default_rng(0)
    for name, _, _ in rows:
        path = folder / f"{name}/anat/{name}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(rng.random((9, 9, 9), np.float32) + 1, np.eye(4)), path)
    lines = ["participant_id\tperson\tsplit", *("\t".join(row) for row in rows)]
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


# Check 15 of the shared protocol
@pytest.mark.parametrize("split", ["standardise", "calibrate"])
def test_a_second_exam_of_somebody_learnt_from_sets_no_thresholds(split, tmp_path):
    rows = [("sub-1", "ann", "fit"), ("sub-2", "ben", "fit"), ("sub-3", "ann", split)]
    data = cohort(tmp_path / "data", rows)
    said = r"ann: is learnt from \(sub-1\) and is to set thresholds \(sub-3\); give all exams"
    with pytest.raises(Refused, match=said):
        fit(build_recipe(RECIPE), data, tmp_path / "model", Options())
    assert not (tmp_path / "model").exists()


def test_whoever_is_tested_on_is_no_matter_of_the_fit(tmp_path):
    rows = [("sub-1", "ann", "fit"), ("sub-2", "ben", "fit"), ("sub-3", "ann", "test")]
    data = cohort(tmp_path / "data", rows)
    with pytest.raises(Refused, match="healthy scans can promise"):  # nobody calibrates
        fit(build_recipe(RECIPE), data, tmp_path / "model", Options())
