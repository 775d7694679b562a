"""What was lost, spoilt or changed since is found out, named, and no figure is of it."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hale.bench.board import board_of
from hale.bench.phantom import data_of, make_phantoms
from hale.bench.run import as_it_is, refuse_place, run
from hale.bench.suite import Suite
from hale.bench.suite_file import build_suite
from hale.core.errors import Refused
from hale.data.references import read_map
from hale.io.model import read_about
from hale.pipeline.job import Options

sys.path.insert(0, str(Path(__file__).parent))
from made_data import DAE, GIVEN, row, suite_of, whole_suite, write


@pytest.fixture
def options(quick) -> Options:
    return quick


def two_methods() -> Suite:
    """The baseline, and one with seeds and folds, on all but planted lesions."""
    suite = whole_suite()
    return replace(suite, methods=suite.methods[:2], cohorts=suite.cohorts[:3])


def test_a_lost_map_of_one_fold_is_named_and_costs_no_other(copied, board, options):
    shutil.rmtree(copied.out / "maps/dae.s0.f1/odd/sub-21")
    shutil.rmtree(copied.out / "maps/dae.s1.f1/odd")

    again = row(board_of(as_it_is(two_methods(), copied, options), options), "dae", "odd")

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
    board_of(as_it_is(two_methods(), copied, options), options)

    def ranked(run: str) -> int:
        with np.load(copied.out / f"figures/{run}/odd/sub-21/counts.npz") as counts:
            return int(counts["map.normal"].sum() + counts["map.lesion"].sum())

    assert ranked("dae.s1.f1") == ranked("dae.s0.f0") > brain.sum() // 2


def test_a_case_without_a_common_brain_is_named(copied, options):
    (copied.out / "maps/intensity.s0.f0/odd/sub-21/brain.nii.gz").unlink()

    board = board_of(as_it_is(two_methods(), copied, options), options)

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

    again = row(board_of(as_it_is(two_methods(), copied, options), options), "dae", "odd")

    reasons = {one["id"]: one["reason"] for one in again["failed"]}
    assert reasons["sub-21"] == "its map is of another file than the scan is now"
    assert reasons["sub-23"] == "its map is of another model than the one that is there now"
    assert "does not say what the map is of" in reasons["sub-25"]
    assert len(reasons) == 3


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
    table = two_methods().resolved()
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
    fitted = copied.out / "models/dae.s0.f0"
    assert read_about(fitted)[1] not in found["card"]["model_sha256"]
    assert "z0 = 1.5" in found["card"]["recipe"]


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
    copied.suite.unlink()  # killed as it was first written: nothing else is there
    for path in list(copied.out.iterdir()):
        if path != copied.suite_part:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    refuse_place(whole_suite(), copied)


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
