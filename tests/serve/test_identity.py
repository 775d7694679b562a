"""No name of a patient is shown, and none is written, unless it is asked for."""

import gzip
import io
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from starlette.testclient import TestClient

from hale.serve.app import application
from hale.serve.jobs import PROGRESS, new_job
from hale.serve.kinds import read_exam_of
from hale.serve.progress import Progress
from hale.serve.worker import Task, done

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
from dicom_series import BORN, PATIENT, T1_TIMES, Exam, Stack, write_classic

sys.path.insert(0, str(Path(__file__).parent))
from balls import AFFINE, ball

NAME = "Zyxgruber^Quirina"  # parts of no other word
PERSON = (*NAME.split("^"), PATIENT, BORN)


@pytest.fixture(scope="module")
def dicom(tmp_path_factory) -> Path:
    """A T1w series of a ball, as a scanner writes it: with names everywhere."""
    folder = tmp_path_factory.mktemp("dicom") / "ZYXGRUBER"
    stack = Stack(values=ball(91, lesions=2), affine=AFFINE)
    tags = {"SeriesNumber": 3, "SeriesDescription": "T1 MPRAGE Quirina", **T1_TIMES}
    write_classic(folder, stack, tags, exam=Exam())
    for path in folder.rglob("*"):
        read = dcmread(path)
        read.PatientName = NAME
        read.InstitutionName = "Zyxgruber Memorial"
        read.StudyDescription = f"brain of {NAME}"
        block = read.private_block(0x0011, "MAKER", create=True)
        block.add_new(0x01, "LO", f"seen: {NAME}")
        block.add_new(0x02, "OB", b"anything")
        other = Dataset()
        other.PatientID = PATIENT
        read.SourceImageSequence = [other]
        read.save_as(path)
    return folder


