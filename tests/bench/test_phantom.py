"""The bundled suite of phantoms, as a user runs it: from nothing to a leaderboard."""

import json

import pytest

from hale.cli.app import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated"),  # deepbet's
]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    line = ["bench", "phantom", "--out", str(folder / "out"), "--cache", str(folder / "cache")]
    assert run([*line, "--workers", "1", "--device", "cpu"]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def board(out):
    return json.loads((out / "leaderboard/leaderboard.json").read_text(encoding="utf-8"))


def row(board, method, cohort):
    return next(r for r in board["rows"] if (r["method"], r["cohort"]) == (method, cohort))


def test_every_method_is_measured_on_every_cohort(board):
    found = {(one["method"], one["cohort"]) for one in board["rows"]}
    cohorts = ("healthy", "odd", "even", "planted")

    assert found == {(m, c) for m in ("intensity", "dae") for c in cohorts}
    assert not board["missing"]
    assert not any(one["failed"] for one in board["rows"])


def test_seeds_and_folds_are_run_and_shown_apart(board):
    learnt, drawn = row(board, "dae", "odd"), row(board, "intensity", "odd")

    assert (learnt["seeds"], learnt["folds"]) == ([0, 1], [0, 1])
    assert (drawn["seeds"], drawn["folds"]) == ([0], [0, 1])
    assert learnt["figures"]["auprc"]["seed_sd"] > 0
    assert learnt["figures"]["auprc"]["fold_sd"] > 0
    assert drawn["figures"]["auprc"]["seed_sd"] is None


def test_lesions_that_are_there_to_be_found_are_found(board):
    """15 ml, 3 SD darker: what knows nothing would reach the share of its voxels, 0.01."""
    lines = {one["contrast_sd"]: one for one in row(board, "intensity", "planted")["by_lesion"]}

    assert set(lines) == {-3.0}
    assert lines[-3.0]["figures"]["auprc"]["value"] > 0.5


def test_one_patient_is_not_ranked(board):
    against = row(board, "dae", "odd")["against"]["intensity"]

    assert against["patients"] == 1
    assert against["p"] is None
    assert against["verdict"] == "not told apart"


def test_the_page_and_the_text_are_beside_the_figures(out):
    folder = out / "leaderboard"
    assert "Phantom brains" in (folder / "index.html").read_text(encoding="utf-8")
    assert "## Phantoms with lesions" in (folder / "leaderboard.md").read_text(encoding="utf-8")
    assert list(folder.glob("pictures/*.png"))
