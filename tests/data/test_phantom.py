import csv
import json

import nibabel as nib
import numpy as np
import pytest

from hale.data.phantom import AXES, CYCLE, Phantom, phantom, write_cohort


@pytest.fixture(scope="module")
def subject() -> Phantom:
    return phantom(0, 0)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, fit=1, standardise=0, calibrate=0, healthy=1, lesions=2, seed=4)
    return folder


def rows(folder):
    with (folder / "participants.tsv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def test_a_phantom_is_a_brain_on_exact_zero(subject):
    values, brain = subject.scan.values, subject.brain
    assert (values[~brain] == 0).all()
    assert (values[brain] >= 1).all()
    assert 1400 < brain.sum() * subject.scan.grid.voxel_ml < 2400
    for axis in range(3):
        ends = brain.take([0, -1], axis)
        assert not ends.any(), "the field of view cuts the brain"


def test_subjects_differ_and_axes_vary():
    subjects = [phantom(0, number) for number in range(3)]
    volumes = {int(s.brain.sum()) for s in subjects}
    assert len(volumes) == 3
    axes = {"".join(nib.aff2axcodes(s.scan.grid.affine)) for s in subjects}
    assert len(axes) > 1
    assert axes <= set(AXES)


def test_same_numbers_same_voxels(subject):
    again = phantom(0, 0)
    assert np.array_equal(again.scan.values, subject.scan.values)
    assert np.array_equal(again.scan.grid.affine, subject.scan.grid.affine)


def test_the_cohort_is_a_bids_like_folder(cohort):
    table = rows(cohort)
    assert [row["split"] for row in table] == ["fit", "test", "test", "test"]
    assert [row["lesion"] for row in table] == ["none"] * 2 + [str(CYCLE[0]), str(CYCLE[1])]
    assert table[2]["lesion"] == "4 ml +2 SD"
    assert "Name" in json.loads((cohort / "dataset_description.json").read_text(encoding="utf-8"))
    for row in table:
        name = row["participant_id"]
        anat = cohort / name / "anat"
        scan = nib.load(anat / f"{name}_T1w.nii.gz")
        assert scan.get_data_dtype() == np.int16
        assert scan.header.get_zooms() == (2, 2, 2)
        mask = anat / f"{name}_desc-lesion_mask.nii.gz"
        assert mask.exists() == (row["lesion"] != "none")
        if mask.exists():
            lesion = np.asarray(nib.load(mask).dataobj)
            assert set(np.unique(lesion)) == {0, 1}
            assert lesion.sum() * 0.008 == pytest.approx(float(row["lesion"].split()[0]), abs=0.01)
            assert (np.asarray(scan.dataobj)[lesion > 0] > 0).all()


def test_the_same_arguments_write_the_same_bytes(cohort, tmp_path):
    write_cohort(tmp_path, fit=1, standardise=0, calibrate=0, healthy=1, lesions=2, seed=4)
    files = sorted(path.relative_to(cohort) for path in cohort.rglob("*") if path.is_file())
    assert files == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert all((cohort / f).read_bytes() == (tmp_path / f).read_bytes() for f in files)
