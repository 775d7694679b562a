"""Exams found by their names."""

import re
from pathlib import Path

import pytest

from hale.core.errors import Refused
from hale.core.scan import Contrast, Slots, Split
from hale.data.bids import entry_of, read_bids
from hale.data.names import exam_of
from hale.pipeline.prepare import read_entry

T1W: Slots = ((Contrast.T1W,),)
BOTH: Slots = ((Contrast.T1W,), (Contrast.FLAIR,))
ANY: Slots = ((Contrast.T1W, Contrast.T1W_CE),)


def folder_of(folder: Path, *names: str, table: str | None = None) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    if table is not None:
        (folder / "participants.tsv").write_text(table, encoding="utf-8")
    return folder


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
    entries = read_bids(folder, T1W)
    assert [e.id for e in entries] == ["sub-01", "sub-02_ses-a", "sub-02_ses-b", "sub-03"]
    assert [e.person for e in entries] == ["sub-01", "sub-02", "sub-02", "sub-03"]
    assert [e.age for e in entries] == [40, None, None, None]
    assert [e.split for e in entries] == [Split.FIT, None, None, None]


def test_the_contrasts_of_an_exam_come_in_the_models_order(tmp_path):
    folder = folder_of(
        tmp_path,
        *("sub-01/anat/sub-01_FLAIR.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz"),
        *("sub-02/anat/sub-02_T1w.nii.gz", "sub-03/anat/sub-03_T2w.nii.gz"),
    )
    whole, half = read_bids(folder, BOTH)
    assert list(whole.files) == [Contrast.T1W, Contrast.FLAIR]
    assert whole.path.name == "sub-01_T1w.nii.gz"
    assert list(half.files) == [Contrast.T1W]  # refused when it is prepared, not lost


def test_a_slot_of_two_contrasts_takes_the_first_that_is_there(tmp_path):
    names = ("sub-01_ce-gd_T1w.nii.gz", "sub-02_ce-gd_T1w.nii.gz", "sub-02_T1w.nii.gz")
    first, second = read_bids(folder_of(tmp_path, *names), ANY)
    assert list(first.files) == [Contrast.T1W_CE]
    assert list(second.files) == [Contrast.T1W]
    assert second.notes == ("not used by this model: T1w-ce",)


def test_two_scans_of_a_contrast_are_refused_by_name_and_told_apart_by_an_entity(tmp_path):
    names = ["sub-01_acq-mprage_T1w.nii.gz", "sub-01_acq-spgr_run-1_T1w.nii.gz"]
    folder = folder_of(tmp_path, *names, "sub-02_T1w.nii.gz")
    first, second = read_bids(folder, T1W)
    assert second.refusal is None  # one exam that is not settled leaves the others alone
    assert re.match(r"sub-01: has 2 T1w scans: .*mprage.*spgr.*--entity", str(first.refusal))
    assert first.sha256 == []
    with pytest.raises(Refused, match="has 2 T1w scans"):
        read_entry(first)
    assert read_bids(folder, T1W, ["acq-spgr"])[0].path.name == names[1]
    assert read_bids(folder, T1W, ["run-1"])[0].path.name == names[1]
    (first, _) = read_bids(folder, T1W, ["acq-mp"])  # an entity is meant whole
    assert "has 2 T1w" in str(first.refusal)


def test_derivatives_and_source_data_are_no_scans(tmp_path):
    folder = folder_of(
        tmp_path,
        *("sub-01_T1w.nii.gz", "derivatives/x/sub-01_T1w.nii.gz", "sourcedata/sub-02_T1w.nii.gz"),
    )
    assert [e.id for e in read_bids(folder, T1W)] == ["sub-01"]


def test_a_flat_folder_is_taken_for_the_models_contrast(tmp_path):
    entries = read_bids(folder_of(tmp_path, "a.nii.gz", "b.mgz", "notes.txt"), T1W)
    assert [(e.id, e.contrast) for e in entries] == [("a", Contrast.T1W), ("b", Contrast.T1W)]


def test_names_without_a_subject_belong_together_by_what_is_before_the_contrast(tmp_path):
    (entry,) = read_bids(folder_of(tmp_path, "case7_T1w.nii.gz", "case7_FLAIR.nii.gz"), BOTH)
    assert (entry.id, list(entry.files)) == ("case7", [Contrast.T1W, Contrast.FLAIR])


