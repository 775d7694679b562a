"""What is dropped on the page becomes exams: files of a contrast each, names that say nothing."""

import io
import json
import sys
import zipfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hale.core.errors import Refused
from hale.serve.archives import unpack
from hale.serve.kinds import read_exam_of, write_exams
from hale.serve.picks import picks
from hale.serve.uploads import Arrived, tidy

sys.path.insert(0, str(Path(__file__).parent))
from balls import ball, nifti


@pytest.fixture
def send(browser):
    def sent(*files: tuple[str, bytes]) -> list[dict]:
        answer = browser.post("/api/uploads", files=[("files", file) for file in files])
        assert answer.status_code == 200, answer.text
        return answer.json()["exams"]

    return sent


SCAN = nifti(ball(1))


def test_several_contrasts_of_one_name_are_one_exam(send):
    (exam,) = send(("p7_T1w.nii.gz", SCAN), ("p7_FLAIR.nii.gz", SCAN), ("p7 t2.nii.gz", SCAN))
    assert exam["contrasts"] == ["T1w", "FLAIR", "T2w"]
    assert exam["kind"] == "NIfTI"
    assert exam["files"] == {c: f"{c}.nii.gz" for c in ("T1w", "FLAIR", "T2w")}


def test_bare_contrasts_of_one_folder_are_one_exam_that_is_not_called_by_the_server(send):
    (exam,) = send(("T1.nii.gz", SCAN), ("FLAIR.nii.gz", SCAN))
    assert exam["contrasts"] == ["T1w", "FLAIR"]
    assert exam["name"].startswith("exam-")


def test_two_people_are_never_one_exam(send):
    """Of other names, or of other folders, though no contrast is there twice."""
    named = send(("smith_T1.nii.gz", SCAN), ("jones_FLAIR.nii.gz", SCAN))
    assert [exam["contrasts"] for exam in named] == [["T1w"], ["FLAIR"]]
    lying = send(("all/pat1/T1.nii.gz", SCAN), ("all/pat2/FLAIR.nii.gz", SCAN))
    assert [exam["contrasts"] for exam in lying] == [["T1w"], ["FLAIR"]]
    windows = send(("a\\x_T1.nii.gz", SCAN), ("b\\x_FLAIR.nii.gz", SCAN))
    assert [exam["contrasts"] for exam in windows] == [["T1w"], ["FLAIR"]]


def test_two_people_are_two_exams_under_their_pseudonyms(send):
    names = ("sub-01_ses-1_T1w", "sub-01_ses-1_FLAIR", "sub-02_ses-1_T1w")
    exams = send(*[(f"{name}.nii.gz", SCAN) for name in names])
    assert [(exam["name"], exam["contrasts"]) for exam in exams] == [
        ("sub-01_ses-1", ["T1w", "FLAIR"]),
        ("sub-02_ses-1", ["T1w"]),
    ]


def test_two_scans_of_a_contrast_stay_apart(send):
    exams = send(("a_T1w.nii.gz", SCAN), ("b_T1w.nii.gz", nifti(ball(2))))
    assert [exam["contrasts"] for exam in exams] == [["T1w"], ["T1w"]]
    assert len({exam["name"] for exam in exams}) == 2


def test_a_scan_of_unknown_contrast_asks_for_it(send):
    (exam,) = send(("scan.nii.gz", SCAN))
    assert exam["contrasts"] == []
    assert "choose it" in exam["notes"][0]


def test_a_side_car_says_the_contrast_and_no_more_is_kept_of_it(send, station):
    told = {"SeriesDescription": "FLAIR ax", "PatientName": "Doe^Jane", "EchoTime": 0.1}
    (exam,) = send(("scan.nii.gz", SCAN), ("scan.json", json.dumps(told).encode()))
    assert exam["contrasts"] == ["FLAIR"]
    kept = next(station.uploads.rglob("scan.json")).read_text()
    assert "FLAIR" in kept
    assert "Doe" not in kept


