"""`hale pretrain`, and the way from there to a detection."""

import json
import shutil
from pathlib import Path

import pytest

from hale.cli.app import run
from hale.io.model import PROVENANCE, STATE

SPLITS = ("fit",) * 2 + ("standardise",) * 3 + ("calibrate",) * 3
COARSE = (
    *("--set", "prep.spacing_mm=4", "--set", "prep.shape=[48,48,40]"),
    *("--device", "cpu", "--precision", "32", "--workers", "1"),
)
TINY = ("--set", "method.width=4", "--set", "method.blocks=[1,1,1,1]", "--set", "method.batch=2")
SMALL_MODEL = (
    *("--set", "method.width=8", "--set", "method.multipliers=[1]", "--set", "method.condition=4"),
    *("--set", "method.encoder_width=4", "--set", "method.encoder_blocks=[1,1,1,1]"),
    *("--set", "method.levels=[499]", "--set", "method.steps=1", "--set", "method.batch=2"),
    *("--set", "calibration.alpha=0.25", "--set", "method.validate_slices=1"),
)


@pytest.fixture(scope="module")
def cohort(place, tmp_path_factory) -> Path:
    """The phantoms of `place` with two of them to learn from."""
    folder = tmp_path_factory.mktemp("pretrain") / "cohort"
    shutil.copytree(place.healthy, folder)
    rows = [f"sub-{n:03}\t40\t{split}" for n, split in enumerate(SPLITS, start=1)]
    table = "\n".join(["participant_id\tage\tsplit", *rows])
    (folder / "participants.tsv").write_text(f"{table}\n")
    return folder


@pytest.fixture(scope="module")
def given(place, cohort):
    """Return the arguments of a command that learns from the cohort."""

    def arguments(command: str, recipe: str, out: Path, *options: str) -> list[str]:
        data = ["--data", str(cohort), "--out", str(out), "--cache", str(place.cache)]
        return [command, recipe, *data, *COARSE, *options]

    return arguments


@pytest.fixture(scope="module")
def spark(given, cohort) -> Path:
    out = cohort.parent / "spark"
    assert run(given("pretrain", "spark-small", out, *TINY, "--set", "method.steps=2")) == 0
    return out


def test_it_prints_what_it_wrote(given, tmp_path, capsys):
    out = tmp_path / "spark"
    two = ("--set", "method.steps=2")
    assert run(given("pretrain", "spark-small", out, *TINY, *two, "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pretrained"] == str(out)
    assert told["fit"] == json.loads((out / PROVENANCE).read_text())["fit"]
    assert told["fit"]["people"] == ["sub-001", "sub-002"]
    assert run(given("pretrain", "spark-small", out, *TINY, *two, "--overwrite")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "2 steps on 2 scans; start from it with --set pretrained=" in said


@pytest.mark.slow
def test_a_model_that_started_from_it_detects_without_it(given, spark, place, tmp_path):
    encoder, model, out = tmp_path / "spark", tmp_path / "model", tmp_path / "out"
    shutil.copytree(spark, encoder)
    start = ("--set", f"pretrained={encoder}")
    assert run(given("fit", "cddpm-small", model, *SMALL_MODEL, *start)) == 0
    shutil.rmtree(encoder)
    assert place.detect(place.scan, out, "--model", str(model), "--device", "cpu") == 0
    assert (out / "detection.json").is_file()


@pytest.mark.slow
def test_a_budget_stops_cleanly_and_more_budget_goes_on(given, tmp_path):
    out = tmp_path / "spark"
    long = (*TINY, "--set", "method.steps=100000")
    assert run(given("pretrain", "spark-small", out, *long, "--budget", "0.01")) == 0
    first = json.loads((out / PROVENANCE).read_text())["fit"]
    assert 0 < first["steps_done"] < 100000
    assert first["finished"] is False
    more = ("--budget", "0.03", "--resume", "latest")
    assert run(given("pretrain", "spark-small", out, *long, *more)) == 0
    assert json.loads((out / PROVENANCE).read_text())["fit"]["steps_done"] > first["steps_done"]


@pytest.mark.parametrize(
    ("command", "recipe", "said"),
    [
        ("fit", "spark-small", "spark is a pretraining stage, no method; run `hale pretrain`"),
        ("pretrain", "dae-small", "dae is a method, no pretraining stage; run `hale fit`"),
    ],
)
def test_the_other_command_is_named(given, tmp_path, capsys, line, command, recipe, said):
    assert run(given(command, recipe, tmp_path / "out")) == 2
    assert said in line(capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("recipe", "pretrained", "said"),
    [
        ("cddpm-small", "nowhere", "pretrained nowhere: there is no such folder"),
        ("dae-small", "nowhere", "pretrained: dae starts from no pretrained encoder; leave it out"),
    ],
)
def test_an_encoder_that_cannot_be_is_refused(
    given, tmp_path, capsys, line, recipe, pretrained, said
):
    assert run(given("fit", recipe, tmp_path / "out", "--set", f"pretrained={pretrained}")) == 2
    assert said in line(capsys)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_kept_and_nothing_is_resumed_from_nothing(given, spark, capsys, line):
    before = (spark / STATE).read_bytes()
    assert run(given("pretrain", "spark-small", spark, *TINY)) == 2
    assert "is not empty; give another --out, or --overwrite" in line(capsys)
    assert run(given("pretrain", "spark-small", spark, *TINY, "--resume", "latest")) == 2
    assert "there is no checkpoint to go on from" in line(capsys)
    assert (spark / STATE).read_bytes() == before


def test_an_encoder_finds_nothing(spark, place, tmp_path, capsys, line):
    assert place.detect(place.scan, tmp_path / "out", "--model", str(spark)) == 2
    assert "spark is a pretraining stage, no method" in line(capsys)