@pytest.mark.parametrize(
    ("name", "exam"),
    [
        *(("p1_T1", "p1"), ("p1_FLAIR", "p1"), ("p1-t1ce", "p1"), ("case-7-t2f", "case-7")),
        *(("p1_t1_post", "p1"), ("T1_MPRAGE_p1", "p1"), ("p1_t1_b", "p1_b"), ("T1.p1", "p1")),
        *(("p1/t1", "p1"), ("p1/anat/flair", "p1"), ("p1/T1/T1_MPRAGE", "p1"), ("x/a_b", "a_b")),
        *(("sub-1/t1", "sub-1"), ("sub-1/ses-2/t1", "sub-1_ses-2"), ("p1/PD-7_T1w", "PD-7")),
        *(("p1_acq-mprage_T1", "p1_acq-mprage"), ("IXI010-HH-1010_T1w", "IXI010-HH-1010")),
    ],
)
def test_an_exam_is_called_by_what_is_not_its_contrast(name, exam):
    assert exam_of(Path(f"/data/{name}.nii.gz")) == exam


@pytest.mark.parametrize("name", ["{}_{}", "{}/{}"])
def test_loose_files_of_several_contrasts_belong_together(name, tmp_path):
    names = [name.format(person, word) for person in ("p1", "p2") for word in ("T1", "flair")]
    entries = read_bids(folder_of(tmp_path, *(f"{name}.nii.gz" for name in names)), BOTH)
    assert [entry.id for entry in entries] == ["p1", "p2"]
    for entry in entries:
        assert entry.refusal is None
        assert list(entry.files) == [Contrast.T1W, Contrast.FLAIR]


def test_a_prepared_exam_brings_its_brain_and_its_name_and_another_does_not(tmp_path):
    names = ("a.b_T1w/a.b_T1w_T1w.nii.gz", "a.b_T1w/a.b_T1w_desc-brain_mask.nii.gz")
    folder = folder_of(tmp_path, *names)
    assert read_bids(folder, T1W)[0].brain is None
    (folder / "a.b_T1w/prepared.json").touch()
    (entry,) = read_bids(folder, T1W)
    assert (entry.id, entry.brain) == ("a.b_T1w", folder / names[1])


def test_a_pair_is_one_scan_and_hidden_files_are_none(tmp_path):
    folder = folder_of(
        tmp_path,
        *("sub-01_T1w.hdr", "sub-01_T1w.img", "._sub-01_T1w.nii.gz"),
        *(".git/annex/sub-09_T1w.nii.gz", "sub-02_T1w.img"),
    )
    assert [e.path.name for e in read_bids(folder, T1W)] == ["sub-01_T1w.hdr", "sub-02_T1w.img"]


def test_a_folder_in_a_hidden_folder_is_read(tmp_path):
    folder = folder_of(tmp_path / ".hidden", "sub-01_T1w.nii.gz")
    assert len(read_bids(folder, T1W)) == 1


@pytest.mark.parametrize("names", [(), ("sub-01_FLAIR.nii.gz",), ("readme.txt",)])
def test_a_folder_without_a_scan_of_the_contrast_is_refused(names, tmp_path):
    with pytest.raises(Refused, match="holds no T1w scan"):
        read_bids(folder_of(tmp_path, *names), T1W)


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(Refused, match="is not a folder"):
        read_bids(tmp_path / "nowhere", T1W)


def test_one_id_twice_names_both_files(tmp_path):
    folder = folder_of(tmp_path, "a/sub-01_T1w.nii.gz", "b/sub-01_T1w.nii.gz")
    (entry,) = read_bids(folder, T1W)
    assert re.search(r"has 2 T1w scans: .*a/sub-01.*b/sub-01", str(entry.refusal))


def test_a_single_file_finds_the_age_of_its_data_set(tmp_path):
    table = "participant_id\tage\nsub-01\t63\n"
    folder = folder_of(tmp_path, "sub-01/anat/sub-01_FLAIR.nii.gz", table=table)
    path = folder / "sub-01/anat/sub-01_FLAIR.nii.gz"
    assert entry_of({Contrast.FLAIR: path}, ((Contrast.FLAIR,),)).age == 63


def test_files_that_a_model_cannot_take_are_refused_and_those_it_does_not_need_are_said(tmp_path):
    files = {Contrast.FLAIR: tmp_path / "b.nii", Contrast.T1W: tmp_path / "a.nii"}
    assert entry_of(files, BOTH).path.name == "a.nii"
    assert entry_of(files, T1W).notes == ("not used by this model: FLAIR",)
    with pytest.raises(Refused, match=r"is FLAIR \+ T1w, the model takes T2w"):
        entry_of(files, ((Contrast.T2W,),))
