"""A suite on made data, from its file to the leaderboard; stopped at any point, it goes on."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from hale.bench.board import board_of
from hale.bench.phantom import data_of, make_phantoms
from hale.bench.place import Place
from hale.bench.plan import jobs
from hale.bench.planting import spot_of
from hale.bench.run import as_it_is, hosts_of, run
from hale.bench.suite_file import build_suite
from hale.cli.app import run as command
from hale.core.errors import Refused
from hale.data.references import read_map
from hale.io.cache import Cache
from hale.metrics import voxel
from hale.pipeline.job import Options

sys.path.insert(0, str(Path(__file__).parent))
from made_data import GIVEN, suite_of, write, write_data

DAE = [*GIVEN, "method.width=4", "method.steps=3", "method.batch=4"]
PLANTED = {
    "name": "planted",
    "data": "healthy",
    "kind": "synthetic",
    "contrast": "FLAIR",
    "split": "test",
    "beside": "healthy",
    "extracted": True,
    "lesions": {"volumes_ml": [0.8, 2.0], "contrasts_sd": [-2.0, 3.0], "cells_per_scan": 2},
}


def whole_suite():
    cohorts = [*suite_of().resolved()["cohorts"], PLANTED]
    methods = [
        {"name": "intensity", "recipe": "intensity-default", "settings": GIVEN},
        {"name": "dae", "recipe": "dae-small", "settings": DAE},
        {"name": "broken", "recipe": "dae-small", "settings": [*GIVEN, "calibration.alpha=0.01"]},
        {"name": "alone", "single": "intensity", "settings": ["prep.mode=given"]},
        {"name": "theirs", "maps": "theirs", "supervision": "healthy scans", "cohorts": ["odd"]},
    ]
    return suite_of(cohorts=cohorts, methods=methods, seeds=[0, 1], folds=2)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    folder = tmp_path_factory.mktemp("bench")
    data = write_data(folder / "data")
    for number in range(21, 29):  # an oracle's map: the lesion itself
        mask = read_map(data / f"ill/sub-{number}/sub-{number}_desc-lesion_mask.nii.gz")
        write(folder / f"maps/theirs/sub-{number}.nii.gz", mask.values)
    return Place(data=data, out=folder / "out", maps=folder / "maps")


@pytest.fixture(scope="module")
def options(place) -> Options:
    return Options(device="cpu", cache=Cache(place.data.parent / "cache"))


@pytest.fixture(scope="module")
def outcome(place, options):
    return run(whole_suite(), place, options)


@pytest.fixture(scope="module")
def board(outcome, options):
    return board_of(outcome, options)


def row(board, method, cohort):
    return next(r for r in board["rows"] if (r["method"], r["cohort"]) == (method, cohort))


def stamps(place) -> dict[str, int]:
    """When each model and map was written."""
    kept = [place.out / "models", place.out / "maps", place.out / "references"]
    found = {}
    walks = (walk for folder in kept for walk in os.walk(folder))
    for path in (Path(folder) / name for folder, _, names in walks for name in names):
        with suppress(FileNotFoundError):  # what is being written
            if path.name not in ("cohort.tsv", "log.jsonl"):
                found[str(path)] = path.stat().st_mtime_ns
    return found


def test_a_finished_suite_is_not_done_again(outcome, options):
    before = stamps(outcome.place)

    again = run(whole_suite(), outcome.place, options)

    assert stamps(outcome.place) == before
    assert len(before) > 100
    assert again.broken == outcome.broken


def test_every_method_has_a_row_for_each_cohort_or_a_reason(board):
    rows = {(r["method"], r["cohort"]) for r in board["rows"]}
    missing = {(m["method"], m["cohort"]): m["reason"] for m in board["missing"]}

    cohorts = {"healthy", "odd", "even", "planted"}
    assert rows == {(m, c) for m in ("intensity", "dae", "alone") for c in cohorts} | {
        ("theirs", "odd")
    }
    for cohort in cohorts:
        assert "alpha = 0.01" in missing["broken", cohort]
    assert missing["theirs", "even"] == "the suite leaves it out"
    assert len(rows) + len(missing) == 5 * 4


def test_figures_are_means_over_seeds_and_folds_of_maps_on_disk(board, outcome):
    cases = outcome.cases["odd"]
    means = {}
    for seed in (0, 1):
        for fold in (0, 1):
            values = []
            for case in cases:
                folder = outcome.place.out / f"maps/dae.s{seed}.f{fold}/odd/{case.id}"
                anomaly, brain = (
                    read_map(folder / f"{name}.nii.gz").values for name in ("anomaly", "brain")
                )
                truth = read_map(case.lesion).values > 0
                region = (brain > 0) | truth
                scores = np.where(brain > 0, anomaly, np.finfo(np.float32).min)
                values.append(voxel.average_precision(scores[region], truth[region]))
            means[seed, fold] = float(np.mean(values))

    found = row(board, "dae", "odd")
    figure = found["figures"]["auprc"]
    assert figure["value"] == pytest.approx(np.mean(list(means.values())), abs=1e-6)
    assert figure["n"] == 4
    assert found["seeds"] == [0, 1]
    assert found["folds"] == [0, 1]
    within_folds = [np.var([means[0, f], means[1, f]], ddof=1) for f in (0, 1)]
    assert figure["seed_sd"] == pytest.approx(math.sqrt(np.mean(within_folds)), abs=1e-6)


def test_an_oracle_map_is_perfect_and_tested_against_the_baseline(board):
    theirs = row(board, "theirs", "odd")

    assert theirs["figures"]["auprc"]["value"] == 1
    assert theirs["points"]["oracle"]["value"] == 1
    assert theirs["points"]["alpha"]["value"] is None  # it has no mask
    against = theirs["against"]["intensity"]
    assert against["difference"] > 0
    assert against["cases"] == 4
    assert against["p"] == pytest.approx(1 / 8)  # two of 2 ** 4 exchanges: no fewer with 4 people
    assert against["verdict"] == "not told apart"


def test_operating_points_stand_side_by_side_and_the_oracle_is_the_highest(board):
    points = row(board, "intensity", "odd")["points"]

    assert points["oracle"]["value"] >= points["validation"]["value"] - 1e-9
    assert points["oracle"]["value"] >= points["alpha"]["value"] - 1e-3
    for name in ("validation", "alpha", "fpr01"):
        lost = points["oracle"]["value"] - points[name]["value"]
        assert points[f"gap_{name}"]["value"] == pytest.approx(lost)
    assert row(board, "intensity", "even")["points"]["validation"]["value"] is None


def test_false_alarms_stand_beside_what_chance_explains(board):
    told = row(board, "dae", "odd")["healthy"]

    assert told["of"] == 3
    assert told["alpha"] == 0.2
    assert told["low"] == 0
    assert told["high"] >= 2
    assert row(board, "alone", "odd")["healthy"] is None  # uncalibrated: no decision


def test_every_cell_of_planted_lesions_is_reported(board, outcome):
    lines = row(board, "intensity", "planted")["by_lesion"]

    assert {(one["volume_ml"], one["contrast_sd"]) for one in lines} == {
        (0.8, -2.0),
        (0.8, 3.0),
        (2.0, -2.0),
        (2.0, 3.0),
    }
    assert sum(one["n"] for one in lines) == 6 == len(outcome.cases["planted"])
    for case in outcome.cases["planted"]:
        mask = read_map(case.lesion)
        assert mask.values.sum() * mask.grid.voxel_ml == pytest.approx(
            spot_of(case).volume_ml, abs=mask.grid.voxel_ml
        )


def test_figures_come_from_maps_alone(outcome, board, options, tmp_path, monkeypatch):
    place = outcome.place
    copy = Place(data=place.data, out=tmp_path / "out", maps=place.maps)
    shutil.copytree(place.out, copy.out)
    shutil.rmtree(copy.out / "figures")
    for name in ("models.fit", "run.pipeline"):  # that fit, and that score
        monkeypatch.delattr(f"hale.bench.{name}")

    again = board_of(as_it_is(whole_suite(), copy, options), options)

    ours, theirs = row(board, "dae", "odd"), row(again, "dae", "odd")
    assert theirs["figures"] == ours["figures"]
    assert theirs["points"] == ours["points"]


@pytest.fixture
def copied(outcome, tmp_path) -> Place:
    """The finished benchmark, to be spoilt."""
    shutil.copytree(outcome.place.out, tmp_path / "out")
    return Place(data=outcome.place.data, out=tmp_path / "out", maps=outcome.place.maps)


def test_a_lost_map_of_one_fold_is_named_and_costs_no_other(copied, board, options):
    shutil.rmtree(copied.out / "maps/dae.s0.f1/odd/sub-21")
    shutil.rmtree(copied.out / "maps/dae.s1.f1/odd")

    again = row(board_of(as_it_is(whole_suite(), copied, options), options), "dae", "odd")

    lost = {(one["id"], one["reason"]) for one in again["failed"]}
    assert ("sub-21", "has no map") in lost
    assert any("there are no maps" in reason for _, reason in lost)
    assert again["figures"]["auprc_pooled"]["n"] == 4
    assert again["figures"]["auprc"]["value"] is not None
    assert row(board, "dae", "odd")["failed"] == []


def test_all_runs_are_ranked_in_the_brain_of_the_baselines_first(copied, options):
    """An untrained baseline has one seed: a second of others must not fall back on its own."""
    name = "maps/dae.s1.f1/odd/sub-21/brain.nii.gz"
    brain = read_map(copied.out / name).values > 0
    small = np.zeros_like(brain)
    small[tuple(np.argwhere(brain)[len(brain) // 2])] = True
    write(copied.out / name, small.astype(np.uint8))
    board_of(as_it_is(whole_suite(), copied, options), options)

    def ranked(run: str) -> int:
        with np.load(copied.out / f"figures/{run}/odd/sub-21/counts.npz") as counts:
            return int(counts["map.normal"].sum() + counts["map.lesion"].sum())

    assert ranked("dae.s1.f1") == ranked("dae.s0.f0") > brain.sum() // 2


def test_a_case_without_a_common_brain_is_named(copied, options):
    (copied.out / "maps/intensity.s0.f0/odd/sub-21/brain.nii.gz").unlink()

    board = board_of(as_it_is(whole_suite(), copied, options), options)

    (told,) = [note for note in board["suite"]["notes"] if "in its own brain" in note]
    assert told.startswith("odd: neither the data nor intensity say where the brain is in 1 scans")
    assert "(sub-21):" in told


def test_maps_of_another_model_or_file_are_no_figure(copied, options):
    for folder, key in (("sub-21", "input_sha256"), ("sub-23", "model_sha256")):
        result = copied.out / f"maps/dae.s0.f0/odd/{folder}/detection.json"
        told = json.loads(result.read_text(encoding="utf-8"))
        told["provenance"][key] = ["0"] if key == "input_sha256" else "0"
        result.write_text(json.dumps(told), encoding="utf-8")
    (copied.out / "maps/dae.s0.f0/odd/sub-25/detection.json").write_text("{", encoding="utf-8")

    again = row(board_of(as_it_is(whole_suite(), copied, options), options), "dae", "odd")

    reasons = {one["id"]: one["reason"] for one in again["failed"]}
    assert reasons["sub-21"] == "its map is of another file than the scan is now"
    assert reasons["sub-23"] == "its map is of another model than the one that is there now"
    assert "does not say what the map is of" in reasons["sub-25"]
    assert len(reasons) == 3


def test_pairs_are_judged_as_one_family_and_read_alike_from_both_sides(board):
    ours, theirs = row(board, "dae", "odd"), row(board, "intensity", "odd")

    assert set(ours["pairs"]) == {"intensity", "alone", "theirs"}
    assert ours["pairs"]["intensity"]["difference"] == -theirs["pairs"]["dae"]["difference"]
    assert ours["pairs"]["intensity"]["difference"] == ours["against"]["intensity"]["difference"]
    assert theirs["pairs"]["theirs"]["verdict"] == "not told apart"
    assert row(board, "dae", "healthy")["pairs"] == {}


def test_cards_name_the_commit_that_fitted_and_the_one_that_scored(board):
    card = row(board, "dae", "odd")["card"]

    assert card["commit"] == card["commit_fit"] == (board["made"]["commit"] or "")


def test_why_something_failed_is_known_when_maps_are_measured_later(copied, options):
    board = board_of(as_it_is(whole_suite(), copied, options), options)

    reasons = {m["reason"] for m in board["missing"] if m["method"] == "broken"}
    assert all("alpha = 0.01" in reason for reason in reasons)


def test_a_model_of_another_recipe_or_base_is_not_taken_for_that_of_the_suite(copied, options):
    table = whole_suite().resolved()
    table["methods"] = [
        {**table["methods"][0], "settings": [*GIVEN, "post.median=3"]},
        table["methods"][1],
    ]
    changed = build_suite(table)

    outcome = run(changed, copied, options)

    assert set(outcome.broken) == {"intensity.s0.f0", "intensity.s0.f1"}
    assert "was fitted with another [post]" in outcome.broken["intensity.s0.f0"]
    assert as_it_is(changed, copied, options).broken == outcome.broken


def test_maps_of_a_run_that_is_refused_are_left_out_with_the_reason(copied, options):
    table = whole_suite().resolved()
    dae = {**table["methods"][1], "settings": [*DAE, "calibration.z0=1.5"]}
    table["methods"] = [table["methods"][0], dae]
    for name in ("dae.s0.f1", "dae.s1.f0", "dae.s1.f1"):
        shutil.rmtree(copied.out / "models" / name)

    outcome = run(build_suite(table), copied, options)
    found = row(board_of(outcome, options), "dae", "odd")

    assert set(outcome.broken) == {"dae.s0.f0"}
    assert found["seeds"] == found["folds"] == [0, 1]
    assert found["figures"]["auprc"]["seed_sd"] is not None  # of fold 1, which has both
    (lost,) = found["failed"]
    assert lost["id"] == "dae.s0.f0"
    assert "was fitted with another [calibration]" in lost["reason"]
    assert not any(case["id"] == "dae.s0.f0" for case in found["cases"])


def test_lesions_planted_with_another_seed_are_not_of_the_cohort(copied, options):
    table = whole_suite().resolved()
    planted = next(one for one in table["cohorts"] if one["name"] == "planted")
    planted["lesions"]["seed"] = 99

    outcome = as_it_is(build_suite(table), copied, options)

    assert outcome.cases["planted"] == []
    assert len(as_it_is(whole_suite(), copied, options).cases["planted"]) == 6


def test_a_suite_is_written_whole_or_not_at_all(copied, options, monkeypatch):
    before = copied.suite.read_text(encoding="utf-8")

    def full(self, *_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(Refused, match="No space left"):
        run(replace(whole_suite(), title="Another"), copied, options)
    assert copied.suite.read_text(encoding="utf-8") == before


def test_phantoms_of_other_settings_are_made_anew_and_nothing_else_is_taken_away(tmp_path):
    suite = suite_of(phantoms={"fit": 2, "standardise": 1, "calibrate": 1, "healthy": 1})
    few = replace(suite, phantoms=replace(suite.phantoms, fit=1, lesions=1))
    place = data_of(few, None, tmp_path)
    make_phantoms(few, place)
    scans = place / "healthy"
    assert len(list(scans.glob("sub-*"))) == 5
    written = {path: path.stat().st_mtime_ns for path in scans.rglob("*.nii.gz")}
    make_phantoms(few, place)
    assert {path: path.stat().st_mtime_ns for path in scans.rglob("*.nii.gz")} == written

    make_phantoms(replace(few, phantoms=replace(few.phantoms, fit=2)), place)
    assert len(list(scans.glob("sub-*"))) == 6

    (tmp_path / "mine/phantoms").mkdir(parents=True)
    (tmp_path / "mine/phantoms/mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(Refused, match="holds something else"):
        make_phantoms(few, tmp_path / "mine/phantoms")
    assert (tmp_path / "mine/phantoms/mine.txt").is_file()


def test_other_folds_are_other_people(copied, options):
    table = whole_suite().resolved()
    table["methods"], table["folds"] = table["methods"][:1], 3

    outcome = run(build_suite(table), copied, options)

    assert "other people than the suite names" in outcome.broken["intensity.s0.f1"]
    assert "intensity.s0.f2" not in outcome.broken


def test_the_folder_of_another_suite_is_refused(copied, options):
    with pytest.raises(Refused, match="holds the suite made"):
        run(replace(whole_suite(), name="other"), copied, options)


def test_a_method_that_takes_another_contrast_is_missing_and_the_others_stay(copied, options):
    table = whole_suite().resolved()
    t1 = [*GIVEN, "prep.slots=[['T1w']]"]
    strange = {"name": "strange", "recipe": "intensity-default", "settings": t1}
    table["methods"] = [table["methods"][0], strange]
    suite = build_suite(table)

    board = board_of(run(suite, copied, options), options)

    assert {one["method"] for one in board["missing"]} == {"strange"}
    assert len(board["rows"]) == 4


def test_a_suite_that_is_killed_goes_on_without_repeating_what_was_finished(place, tmp_path):
    table = whole_suite().resolved()
    table |= {"methods": table["methods"][:2], "seeds": [0], "folds": 1}
    file = tmp_path / "made.toml"
    file.write_text(tomli_w.dumps(table), encoding="utf-8")
    out = Place(data=place.data, out=tmp_path / "out")
    where = ["--data", str(out.data), "--out", str(out.out), "--cache", str(tmp_path / "cache")]
    line = ["bench", str(file), *where, "--workers", "1", "--device", "cpu"]
    kept: dict[str, int] = {}
    for wanted in (3, 40, 120):
        process = subprocess.Popen(
            [Path(sys.executable).with_name("hale"), *line],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while process.poll() is None and len(stamps(out)) < wanted:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        finished = {
            path: stamp
            for path, stamp in stamps(out).items()
            if "/maps/" in path and (Path(path).parent / "detection.json").is_file()
        }
        assert {p: finished.get(p) for p in kept} == kept
        kept = finished
    assert kept

    assert command(line) == 0
    assert {path: stamps(out).get(path) for path in kept} == kept
    board = json.loads((out.board / "leaderboard.json").read_text(encoding="utf-8"))
    assert len(board["rows"]) == 2 * 4
    assert not board["missing"]
    assert (out.board / "index.html").is_file()


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


def test_plans_know_the_cost_once_something_was_scored(outcome):
    from hale.bench.plan import described

    hosts = hosts_of(whole_suite(), outcome.place)
    lines = described(whole_suite(), outcome.place, jobs(whole_suite(), outcome.place), hosts)
    assert any("4 scans, 4 scored already; about 0 s" in line for line in lines)


def test_plans_know_the_cost_of_a_model_that_is_there_from_its_calibration(outcome, tmp_path):
    from hale.bench.plan import described

    fresh = replace(outcome.place, out=tmp_path, models=outcome.place.out / "models")
    hosts = hosts_of(whole_suite(), outcome.place)
    lines = described(whole_suite(), fresh, jobs(whole_suite(), fresh), hosts)
    at = next(number for number, line in enumerate(lines) if line.startswith("dae.s0.f0"))
    assert "reused" in lines[at]
    assert "0 scored already; about" in lines[at + 1]
