"""`hale prepare` as a user runs it."""

import json

from hale.cli.app import run

COARSE = (
    *("--set", "prep.spacing_mm=4", "--set", "prep.shape=[48,48,40]"),
    *("--set", "prep.bias=false"),
)


def prepare(place, out, *options: str) -> int:
    cache = ("--cache", str(place.cache), "--workers", "1")
    return run(["prepare", str(place.healthy), "--out", str(out), *cache, *COARSE, *options])


def test_a_cohort_is_prepared_once_and_said_in_a_line(place, tmp_path, capsys):
    out = tmp_path / "prepared"
    assert prepare(place, out, "--split", "test") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("0 failed (0 were there before)")
    assert said[1] == str(out / "contact.html")
    assert said[2].startswith(f"hale fit atlas-default --data {out} --set prep.spacing_mm=4 ")
    assert said[2].endswith("--set prep.mode=given --set prep.normalise=none")
    assert (out / "sub-008/sub-008_T1w.nii.gz").is_file()
    assert prepare(place, out, "--split", "test", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [exam["id"] for exam in told["exams"]] == ["sub-008"]
    assert told["failed"] == 0


def test_too_little_memory_is_a_failure_with_its_reason(place, tmp_path, capsys):
    out = tmp_path / "prepared"
    assert prepare(place, out, "--split", "test", "--max-ram", "0.5") == 3
    said = capsys.readouterr().out
    assert "failed sub-008: " in said
    assert "--max-ram allows 0.5" in said
    assert "sub-008" in (out / "failed.csv").read_text()
    assert "1 failed" in (out / "contact.html").read_text()


def test_a_split_that_nobody_has_and_a_full_folder_are_refused(place, tmp_path, capsys, line):
    assert prepare(place, tmp_path / "out", "--split", "fit") == 2
    assert "--split fit: no exam has it" in line(capsys)
    (tmp_path / "notes.txt").touch()
    assert prepare(place, tmp_path, "--split", "test") == 2
    assert "holds no prepared exams" in line(capsys)
    inside = place.healthy.parent
    assert prepare(place, inside, "--split", "test") == 2
    assert "holds the input" in line(capsys)


def test_a_prepared_cohort_can_be_fitted_on(place, tmp_path):
    out, model = tmp_path / "prepared", tmp_path / "model"
    assert prepare(place, out) == 0
    few = ("--set", "calibration.alpha=0.2", "--set", "prep.mode=given", "--workers", "1")
    few = (*few, "--set", "prep.normalise=none")
    data = ("--data", str(out), "--out", str(model), "--cache", str(place.cache))
    assert run(["fit", "intensity-default", *data, *few]) == 0
    scan = out / "sub-008/sub-008_T1w.nii.gz"
    found = ("--out", str(tmp_path / "found"), "--no-report", "--cache", str(place.cache))
    assert run(["detect", str(scan), "--model", str(model), *found]) == 0
    told = json.loads((tmp_path / "found/detection.json").read_text())
    assert told["p_values"]["holds"]