def test_an_archive_is_the_files_within_it(send):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("exam/anat/sub-05_T1w.nii.gz", SCAN)
        made.writestr("exam/anat/sub-05_desc-lesion_mask.nii.gz", SCAN)
        made.writestr("__MACOSX/exam/anat/._sub-05_T1w.nii.gz", b"junk")
        made.writestr("exam/readme.txt", b"hello")
    (exam,) = send(("exam.zip", file.getvalue()))
    assert (exam["name"], exam["contrasts"]) == ("sub-05", ["T1w"])
    assert "2 files passed over" in exam["notes"][-1]  # readme and mask


def test_slices_come_as_pictures(send):
    array, picture = io.BytesIO(), io.BytesIO()
    np.save(array, np.random.default_rng(0).random((32, 40)))
    Image.fromarray(np.arange(1024, dtype=np.uint8).reshape(32, 32)).save(picture, format="PNG")
    exams = send(("FLAIR.npy", array.getvalue()), ("t1.png", picture.getvalue()))
    assert {exam["kind"] for exam in exams} == {"picture"}


def test_a_name_that_may_be_a_person_s_is_not_kept(send, station):
    (exam,) = send(("DOE_JANE_T1w.nii.gz", SCAN))
    assert exam["name"].startswith("exam-")
    for path in station.folder.rglob("*"):
        assert "DOE" not in str(path)
        if path.is_file() and path.stat().st_size < 10_000:
            assert b"DOE" not in path.read_bytes()


def test_names_are_kept_if_asked_for(station, keys, browser):
    from starlette.testclient import TestClient

    from hale.serve.app import application

    open_one = replace(station, keep_identifiers=True)
    other = TestClient(application(open_one, keys), base_url="http://127.0.0.1:8737")
    other.cookies = browser.cookies
    answer = other.post("/api/uploads", files=[("files", ("DOE_JANE_T1w.nii.gz", SCAN))])
    assert answer.json()["exams"][0]["name"] == "DOE_JANE"


def test_scans_of_a_folder_are_there_to_pick(browser, station):
    scans = {scan["name"]: scan for scan in browser.get("/api/scans").json()}
    assert {"sub-90", "sub-91", "sub-01"} <= scans.keys()
    assert scans["sub-91"]["contrasts"] == ["T1w"]
    assert not {"ill", "scan", "anomaly"} & scans.keys()  # results lie there too
    asked = {"scan": scans["sub-91"]["id"], "models": ["intensity"]}
    job = browser.post("/api/jobs", json=asked).json()
    assert (job["name"], job["state"]) == ("sub-91", "queued")
    upload = next(station.uploads.iterdir())
    exam = read_exam_of(upload, None)
    assert (
        Path(exam.files["T1w"]).read_bytes() == (station.scans / "sub-91_T1w.nii.gz").read_bytes()
    )


def test_names_of_scans_to_pick_are_shown_only_if_asked_for(station, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "DOE_JANE_T1w.nii.gz").write_bytes(SCAN)
    (pick,) = picks(scans)
    assert "DOE" not in str(pick.as_json(station))
    assert pick.as_json(replace(station, keep_identifiers=True))["name"] == "DOE_JANE"


def test_what_was_not_sorted_when_the_station_was_killed_goes(station):
    cut, whole = station.uploads / "a", station.uploads / "b"
    for folder in (cut, whole):
        (folder / "incoming").mkdir(parents=True)
        (folder / "incoming/000000").write_bytes(b"DOE")
    write_exams(whole, [])
    tidy(station)
    assert [path.name for path in station.uploads.iterdir()] == ["b"]
    assert not (whole / "incoming").exists()


def test_an_archive_stops_before_the_disk_is_full(station, tmp_path, monkeypatch):
    """It is asked before each piece, and a disk that says no is told as such."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a_T1w.nii", bytes(3 * 2**20))
    left = [2**40, 2**40, 0]
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(left.pop(0)))
    into = tmp_path / "into"
    into.mkdir()
    arrived = Arrived(path=path, name="a.zip")
    with pytest.raises(Refused, match="does not fit"):
        unpack(arrived, into, most_bytes=2**30)
    assert (into / "000000").stat().st_size == 2 * 2**20

    def full(_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hale.serve.archives.refuse_full_disk", full)
    (into / "000000").unlink()
    with pytest.raises(Refused, match="No space left"):
        unpack(arrived, into, most_bytes=2**30)
