"""`hale bench` as people call it: plans, refusals, exit statuses."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from hale.bench.place import Place
from hale.cli.app import run as command
from hale.data.references import read_map

sys.path.insert(0, str(Path(__file__).parent))
from made_data import row, suite_of, whole_suite, write


@pytest.fixture
def place(bench) -> Place:
    return bench


def test_what_fails_of_other_peoples_maps_shows_in_the_exit_status(place, tmp_path, capsys):
    """Of eight maps one is missing, one holds a p of 2, one lies elsewhere."""
    table = whole_suite().resolved()
    table |= {"methods": table["methods"][4:], "baseline": "theirs", "healthy": ""}
    table["cohorts"] = [{**one, "beside": ""} for one in table["cohorts"][1:3]]
    table["methods"][0]["cohorts"] = ()
    file = tmp_path / "made.toml"
    file.write_text(tomli_w.dumps(table), encoding="utf-8")
    maps = tmp_path / "maps/theirs"
    for path in (place.maps / "theirs").glob("*.nii.gz"):
        write(maps / path.name.split(".")[0] / "anomaly.nii.gz", read_map(path).values)
    line = ["bench", str(file), "--data", str(place.data), "--out", str(tmp_path / "out")]
    line += ["--maps", str(maps.parent), "--workers", "1", "--cache", str(tmp_path / "cache")]
    assert command(line) == 0

    values = read_map(maps / "sub-23/anomaly.nii.gz").values
    shutil.rmtree(maps / "sub-21")
    write(maps / "sub-23/pvalue.nii.gz", np.full(values.shape, 2, np.float32))
    write(maps / "sub-25/anomaly.nii.gz", values, affine=np.diag([3.0, 3, 4.5, 1]))
    assert command(line) == 3

    told = json.loads((tmp_path / "out/leaderboard/leaderboard.json").read_text(encoding="utf-8"))
    reasons = {one["id"]: one["reason"] for one in row(told, "theirs", "odd")["failed"]}
    assert reasons["sub-21"] == "has no map"
    assert "holds 2, and p is 0 to 1" in reasons["sub-23"]
    assert "lies on another grid than its scan" in reasons["sub-25"]
    assert row(told, "theirs", "even")["failed"] == []
    capsys.readouterr()
    assert command([*line, "--models", str(tmp_path / "nothing")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_figures_and_plans_of_another_suite_are_refused(copied, capsys, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in copied.out.rglob("*")}
    line = ["bench", "phantom", "--out", str(copied.out), "--cache", str(tmp_path / "cache")]

    for way in ("--figures", "--dry-run"):
        assert command([*line, way]) == 2
        assert "holds the suite made" in capsys.readouterr().err

    assert {path: path.stat().st_mtime_ns for path in copied.out.rglob("*")} == before


def test_a_dry_run_refuses_what_the_run_would(place, tmp_path, capsys):
    table = suite_of().resolved()
    table["cohorts"][0]["split"] = "calibrate"
    file = tmp_path / "made.toml"
    file.write_text(tomli_w.dumps(table), encoding="utf-8")
    line = ["bench", str(file), "--data", str(place.data), "--out", str(tmp_path / "out")]

    assert command([*line, "--dry-run", "--cache", str(tmp_path / "cache")]) == 2
    assert "is learnt from" in capsys.readouterr().err


def test_a_dry_run_of_phantoms_keeps_nothing(tmp_path, capsys):
    line = ["bench", "phantom", "--out", str(tmp_path / "out"), "--dry-run"]
    settings = ["--set", "phantoms.fit=1", "--set", "phantoms.calibrate=1"]

    assert command([*line, *settings, "--cache", str(tmp_path / "cache")]) == 0
    assert "planted:" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("mine", encoding="utf-8")

    assert command(["bench", "phantom", "--out", str(tmp_path / "file")]) == 2
    assert "give another --out" in capsys.readouterr().err


def test_a_key_that_no_suite_has_is_refused_with_the_words_of_suites(tmp_path, capsys):
    line = ["bench", "phantom", "--out", str(tmp_path / "out"), "--set", "method.lr=1e-3"]

    assert command(line) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--set method.lr=1e-3" in said
    assert "`hale bench` lists bundled ones" in said


def test_a_dry_run_says_what_it_would_do_and_does_nothing(place, tmp_path, capsys):
    file = tmp_path / "made.toml"
    file.write_text(tomli_w.dumps(whole_suite().resolved()), encoding="utf-8")
    out = tmp_path / "out"
    line = ["bench", str(file), "--data", str(place.data), "--maps", str(place.maps)]

    assert command([*line, "--out", str(out), "--dry-run"]) == 0

    said = capsys.readouterr().out
    assert "dae.s1.f1: fit dae, 3 steps, no budget; then calibrate" in said
    assert "planted: 6 scans, 0 scored already" in said
    assert not out.exists()


def test_a_folder_of_something_else_is_refused(place, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    file = tmp_path / "made.toml"
    file.write_text(tomli_w.dumps(suite_of().resolved()), encoding="utf-8")

    assert command(["bench", str(file), "--data", str(place.data), "--out", str(tmp_path)]) == 2
    assert "holds no benchmark" in capsys.readouterr().err
    assert command(["bench", str(file), "--out", str(tmp_path / "out")]) == 2
    assert "--data: is missing; the suite needs healthy, ill" in " ".join(
        capsys.readouterr().err.split()
    )
