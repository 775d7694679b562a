from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hale.core.errors import Refused
from hale.core.scan import Contrast
from hale.data.cohort import (
    Entry,
    Split,
    contrast_of,
    entry_of,
    of_split,
    read_cohort,
    refuse_repeated_ids,
    with_splits,
)

T1W = (Contrast.T1W,)
SHARES = {Split.FIT: 0.6, Split.STANDARDISE: 0.15, Split.CALIBRATE: 0.25}


def folder_of(folder: Path, *names: str, table: str | None = None) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    if table is not None:
        (folder / "participants.tsv").write_text(table, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("sub-01_T1w.nii.gz", Contrast.T1W),
        ("sub-01_ses-2_FLAIR.nii", Contrast.FLAIR),
        ("sub-01_ce-gd_T1w.nii.gz", Contrast.T1W_CE),
        ("sub-01_desc-brain_T1w.nii.gz", None),
        ("sub-01_label-lesion_mask.nii.gz", None),
        ("sub-01_bold.nii.gz", None),
        ("scan.nii.gz", None),
    ],
)
def test_a_name_tells_the_contrast(name, contrast):
    assert contrast_of(Path(name)) is contrast


def test_a_data_set_is_read_with_its_table(tmp_path):
    folder = folder_of(
        tmp_path,
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_FLAIR.nii.gz",
        "sub-01/anat/sub-01_desc-brain_mask.nii.gz",
        "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz",
        "sub-02/ses-b/anat/sub-02_ses-b_T1w.nii.gz",
        "sub-03/anat/sub-03_T1w.nii.gz",
        table="participant_id\tage\tsplit\nsub-01\t40\tfit\nsub-02\tn/a\tn/a\nsub-03\tinf\n",
    )
    entries = read_cohort(folder, T1W)
    assert [e.id for e in entries] == ["sub-01", "sub-02_ses-a", "sub-02_ses-b", "sub-03"]
    assert [e.person for e in entries] == ["sub-01", "sub-02", "sub-02", "sub-03"]
    assert [e.age for e in entries] == [40, None, None, None]
    assert [e.split for e in entries] == [Split.FIT, None, None, None]


def test_a_flat_folder_is_taken_for_the_models_contrast(tmp_path):
    entries = read_cohort(folder_of(tmp_path, "a.nii.gz", "b.mgz", "notes.txt"), T1W)
    assert [(e.id, e.contrast) for e in entries] == [("a", Contrast.T1W), ("b", Contrast.T1W)]


def test_a_pair_is_one_scan_and_hidden_files_are_none(tmp_path):
    folder = folder_of(
        tmp_path,
        *("sub-01_T1w.hdr", "sub-01_T1w.img", "._sub-01_T1w.nii.gz"),
        *(".git/annex/sub-09_T1w.nii.gz", "sub-02_T1w.img"),
    )
    assert [e.path.name for e in read_cohort(folder, T1W)] == ["sub-01_T1w.hdr", "sub-02_T1w.img"]


def test_a_folder_in_a_hidden_folder_is_read(tmp_path):
    folder = folder_of(tmp_path / ".hidden", "sub-01_T1w.nii.gz")
    assert len(read_cohort(folder, T1W)) == 1


@pytest.mark.parametrize("names", [(), ("sub-01_FLAIR.nii.gz",), ("readme.txt",)])
def test_a_folder_without_a_scan_of_the_contrast_is_refused(names, tmp_path):
    with pytest.raises(Refused, match="holds no T1w scan"):
        read_cohort(folder_of(tmp_path, *names), T1W)


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(Refused, match="is not a folder"):
        read_cohort(tmp_path / "nowhere", T1W)


def test_one_id_twice_names_both_files(tmp_path):
    folder = folder_of(tmp_path, "a/sub-01_T1w.nii.gz", "b/sub-01_T1w.nii.gz")
    with pytest.raises(Refused, match=r"two scans have this id \(.*a/sub-01.*b/sub-01"):
        read_cohort(folder, T1W)


def test_a_single_file_finds_the_age_of_its_data_set(tmp_path):
    table = "participant_id\tage\nsub-01\t63\n"
    folder = folder_of(tmp_path, "sub-01/anat/sub-01_FLAIR.nii.gz", table=table)
    entry = entry_of(folder / "sub-01/anat/sub-01_FLAIR.nii.gz", Contrast.T1W)
    assert (entry.age, entry.contrast) == (63, Contrast.FLAIR)
    assert entry_of(folder / "any.nii", Contrast.T1W).contrast is Contrast.T1W


def people(names) -> list[Entry]:
    return [Entry(id=n, person=n, path=Path(n), contrast=Contrast.T1W) for n in names]


@given(st.sets(st.text("abcdef0123456789", min_size=1), min_size=1, max_size=40))
def test_everyone_gets_one_split_whatever_the_order(names):
    one = {e.id: e.split for e in with_splits(people(sorted(names)), SHARES)}
    two = {e.id: e.split for e in with_splits(people(sorted(names, reverse=True)), SHARES)}
    assert one == two
    assert None not in one.values()


def test_the_visits_of_one_person_stay_together_and_the_shares_are_kept():
    visits = [
        Entry(id=f"{n}_{v}", person=f"{n}", path=Path("x"), contrast=Contrast.T1W)
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
        Entry(id="c", person="c", path=Path("c"), contrast=Contrast.T1W, split=Split.TEST),
    ]
    assert with_splits(given_, SHARES) == given_


def test_different_ids_are_no_reason_to_refuse():
    refuse_repeated_ids(people("abc"))
    with pytest.raises(Refused):
        refuse_repeated_ids(people("aba"))
