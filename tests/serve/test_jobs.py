"""Jobs: queued, run by a process each, cancelled, and gone on with after the server was killed."""

import hashlib
import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.scan import Contrast
from hale.prep.settings import Mode
from hale.serve import shelf
from hale.serve.jobs import PROGRESS, Queue, State, new_job, read_job
from hale.serve.kinds import Exam, Kind, write_exams
from hale.serve.place import MADE
from hale.serve.progress import AGAIN, USUAL, Progress, expected
from hale.serve.results import result_in
from hale.serve.scans import scans_of
from hale.serve.worker import Task, done

sys.path.insert(0, str(Path(__file__).parent))
from balls import ball, nifti


@pytest.fixture
def exam(station) -> Path:
    """An upload of one scan, its folder."""
    upload = station.uploads / "0123456789abcdef"
    (upload / "exam-1").mkdir(parents=True)
    (upload / "exam-1/T1w.nii.gz").write_bytes(nifti(ball(91, lesions=2)))
    one = Exam(
        id="1",
        name="exam-1a2b3c4d",
        kind=Kind.NIFTI,
        files={"T1w": "exam-1/T1w.nii.gz"},
        called={"T1w": "T1w.nii.gz"},
        contrasts=("T1w",),
    )
    write_exams(upload, [one])
    return upload


@pytest.fixture
def ball_model(station) -> str:
    return next(o.id for o in shelf.offers(station.models) if o.name == "ball")


def job_of(station, *models, **asked):
    job = new_job(name="exam-1a2b3c4d", upload="0123456789abcdef", exam="1", models=models, **asked)
    (station.jobs / job.id).mkdir(parents=True)
    return job


def worked(station, job) -> tuple[list[str], Progress]:
    """Do a job in this process."""
    from hale.serve.kinds import read_exam_of

    upload = station.uploads / job.upload
    task = Task(station=station, job=job, upload=upload, exam=read_exam_of(upload, job.exam))
    progress = Progress(path=station.jobs / job.id / PROGRESS, plan=())
    return done(task, progress), progress


def until(true, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)


def test_intensity_answers_first_with_the_files_of_detect(station, exam, ball_model):
    """The calibrated `intensity` is there, so it is asked, and not the single-scan method."""
    job = job_of(station, ball_model, insist=True)
    reasons, progress = worked(station, job)
    assert reasons == []
    (result,) = progress.results
    folder = station.folder / result
    there = {path.name for path in folder.iterdir()}
    assert {"anomaly.nii.gz", "pvalue.nii.gz", "mask.nii.gz", "brain.nii.gz"} <= there
    assert {"detection.json", "lesions.tsv", "report.html", "scan_T1w.nii.gz"} <= there
    told = json.loads((folder / "detection.json").read_text())
    assert told["id"] == "exam-1a2b3c4d"
    assert told["provenance"]["input_files"] == ["T1w.nii.gz"]
    assert json.loads((folder / MADE).read_text())["seconds_after_preparation"] < 2


def test_contrasts_that_the_model_does_not_take_are_there_to_look_at(station, exam, ball_model):
    (exam / "exam-1/FLAIR.nii.gz").write_bytes(nifti(ball(92)))
    two = {"T1w": "exam-1/T1w.nii.gz", "FLAIR": "exam-1/FLAIR.nii.gz"}
    one = Exam(id="1", name="e", kind=Kind.NIFTI, files=two, contrasts=("T1w", "FLAIR"))
    write_exams(exam, [one])
    _, progress = worked(station, job_of(station, ball_model, insist=True))
    found = result_in(station.folder / progress.results[0], station.folder)
    assert found.detection["contrasts"] == ["T1w"]
    scans = scans_of(found, None)
    assert list(scans) == ["T1w", "FLAIR"]  # its own first
    np.testing.assert_array_equal(np.asarray(nib.load(scans["FLAIR"]).dataobj), ball(92))


def test_a_chosen_model_is_asked_after_intensity(station, exam, ball_model):
    job = job_of(station, "asymmetry-default", insist=True)  # refused: a ball is no brain
    reasons, progress = worked(station, job)
    assert [Path(result).name[:5] for result in progress.results] == ["ball-"]
    assert reasons[0].startswith("asymmetry-default: ")
    assert (station.folder / progress.results[0] / "report.html").is_file()


