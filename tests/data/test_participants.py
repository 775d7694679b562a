"""The table of people as others write it: nothing of it is lost without a word."""

from pathlib import Path

import pytest

from hale.core.errors import Refused
from hale.core.scan import Contrast, Slots, Split
from hale.data.folder import read_folder

T1W: Slots = ((Contrast.T1W,),)
BIDS, IXI = ("sub-01_T1w", "sub-02_T1w"), ("IXI010-HH-1010-T1", "IXI011-HH-1011-T1")
LISTED = [("fit", 30.0), ("test", 40.0)]


def data_set(folder: Path, names: tuple[str, ...], table: str) -> Path:
    for name in names:
        (folder / f"{name}.nii.gz").touch()
    (folder / "participants.tsv").write_text(table, encoding="utf-8")
    return folder


def read(folder: Path) -> list[tuple[Split | None, float | None]]:
    return [(entry.split, entry.age) for entry in read_folder(folder, T1W)[0]]


@pytest.mark.parametrize(
    ("names", "head", "rows"),
    [
        (BIDS, "participant_id age split", "sub-01 30 fit|sub-02 40 test"),
        (BIDS, "participant_id age split", "01 30 fit|02 40 test"),
        (BIDS, "Participant_ID~ AGE ~Split", "sub-01~ 30~ ~fit~|sub-02 ~40 test~"),
        (BIDS, '"participant_id" "age" "split"', '"sub-01" 30 "fit"|"sub-02" 40 "test"'),
        (BIDS, "participant_id note age split", 'sub-01 5" 30 fit|sub-02 "odd 40 test'),
        (BIDS, "age split participant_id", "30 fit 01|40 test 02|  |"),
        (BIDS, "participant_id age split", "sub-01 30 fit|sub-02 40 test|sub-03"),
        (IXI, "participant_id age split", "IXI010 30 fit|IXI011 40 test"),
        (IXI, "participant_id age split", "IXI010-HH-1010 30 fit|sub-IXI011 40 test"),
    ],
)
def test_splits_and_ages_are_found_however_the_table_is_written(names, head, rows, tmp_path):
    table = "\n".join([head, *rows.split("|")]).replace(" ", "\t").replace("~", " ")
    assert read(data_set(tmp_path, names, table)) == LISTED


def test_a_row_of_an_exam_goes_before_that_of_its_person_and_names_it(tmp_path):
    table = "participant_id\tperson\tsplit\nsub-01\tn/a\tfit\nsub-01_ses-b\tkim\ttest\n"
    names = ("sub-01_ses-a_T1w", "sub-01_ses-b_T1w")
    one, two = read_folder(data_set(tmp_path, names, table), T1W)[0]
    assert (one.person, one.split) == ("sub-01", Split.FIT)
    assert (two.person, two.split) == ("kim", Split.TEST)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("participant_id\tsplit\nanna\ttest\n", "has no row of any exam here: it lists anna, "),
        (f"participant_id\tx\nsub-01\t{'x' * 200_000}\n", "field larger than field limit"),
        ("participant_id\tsplit\n01\tfit\nsub-01\ttest\n", "lists sub-01 twice"),
        ("participant_id\tsplit\n\tfit\n", "has a row without participant_id"),
        ("id\tsplit\nsub-01\tfit\n", "has no column participant_id"),
        ("", "has no column participant_id"),
        ("participant_id\tsplit\nsub-01\ttrain\n", "sub-01: its split is 'train'"),
    ],
)
def test_a_table_that_cannot_be_followed_is_refused(table, said, tmp_path):
    with pytest.raises(Refused, match=said):
        read_folder(data_set(tmp_path, BIDS, table), T1W)


def test_a_published_layout_refuses_a_strange_table_too(tmp_path):
    table = "participant_id\tsplit\nanna\ttest\n"
    with pytest.raises(Refused, match=r"participants\.tsv: has no row of any exam here"):
        read_folder(data_set(tmp_path, IXI, table), T1W)


def test_the_table_above_a_folder_may_be_of_others(tmp_path):
    data_set(tmp_path, (), "participant_id\tsplit\nanna\ttest\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/sub-01_T1w.nii.gz").touch()
    assert read(tmp_path / "mine") == [(None, None)]
