"""Whom a site calibrates on."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.scan import Contrast, Split
from hale.data.cohort import Entry
from hale.pipeline.calibrate import divided, read_cohort
from hale.pipeline.job import Options

DATA = Path("controls")


def people(*splits: Split | None) -> list[Entry]:
    return [
        Entry(id=f"sub-{n}", person=f"sub-{n}", files={Contrast.T1W: DATA / f"{n}"}, split=split)
        for n, split in enumerate(splits)
    ]


def test_the_splits_of_a_table_are_kept():
    marked = people(Split.FIT, None, Split.STANDARDISE, Split.CALIBRATE)
    assert divided(marked, DATA) == marked


def test_only_people_without_a_split_are_drawn():
    drawn = divided(people(Split.FIT, Split.TEST, *[None] * 10), DATA)
    assert {entry.id for entry in drawn} == {f"sub-{n}" for n in range(2, 12)}
    counts = [
        sum(e.split is split for e in drawn) for split in (Split.STANDARDISE, Split.CALIBRATE)
    ]
    assert counts == [4, 6]


def test_people_meant_for_something_else_are_never_drawn():
    with pytest.raises(Refused, match=r"controls: its table marks everybody fit or test"):
        divided(people(Split.FIT, Split.TEST), DATA)


def test_a_channel_of_several_contrasts_learns_from_each(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("sub-01_T1w", "sub-01_T2w", "sub-02_T1w", "sub-03_T2w"):
        folder = tmp_path / name.split("_")[0] / "anat"
        folder.mkdir(parents=True, exist_ok=True)
        image = nib.Nifti1Image(rng.random((4, 4, 4), np.float32), np.eye(4))
        nib.save(image, folder / f"{name}.nii.gz")
    both = ((Contrast.T1W, Contrast.T2W),)
    entries = read_cohort(tmp_path, both, Options())
    assert sorted((e.id, e.person) for e in entries) == [
        ("sub-01_T1w", "sub-01"),
        ("sub-01_T2w", "sub-01"),
        ("sub-02_T1w", "sub-02"),
        ("sub-03_T2w", "sub-03"),
    ]
    with_absent = ((Contrast.T1W, Contrast.T2W, Contrast.PDW),)
    assert len(read_cohort(tmp_path, with_absent, Options())) == 4
    alone = [e for e in read_cohort(tmp_path, ((Contrast.T1W,),), Options()) if not e.refusal]
    assert [e.id for e in alone] == ["sub-01", "sub-02"]
