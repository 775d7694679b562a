from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hale.core.errors import Refused
from hale.core.scan import Contrast
from hale.data.cohort import (
    Entry,
    Split,
    chosen,
    of_split,
    refuse_repeated_ids,
    refuse_shared_people,
    with_splits,
)

SHARES = {Split.FIT: 0.6, Split.STANDARDISE: 0.15, Split.CALIBRATE: 0.25}


def people(names) -> list[Entry]:
    return [Entry(id=n, person=n, files={Contrast.T1W: Path(n)}) for n in names]


@given(st.sets(st.text("abcdef0123456789", min_size=1), min_size=1, max_size=40))
def test_everyone_gets_one_split_whatever_the_order(names):
    one = {e.id: e.split for e in with_splits(people(sorted(names)), SHARES)}
    two = {e.id: e.split for e in with_splits(people(sorted(names, reverse=True)), SHARES)}
    assert one == two
    assert None not in one.values()


def test_the_visits_of_one_person_stay_together_and_the_shares_are_kept():
    visits = [
        Entry(id=f"{n}_{v}", person=f"{n}", files={Contrast.T1W: Path("x")})
        for n in range(40)
        for v in "ab"
    ]
    drawn = with_splits(visits, SHARES)
    for person in range(40):
        assert len({e.split for e in drawn if e.person == str(person)}) == 1
    assert [len(of_split(drawn, split)) for split in SHARES] == [48, 12, 20]


def test_a_given_split_is_left_as_it_is():
    given_ = [
        *people("ab"),
        Entry(id="c", person="c", files={Contrast.T1W: Path("c")}, split=Split.TEST),
    ]
    assert with_splits(given_, SHARES) == given_


def visit(person: str, number: int) -> Entry:
    name = f"{person}_ses-{number}"
    return Entry(id=name, person=person, files={Contrast.T1W: Path(name)})


# Check 15 of the shared protocol
def test_thresholds_are_not_set_on_people_who_are_learnt_from():
    training = [visit("sub-ann", 1), visit("sub-ben", 1)]
    refuse_shared_people([visit("sub-cat", 1), visit("sub-anne", 1)], training)
    refuse_shared_people([], training)
    said = r"sub-ben: is learnt from \(sub-ben_ses-1\) and is to set thresholds \(sub-ben_ses-2\)"
    with pytest.raises(Refused, match=said):
        refuse_shared_people([visit("sub-cat", 1), visit("sub-ben", 2)], training)
    with pytest.raises(Refused, match="ann: is learnt from"):
        refuse_shared_people([visit("ann", 1)], training)  # as half of all tables write it


def test_different_ids_are_no_reason_to_refuse():
    refuse_repeated_ids(people("abc"))
    with pytest.raises(Refused):
        refuse_repeated_ids(people("aba"))


@pytest.mark.parametrize(
    ("found", "slots", "taken"),
    [
        ("T1w FLAIR", "T1w/FLAIR T1w", "FLAIR T1w"),
        ("T1w FLAIR", "T1w/FLAIR FLAIR/T1w", "T1w FLAIR"),
        ("T1w T2w FLAIR", "T1w/T2w T1w/FLAIR FLAIR/T1w", "T2w T1w FLAIR"),
        ("T2w", "T1w/T2w", "T2w"),
    ],
)
def test_channels_get_what_they_like_best_as_long_as_each_gets_something(found, slots, taken):
    files = {Contrast(name): Path(name) for name in found.split()}
    channels = tuple(tuple(map(Contrast, slot.split("/"))) for slot in slots.split())
    assert list(chosen(files, channels, name="a")[0]) == taken.split()


def test_one_scan_does_not_fill_two_channels():
    slots = ((Contrast.T1W, Contrast.FLAIR),) * 2
    with pytest.raises(Refused, match="is T1w, the model takes"):
        chosen({Contrast.T1W: Path("a")}, slots, name="a")
