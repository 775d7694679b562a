"""Whom a site calibrates on."""

from pathlib import Path

import pytest

from hale.core.errors import Refused
from hale.core.scan import Contrast, Split
from hale.data.cohort import Entry
from hale.pipeline.calibrate import divided

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
