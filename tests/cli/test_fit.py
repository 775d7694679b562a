"""`hale fit`: killed, resumed, cut by a budget, refused."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hale.cli.app import run
from hale.io.model import CALIBRATION, PROVENANCE, STATE

SPLITS = ("fit",) * 2 + ("standardise",) * 3 + ("calibrate",) * 3
TINY = (
    *("--set", "prep.spacing_mm=4", "--set", "prep.shape=[48,48,40]"),
    *("--set", "calibration.alpha=0.25", "--set", "cohort.held_out=0.0"),
    *("--set", "method.width=4", "--set", "method.batch=4", "--set", "method.steps=150"),
    *("--device", "cpu", "--precision", "32", "--workers", "1"),
)


@pytest.fixture(scope="module")
def cohort(place, tmp_path_factory) -> Path:
    """The phantoms of `place` with two of them to learn from."""
    folder = tmp_path_factory.mktemp("fit") / "cohort"
    shutil.copytree(place.healthy, folder)
    rows = [f"sub-{n:03}\t40\t{split}" for n, split in enumerate(SPLITS, start=1)]
    table = "\n".join(["participant_id\tage\tsplit", *rows])
    (folder / "participants.tsv").write_text(f"{table}\n")
    return folder


@pytest.fixture(scope="module")
def fit(place, cohort):
    """Return the arguments of a tiny fit."""

    def arguments(out: Path, *options: str) -> list[str]:
        data = ["--data", str(cohort), "--out", str(out), "--cache", str(place.cache)]
        return ["fit", "dae-small", *data, *TINY, *options]

    return arguments


@pytest.fixture
def one_thread():
    """What is promised to the bit is promised for one number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield ["env", "OMP_NUM_THREADS=1"]
    torch.set_num_threads(before)


@pytest.mark.slow
def test_a_fit_killed_in_the_middle_resumes_to_the_same_bits(fit, tmp_path, one_thread):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert run(fit(whole)) == 0
    command = [sys.executable, "-c", "from hale.cli import main; main()"]
    process = subprocess.Popen(
        [*one_thread, *command, *fit(torn, "--checkpoint-minutes", "0")],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    work = tmp_path / "torn.fitting"
    deadline = time.monotonic() + 120
    while len(list(work.glob("**/*.safetensors"))) < 2 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not torn.exists()
    assert run(fit(torn, "--resume", "latest")) == 0
    for name in (STATE, CALIBRATION):
        assert (torn / name).read_bytes() == (whole / name).read_bytes()
    assert not work.exists()
    record = json.loads((torn / PROVENANCE).read_text())["fit"]
    assert (record["steps_done"], record["finished"]) == (150, True)


@pytest.mark.slow
def test_a_budget_stops_cleanly_and_more_budget_goes_on(fit, tmp_path):
    out = tmp_path / "model"
    assert run(fit(out, "--budget", "0.01", "--set", "method.steps=100000")) == 0
    first = json.loads((out / PROVENANCE).read_text())["fit"]
    assert 0 < first["steps_done"] < 100000
    assert first["finished"] is False
    assert (out / CALIBRATION).exists()
    assert "cut by the time budget" in (out / "card.md").read_text()
    more = ("--budget", "0.03", "--set", "method.steps=100000", "--resume", "latest")
    assert run(fit(out, *more)) == 0
    assert json.loads((out / PROVENANCE).read_text())["fit"]["steps_done"] > first["steps_done"]


def test_a_full_folder_is_refused_and_left_alone(fit, tmp_path, capsys, line):
    (tmp_path / "keep.txt").write_text("mine")
    assert run(fit(tmp_path)) == 2
    assert "is not empty; give another --out, or --overwrite" in line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["keep.txt"]


@pytest.mark.parametrize(("recipe", "key"), [("sadm-small", "base"), ("cddpm-small", "pretrained")])
def test_what_a_recipe_builds_on_is_not_replaced(tmp_path, capsys, line, recipe, key):
    models = tmp_path / "models"
    kept = models / "before" / "state.safetensors"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    given = ["--data", str(tmp_path / "healthy"), "--out", str(models), "--overwrite"]
    assert run(["fit", recipe, *given, "--set", f"{key}={kept.parent}"]) == 2
    assert f"--out {models}: holds the input {kept.parent}" in line(capsys)
    assert kept.read_text() == "mine"


def test_nothing_to_resume_is_refused_and_a_finished_model_is_kept(fit, place, capsys, line):
    before = (place.model / STATE).read_bytes()
    assert run(fit(place.model, "--resume", "latest")) == 2
    assert "there is no checkpoint to go on from" in line(capsys)
    assert (place.model / STATE).read_bytes() == before


def test_the_same_scan_under_two_names_is_refused(fit, cohort, tmp_path, capsys, line):
    twins = shutil.copytree(cohort, tmp_path / "twins")
    copy = twins / "sub-099/anat/sub-099_T1w.nii.gz"
    copy.parent.mkdir(parents=True)
    shutil.copy(cohort / "sub-001/anat/sub-001_T1w.nii.gz", copy)
    assert run(fit(tmp_path / "model", "--data", str(twins))) == 2
    assert "sub-099: holds the same file as sub-001" in line(capsys)


@pytest.mark.slow
def test_a_network_detects_with_the_default_device(fit, place, tmp_path):
    model, out = tmp_path / "model", tmp_path / "out"
    assert run(fit(model, "--set", "method.steps=2")) == 0
    given = ["detect", str(place.scan), "--model", str(model), "--cache", str(place.cache)]
    assert run([*given, "--out", str(out), "--no-report"]) == 0
    assert json.loads((out / "detection.json").read_text())["provenance"]["precision"] == "32"


def test_a_step_that_is_no_number_is_refused(fit, tmp_path, capsys, line):
    assert run(fit(tmp_path / "model", "--resume", "soon")) == 2
    assert "is no step" in line(capsys)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("method.stepz=3", "stepz"),
        ("method.steps=many", "steps"),
        ("nothing.x=3", "unknown key 'nothing'"),
        ("method.steps", "is not section.key=value"),
        ("calibration.alpha=2", "alpha = 2"),
        ("calibration.alpha=0.1", "3 healthy scans can promise no less than 1/4"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(fit, tmp_path, capsys, line, setting, said):
    assert run(fit(tmp_path / "model", "--set", setting)) == 2
    assert said in line(capsys)
    assert not list(tmp_path.iterdir())


def test_cases_and_bases_are_for_methods_that_take_them(fit, cohort, tmp_path, capsys, line):
    assert run(fit(tmp_path / "model", "--cases", str(cohort))) == 2
    assert "dae learns from healthy scans alone" in line(capsys)
    assert run(fit(tmp_path / "model", "--set", "base=models/cddpm")) == 2
    assert "base: dae builds on no fitted model" in line(capsys)
    assert not list(tmp_path.iterdir())
