from pathlib import Path

import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.scan import Contrast, Split
from hale.data.cohort import Entry
from hale.data.layouts.labels import ANY, Labels
from hale.data.layouts.leaks import Leak, leaks, one_split_each, refuse_leaks, sentences

FIT, TEST, CALIBRATE = Split.FIT, Split.TEST, Split.CALIBRATE


def row(person: str, split: Split | None, scan: str = "1") -> Entry:
    name = f"{person}-{scan}"
    files = {Contrast.T1W: Path(f"{name}.nii.gz")}
    return Entry(id=name, person=person, files=files, split=split)


COHORT = [
    row("ann", FIT),
    row("ben", FIT),
    row("ben", FIT),
    row("cat", FIT),
    row("cat", CALIBRATE),
    row("dan", CALIBRATE),
    row("eve", TEST),
    row("ben", TEST),
    row("fay", None),
    row("fay", FIT),
    row("gil", FIT, "1"),
    row("gil", FIT, "2"),
]


def test_who_is_in_two_splits_or_twice_in_one():
    assert leaks(COHORT) == (
        Leak(person="ben", splits=("fit", "test")),
        Leak(person="cat", splits=("fit", "calibrate")),
        Leak(person="fay", splits=("fit", "no split")),
        Leak(person="ben", splits=("fit",)),
    )


def test_visits_and_cohorts_without_splits_do_not_leak():
    visits = [row("ann", None, "1"), row("ann", None, "2"), row("ben", None)]
    assert leaks(visits) == ()
    assert one_split_each(visits) == visits


def test_sentences_name_everyone():
    assert sentences(leaks([*COHORT, row("ann", TEST)])) == (
        "2 people are in fit and test: ann, ben",
        "1 person is in fit and calibrate: cat",
        "1 person is in fit and no split: fay",
        "1 person is listed twice in fit: ben",
    )


def test_the_test_keeps_its_people_and_everyone_is_in_one_split_once():
    left = one_split_each(COHORT)
    assert leaks(left) == ()
    assert [(e.id, e.split) for e in left] == [
        ("ann-1", FIT),
        ("cat-1", CALIBRATE),
        ("dan-1", CALIBRATE),
        ("eve-1", TEST),
        ("ben-1", TEST),
        ("fay-1", None),
        ("gil-1", FIT),
        ("gil-2", FIT),
    ]


def test_leaks_are_refused_by_name():
    refuse_leaks((), "lists")
    with pytest.raises(Refused, match=r"lists: 1 person is in fit and test: ben; 1 person .*cat"):
        refuse_leaks(leaks(COHORT), "lists")


def test_labels_say_what_is_lesion_and_what_is_not_scored():
    values = np.array([0, 1, 2, 4], np.float32).reshape(4, 1, 1)
    wmh = Labels(lesion=(1,), ignored=(2,))
    assert wmh.lesion_in(values).ravel().tolist() == [False, True, False, False]
    assert wmh.ignored_in(values).ravel().tolist() == [False, False, True, False]
    assert ANY.lesion_in(values).ravel().tolist() == [False, True, True, True]
    assert not ANY.ignored_in(values).any()
