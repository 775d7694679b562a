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
from hale.bench.place import Place
from hale.bench.plan import jobs
from hale.bench.planting import spot_of
from hale.bench.run import as_it_is, hosts_of, run
from hale.cli.app import run as command
from hale.data.references import read_map
from hale.metrics import voxel
from hale.pipeline.job import Options

sys.path.insert(0, str(Path(__file__).parent))
from made_data import row, whole_suite


@pytest.fixture
def place(bench) -> Place:
    return bench


@pytest.fixture
def options(quick) -> Options:
    return quick


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