def test_what_was_answered_is_not_asked_again(station, exam, ball_model):
    job = job_of(station, ball_model, insist=True)
    _, progress = worked(station, job)
    path = station.folder / progress.results[0] / "detection.json"
    before = path.stat().st_mtime_ns
    _, again = worked(station, job)
    assert again.results == progress.results
    assert path.stat().st_mtime_ns == before


def test_what_an_earlier_worker_left_out_is_made(station, exam, ball_model):
    """It was killed after the result and before its report and the exam's other contrasts."""
    (exam / "exam-1/FLAIR.nii.gz").write_bytes(nifti(ball(92)))
    two = {"T1w": "exam-1/T1w.nii.gz", "FLAIR": "exam-1/FLAIR.nii.gz"}
    write_exams(exam, [Exam(id="1", name="e", kind=Kind.NIFTI, files=two, contrasts=tuple(two))])
    job = job_of(station, ball_model, insist=True)
    _, progress = worked(station, job)
    folder = station.folder / progress.results[0]
    for name in ("report.html", "scan_FLAIR.nii.gz"):
        (folder / name).unlink()
    before = (folder / "detection.json").stat().st_mtime_ns
    reasons, again = worked(station, job)
    assert (reasons, again.results) == ([], progress.results)
    assert (folder / "detection.json").stat().st_mtime_ns == before
    assert (folder / "report.html").is_file()
    assert (folder / "scan_FLAIR.nii.gz").is_file()


def test_without_a_calibrated_one_the_method_itself_is_first(station):
    assert shelf.first_of((), ["FLAIR"]).id == "intensity"
    assert shelf.first_of(station.models, ["FLAIR"]).id == "intensity"  # the model takes T1w
    assert shelf.first_of(station.models, ["T1w"]).name == "ball"


