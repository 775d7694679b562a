"""What a user points at becomes entries: which files, under which id, or why not."""

import sys
from pathlib import Path

import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.scan import Contrast, Split
from hale.data.folder import Reading
from hale.io.cache import Cache
from hale.pipeline.exams import Asked, asked_for, contrast_meant, entries_of, only_exam
from hale.pipeline.prepare import prepared_or_failure
from hale.pipeline.workers import Failure
from hale.prep.chain import space_of
from hale.prep.settings import Preparation

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
from dicom_series import FLAIR_TIMES, T1_TIMES, Exam, Stack, ct, write_classic, write_localiser

T1W, T2W, FLAIR = Contrast.T1W, Contrast.T2W, Contrast.FLAIR
RUN_2 = Reading(entities=("run-2",))
ONE, TWO = ((T1W,),), ((T1W, Contrast.T1W_CE), (FLAIR,))


def touched(folder: Path, *names: str) -> list[Path]:
    """Make empty files: nothing here reads a voxel."""
    paths = [folder / f"{name}.nii.gz" for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def test_files_by_contrast_come_in_the_order_of_the_models_channels(tmp_path):
    t1, t2, flair = touched(tmp_path, "a_T1w", "a_T2w", "a_FLAIR")
    asked = Asked(named={FLAIR: flair, T2W: t2, T1W: t1})
    (entry,), single = entries_of(asked, TWO, tmp_path)
    assert single
    assert list(entry.files.items()) == [(T1W, t1), (FLAIR, flair)]
    assert entry.notes == ("not used by this model: T2w",)


def test_a_file_is_what_it_says_else_what_the_user_says_else_the_models_first(tmp_path):
    named, nameless = touched(tmp_path, "a_FLAIR", "b")
    slots = ((T2W, FLAIR),)
    said = {
        entries_of(Asked(paths=[path], contrast=contrast), slots, tmp_path)[0][0].contrast
        for path, contrast in ((named, None), (nameless, FLAIR))
    }
    assert said == {FLAIR}
    assert entries_of(Asked(paths=[nameless]), slots, tmp_path)[0][0].contrast is T2W


@pytest.mark.parametrize("insist", [False, True])
def test_a_name_that_contradicts_the_user_is_refused_unless_insisted(insist, tmp_path):
    (path,) = touched(tmp_path, "a_FLAIR")
    asked = Asked(paths=[path], contrast=T1W, insist=insist)
    if insist:
        assert entries_of(asked, ONE, tmp_path)[0][0].files == {T1W: path}
        return
    with pytest.raises(Refused, match=r"is given as T1w, but says FLAIR \(description 'a flair'\)"):
        entries_of(asked, ONE, tmp_path)


def test_contrast_agent_is_often_left_out_of_a_name(tmp_path):
    (path,) = touched(tmp_path, "a_T1w")
    asked = Asked(named={Contrast.T1W_CE: path})
    (entry,), _ = entries_of(asked, ((Contrast.T1W_CE,),), tmp_path)
    assert entry.files == {Contrast.T1W_CE: path}


def test_what_cannot_be_an_exam_is_refused_by_name(tmp_path):
    (path,) = touched(tmp_path, "sub-1_T1w")
    for asked, slots, said in (
        (Asked(), ONE, "scans: none is given"),
        (Asked(paths=[path], named={T1W: path}), ONE, "both with and without a contrast"),
        (Asked(named={T2W: path}), ((T2W,),), "given as T2w, but says T1w"),
        (Asked(named={T2W: path}, insist=True), ONE, "sub-1: is T2w, the model takes T1w"),
        (Asked(paths=[path]), TWO, "is one file, the model takes T1w/T1w-ce [+] FLAIR; give --t1w"),
        (Asked(paths=[path, path]), ONE, "sub-1: two scans have this id"),
        (Asked(paths=[tmp_path], split=Split.TEST), ONE, "--split test: no scan has it"),
        (Asked(paths=[path], series={T1W: "5"}), ONE, "--series T1w=5: .* is no folder of DICOM"),
        (Asked(named={T1W: path}, series={T1W: "5"}), ONE, "--series T1w=5: .*sub-1_T1w"),
        (Asked(paths=[path], reading=RUN_2), ONE, "--entity run-2: no scan has it"),
        (Asked(named={T1W: path}, reading=RUN_2), ONE, "--entity run-2: no scan has it"),
    ):
        with pytest.raises(Refused, match=said):
            entries_of(asked, slots, tmp_path / "scratch")


def test_a_subject_or_session_is_one_exam_any_other_folder_a_cohort(tmp_path):
    touched(tmp_path, "sub-1/ses-a/anat/sub-1_ses-a_T1w")
    for folder, alone in (("sub-1", True), ("sub-1/ses-a", True), ("sub-1/ses-a/anat", False)):
        (entry,), single = entries_of(Asked(paths=[tmp_path / folder]), ONE, tmp_path)
        assert entry.id == "sub-1_ses-a"
        assert single is alone
    touched(tmp_path, "sub-1/ses-b/anat/sub-1_ses-b_T1w")
    entries, single = entries_of(Asked(paths=[tmp_path / "sub-1"]), ONE, tmp_path)
    assert ([e.id for e in entries], single) == (["sub-1_ses-a", "sub-1_ses-b"], False)


def test_runs_are_settled_by_entities(tmp_path):
    touched(tmp_path, "sub-1/sub-1_run-1_T1w", "sub-1/sub-1_run-2_T1w")
    with pytest.raises(Refused, match="sub-1: has 2 T1w scans: sub-1_run-1_T1w"):
        entries_of(Asked(paths=[tmp_path / "sub-1"]), ONE, tmp_path)
    asked = Asked(paths=[tmp_path / "sub-1"], reading=RUN_2)
    assert only_exam(asked, ONE, tmp_path).path.name == "sub-1_run-2_T1w.nii.gz"


def test_an_entity_of_one_folder_leaves_the_others_alone(tmp_path):
    touched(tmp_path, "a/sub-1_run-1_T1w", "a/sub-1_run-2_T1w", "b/sub-2_T1w")
    asked = Asked(paths=[tmp_path / "a", tmp_path / "b"], reading=RUN_2)
    names = [entry.path.name for entry in entries_of(asked, ONE, tmp_path)[0]]
    assert names == ["sub-1_run-2_T1w.nii.gz", "sub-2_T1w.nii.gz"]


def test_an_exam_that_is_not_settled_is_refused_alone_and_carried_in_a_cohort(tmp_path):
    touched(tmp_path, "sub-1_run-1_T1w", "sub-1_run-2_T1w")
    with pytest.raises(Refused, match="sub-1: has 2 T1w scans"):
        only_exam(Asked(paths=[tmp_path]), ONE, tmp_path)
    touched(tmp_path, "sub-2_T1w")
    entries, _ = entries_of(Asked(paths=[tmp_path]), ONE, tmp_path)
    assert [entry.refusal is None for entry in entries] == [False, True]
    failure = prepared_or_failure(entries[0], Preparation(), Cache(), space_of(Preparation()))
    assert isinstance(failure, Failure)
    assert failure.reason.startswith("sub-1: has 2 T1w scans")


def test_one_exam_is_wanted_and_a_cohort_refused(tmp_path):
    touched(tmp_path, "sub-1_T1w", "sub-2_T1w")
    with pytest.raises(Refused, match=r"holds 2 exams \(sub-1, ...\)"):
        only_exam(asked_for(tmp_path), ONE, tmp_path)


def test_contrasts_are_named_as_bids_names_them():
    assert asked_for({"T1w": "a.nii"}).named == {T1W: Path("a.nii")}
    with pytest.raises(Refused, match="t1: is no contrast; there are T1w, T2w"):
        asked_for({"t1": "a.nii"})


def test_the_contrast_of_a_single_scan_is_said_named_or_the_only_one(tmp_path):
    flair, t2, t1, nameless = touched(tmp_path, "x/a_FLAIR", "y/a_T2w", "z/a_T1w", "w/b")
    assert contrast_meant(Asked(paths=[flair], contrast=Contrast.PDW)) is Contrast.PDW
    assert contrast_meant(Asked(paths=[flair])) is FLAIR
    assert contrast_meant(Asked(paths=[flair.parent])) is FLAIR
    assert contrast_meant(Asked(paths=[nameless])) is T1W
    assert contrast_meant(Asked(paths=[tmp_path])) is T1W
    assert contrast_meant(Asked(named={T2W: t2})) is T2W
    t1.unlink()
    with pytest.raises(Refused, match=r"holds FLAIR, T2w; say which with --contrast"):
        contrast_meant(Asked(paths=[tmp_path]))


@pytest.fixture(scope="module")
def stack() -> Stack:
    values = np.random.default_rng(0).integers(0, 500, (16, 18, 20)).astype(np.int16)
    return Stack(values=values, affine=np.diag([-10.0, -10.0, 8.0, 1.0]))


def test_the_contrast_of_dicom_is_that_of_its_only_good_series(stack, tmp_path):
    who, folder = Exam(), tmp_path / "exam"
    write_localiser(folder, stack, exam=who, number=1)
    tags = {"SeriesNumber": 2, "SeriesDescription": "Head native"}
    write_classic(folder, stack, ct(tags), exam=who)
    assert contrast_meant(Asked(paths=[folder])) is Contrast.CT
    tags = {"SeriesNumber": 5, "SeriesDescription": "Ax FLAIR", **FLAIR_TIMES}
    write_classic(folder, stack, tags, exam=who)
    with pytest.raises(Refused, match=r"holds CT, FLAIR; say which with --contrast"):
        contrast_meant(Asked(paths=[folder]))
    assert contrast_meant(Asked(paths=[folder], series={FLAIR: "5"})) is FLAIR


def test_a_dicom_folder_is_one_exam_called_by_its_folder(stack, tmp_path):
    who, folder = Exam(), tmp_path / "exam"
    tags = {"SeriesNumber": 3, "SeriesDescription": "Ax T1", **T1_TIMES}
    slices = write_classic(folder, stack, tags, exam=who, shuffle=1)
    write_localiser(folder, stack, exam=who, number=1)
    (entry,), single = entries_of(Asked(paths=[folder]), ONE, tmp_path / "scratch")
    assert single
    assert (entry.id, entry.person) == ("exam", "exam")
    assert set(entry.dicom) == set(slices)
    assert entry.notes == ("T1w: DICOM series 3 (Ax T1), by description 'Ax T1'",)
    assert entry.path.is_relative_to(tmp_path / "scratch")