def zipped(folder: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for path in sorted(folder.rglob("*")):
            made.write(path, f"{folder.name}/{path.name}")
    return file.getvalue()


def named_in(folder: Path) -> list[str]:
    """Files whose name or content says who it is."""
    words = [word.lower().encode() for word in PERSON]
    found = []
    for path in folder.rglob("*"):
        said = str(path.relative_to(folder)).lower().encode()
        if path.is_file():
            said += path.read_bytes().lower()
        if any(word in said for word in words):
            found.append(path.name)
    return found


def task(station, told) -> tuple[Task, Progress]:
    upload = station.uploads / told["id"]
    exam = read_exam_of(upload, None)
    job = new_job(name=exam.name, upload=upload.name, exam=exam.id, models=("intensity",))
    folder = station.jobs / job.id
    folder.mkdir(parents=True)
    place = Task(station=station, job=replace(job, insist=True), upload=upload, exam=exam)
    return place, Progress(path=folder / PROGRESS, plan=())


def test_a_zipped_exam_gives_a_result_that_names_nobody(station, browser, dicom, ids):
    answer = browser.post("/api/uploads", files=[("files", ("ZYXGRUBER.zip", zipped(dicom)))])
    told = answer.json()
    (exam,) = told["exams"]
    assert exam["kind"] == "DICOM"
    assert exam["contrasts"] == ["T1w"]
    assert not any(word in answer.text for word in PERSON)
    work, progress = task(station, told)
    assert done(work, progress) == []
    result = station.folder / progress.results[0]
    assert (result / "report.html").is_file()
    details = browser.get("/api/results")
    assert not any(word in details.text for word in PERSON)
    assert "exam-" in details.text
    url = next(f"/api/results/{row['id']}" for row in details.json() if row["path"] not in ids)
    assert browser.get(url).json()["dicom"] is True
    _draw_and_export(browser, url, station, told)
    assert named_in(station.folder) == []


def _draw_and_export(browser, url, station, told) -> None:
    """A mask that is drawn comes back as DICOM SEG, of the series, and of nobody."""
    shape = browser.get(url).json()["grid"]["shape"]
    paint = np.zeros(shape, np.uint8)
    paint[10:13, 10:13, 10:13] = 1
    paint[4, 10, 10] = 1
    body = gzip.compress(paint.tobytes(order="F"))
    assert browser.put(f"{url}/mask", content=body, headers={"x-who": "A"}).status_code == 200
    seg = dcmread(io.BytesIO(browser.get(f"{url}/export/mask.seg.dcm").content))
    source = dcmread(next((station.uploads / told["id"]).rglob("*.dcm")))
    assert seg.StudyInstanceUID == source.StudyInstanceUID
    assert seg.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert str(seg.PatientName) == ""
    assert sum(int(np.count_nonzero(frame)) for frame in seg.pixel_array) == 28
    kinds = {str(segment.SegmentAlgorithmType) for segment in seg.SegmentSequence}
    assert kinds == {"SEMIAUTOMATIC"}


def test_what_makes_a_series_stays(station, browser, dicom):
    files = [("files", (path.name, path.read_bytes())) for path in sorted(dicom.rglob("*"))]
    told = browser.post("/api/uploads", files=files).json()
    kept = sorted((station.uploads / told["id"]).rglob("*.dcm"))
    one, source = dcmread(kept[0]), dcmread(sorted(dicom.rglob("*"))[0])
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PixelData"):
        assert one[name].value == source[name].value
    assert one.SeriesDescription == "T1 MPRAGE"
    assert str(one.PatientName) == ""
    assert one.PatientID != PATIENT
    assert len({dcmread(path).PatientID for path in kept}) == 1  # still one patient
    assert one.SourceImageSequence[0].PatientID == one.PatientID  # at any depth
    assert not [element for element in one if element.tag.is_private]


def test_what_holds_no_image_is_passed_over(browser, dicom):
    """A directory of the disk and a dose report lie beside most exams."""
    files = [("files", (path.name, path.read_bytes())) for path in sorted(dicom.rglob("*"))]
    report = dcmread(sorted(dicom.rglob("*"))[0])
    for name in ("PixelData", "Rows", "Columns"):
        delattr(report, name)
    report.StudyInstanceUID = generate_uid()
    report.Modality = "SR"
    file = io.BytesIO()
    report.save_as(file)
    other = ("files", ("dose", file.getvalue()))
    answer = browser.post("/api/uploads", files=[other, *files])
    assert answer.status_code == 200
    (exam,) = answer.json()["exams"]
    assert exam["contrasts"] == ["T1w"]
    assert exam["notes"][-1] == "1 files passed over: they are no scans"
    answer = browser.post("/api/uploads", files=[other])
    assert "holds no scan" in answer.json()["error"]


def test_two_patients_in_one_study_are_refused_without_their_names(browser, dicom):
    first, *others = sorted(dicom.rglob("*"))
    other = dcmread(first)
    other.PatientID = "OTHER-1"
    other.SOPInstanceUID = generate_uid()
    file = io.BytesIO()
    other.save_as(file)
    files = [("files", ("x", file.getvalue()))]
    files += [("files", ("y", path.read_bytes())) for path in others]
    answer = browser.post("/api/uploads", files=files)
    assert answer.status_code == 400
    assert "2 patients" in answer.json()["error"]
    assert not any(word in answer.text for word in (*PERSON, "OTHER"))


def test_names_are_kept_if_asked_for(station, keys, browser, dicom):
    open_one = replace(station, keep_identifiers=True)
    other = TestClient(application(open_one, keys), base_url="http://127.0.0.1:8737")
    other.cookies = browser.cookies
    told = other.post("/api/uploads", files=[("files", ("ZYXGRUBER.zip", zipped(dicom)))]).json()
    assert told["exams"][0]["name"] == PATIENT
    kept = next((station.uploads / told["id"]).rglob("*.dcm"))
    assert str(dcmread(kept).PatientName) == NAME


def test_dicom_that_is_picked_names_nobody(station, keys, browser, dicom):
    other = replace(station, scans=dicom.parent)
    client = TestClient(application(other, keys), base_url="http://127.0.0.1:8737")
    client.cookies = browser.cookies
    listed = client.get("/api/scans")
    assert not any(word in listed.text for word in (*PERSON, "ZYXGRUBER"))
    asked = {"scan": listed.json()[0]["id"], "models": ["intensity"]}
    assert client.post("/api/jobs", json=asked).status_code == 200
    assert named_in(station.folder) == []