def test_a_model_that_would_run_a_program_is_never_asked(station, lab, exam, tmp_path):
    folder = tmp_path / "models/evil"
    shutil.copytree(lab.models / "ball", folder)
    recipe = (folder / "recipe.toml").read_text()
    recipe = recipe.replace('brain = "deepbet"', 'brain = "command"')
    program = f"touch {tmp_path}/ran {{in}} {{out}}"
    recipe = recipe.replace('brain_command = ""', f'brain_command = "{program}"')
    assert "touch" in recipe
    (folder / "recipe.toml").write_text(recipe)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["recipe.toml"] = hashlib.sha256(recipe.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (offer,) = [o for o in shelf.offers((tmp_path / "models",)) if o.name == "evil"]
    assert "never does" in offer.refused
    other = replace(station, models=(tmp_path / "models",))
    reasons, _ = worked(other, job_of(other, offer.id))
    assert any("never does" in reason for reason in reasons)
    assert not (tmp_path / "ran").exists()


def test_the_single_methods_are_those_of_the_registry():
    from hale.core.method import Supervision
    from hale.methods import METHODS, describe
    from hale.pipeline.single import single_scan_recipe

    for name in METHODS:
        assert str(shelf.supervision_of(name)) == describe(name)["supervision"]
    alone = {m for m in METHODS if shelf.supervision_of(m) is Supervision.NONE}
    assert {name.partition("-")[0] for name in shelf.SINGLE} == alone
    for name in shelf.SINGLE:
        contrast = None if name in shelf.ONE_CONTRAST else Contrast.T1W
        assert single_scan_recipe(name, contrast, ()).method.supervision is Supervision.NONE


def test_remaining_time_is_by_what_earlier_results_took(tmp_path):
    plan = expected([("intensity", Mode.NATIVE), ("vae", Mode.FULL)], {"vae": {"score": 60.0}})
    seconds = {(model, stage): value for model, stage, value in plan}
    assert seconds["vae", "score"] == 60.0
    assert seconds["intensity", "extract"] == USUAL["extract"]
    assert seconds["vae", "extract"] == AGAIN  # it was extracted for the first
    progress = Progress(path=tmp_path / "progress.json", plan=plan)
    progress.begin("vae", "score")
    told = json.loads(progress.path.read_text())
    after = [value for model, stage, value in plan[plan.index(("vae", "score", 60.0)) :]]
    assert told["left"] == pytest.approx(sum(after))
    progress.begin("vae", "score", seconds=100.0)  # a method that says itself how long it takes
    assert json.loads(progress.path.read_text())["left"] == pytest.approx(sum(after) + 40)
    assert (told["done"], told["total"]) == (progress.at, len(plan))


def test_a_restart_goes_on_with_what_ran_and_what_waited(station):
    first, second, ended = (job_of(station, "intensity") for _ in range(3))
    queue = Queue(station)
    for job, state in ((first, State.RUNNING), (second, State.QUEUED), (ended, State.DONE)):
        queue._write(replace(job, state=state))
    later = Queue(station)
    later._run = lambda: None
    later._thread.run = lambda: None
    later.start()
    assert [row["state"] for row in later.rows()] == ["done", "queued", "queued"]
    assert later._next().id == first.id


def test_a_waiting_job_is_cancelled_and_an_ended_one_is_forgotten(station, exam, browser):
    job = job_of(station, "intensity")
    Queue(station)._write(job)
    assert browser.delete(f"/api/jobs/{job.id}").status_code == 200
    assert browser.get("/api/jobs").json()[0]["state"] == "cancelled"
    assert browser.delete(f"/api/jobs/{job.id}").status_code == 200
    assert browser.get("/api/jobs").json() == []
    assert not exam.exists()
    assert browser.delete(f"/api/jobs/{job.id}").status_code == 404


@pytest.mark.slow
def test_processes_cancel_restart_and_finish(station, exam, ball_model):
    """A server is killed (here: its queue stops) while a job runs; the next one finishes it."""
    queue = Queue(station)
    queue.start()
    first = queue.add(job_of(station, ball_model, insist=True))
    second = queue.add(job_of(station, ball_model, insist=True))
    until(lambda: read_job(station.jobs / first.id).state is State.RUNNING)
    process = queue._worker._process
    queue.cancel(first.id)
    until(lambda: process.poll() is not None)
    assert read_job(station.jobs / first.id).state is State.CANCELLED
    until(lambda: read_job(station.jobs / second.id).state is State.RUNNING)
    until(lambda: queue._worker is not None)
    process = queue._worker._process
    queue.stop()
    assert process.wait(10) != 0  # it does not outlive the server
    assert read_job(station.jobs / second.id).state is State.RUNNING
    later = Queue(station)
    later.start()
    until(lambda: read_job(station.jobs / second.id).state not in (State.QUEUED, State.RUNNING))
    (row,) = [row for row in later.rows() if row["id"] == second.id]
    assert (row["state"], row["reason"]) == ("done", "")
    assert len(row["results"]) == 1
    later.stop()


@pytest.mark.slow
def test_a_job_that_cannot_be_done_says_why(station, exam):
    (exam / "exam-1/T1w.nii.gz").write_bytes(b"gone bad")
    queue = Queue(station)
    queue.start()
    job = queue.add(job_of(station, "intensity"))
    until(lambda: read_job(station.jobs / job.id).state is State.FAILED)
    reason = read_job(station.jobs / job.id).reason
    assert "is not an image" in reason or "cut off" in reason
    assert str(station.folder) not in reason
    queue.stop()


def test_a_scan_that_says_no_contrast_is_no_t1w(station, exam, browser):
    one = Exam(id="1", name="e", kind=Kind.NIFTI, files={"?": "exam-1/T1w.nii.gz"})
    write_exams(exam, [one])
    asked = {"upload": exam.name, "models": ["intensity"]}
    answer = browser.post("/api/jobs", json=asked)
    assert answer.status_code == 400
    assert "choose its contrast" in answer.json()["error"]
    assert browser.get("/api/jobs").json() == []
    with pytest.raises(Refused, match="choose its contrast"):
        worked(station, job_of(station, "intensity"))
    assert browser.post("/api/jobs", json={**asked, "contrast": "FLAIR"}).status_code == 200
