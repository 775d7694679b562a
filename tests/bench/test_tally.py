"""Counts by level against figures of the voxels themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hale.bench.tally import (
    auroc,
    average_precision,
    best_level,
    dense,
    dice_at,
    grouped,
    level_of,
    precision_at,
    precision_recall,
    recall_at,
    tally,
    threshold_of,
)
from hale.metrics import voxel

FINITE = st.floats(-1e6, 1e6, width=32)


def scans(count=4, size=4000):
    rng = np.random.default_rng(0)
    for _ in range(count):
        truth = rng.random(size) < 0.05
        yield (rng.standard_normal(size) + 2 * truth).astype(np.float32), truth


@given(arrays(np.float32, 50, elements=FINITE))
def test_levels_rise_as_scores_do_and_lie_close(scores):
    levels = level_of(scores)
    order = np.argsort(scores, kind="stable")

    assert (np.diff(levels[order]) >= 0).all()
    floors = np.array([threshold_of(int(level)) for level in levels])
    assert (floors <= scores).all()
    assert (scores - floors <= 5e-4 * np.abs(floors) + 1e-37).all()


def test_a_tally_holds_each_voxel_once_in_the_kind_it_is_of():
    counts = tally(np.array([1, 1, 2, -1], np.float32), np.array([True, False, True, False]))

    assert counts.lesion.tolist() == [0, 1, 1]
    assert counts.normal.tolist() == [1, 1, 0]


def test_pooled_average_precision_is_that_of_all_voxels_to_1e_4():
    cases = list(scans())
    counts = dense([tally(*case) for case in cases])
    scores, truth = (np.concatenate(parts) for parts in zip(*cases, strict=True))

    exact = voxel.average_precision(scores, truth)
    assert average_precision(counts, np.arange(4)) == pytest.approx(exact, abs=1e-4)
    twice = np.concatenate([cases[0][0], cases[0][0]]), np.concatenate([cases[0][1]] * 2)
    drawn = average_precision(counts, np.array([0, 0]))
    assert drawn == pytest.approx(voxel.average_precision(*twice), abs=2e-4)


def test_pooled_auroc_is_that_of_all_voxels_and_ties_count_half():
    parts = list(scans())
    counts = dense([tally(*part) for part in parts])
    scores, truth = (np.concatenate(side) for side in zip(*parts, strict=True))

    assert auroc(counts, np.arange(4)) == pytest.approx(voxel.auroc(scores, truth), abs=1e-5)
    tied = dense([tally(np.array([1, 1, 2], np.float32), np.array([True, False, False]))])
    assert auroc(tied, np.array([0])) == 0.25  # ties with one of two, below the other
    healthy = dense([tally(np.array([1, 2], np.float32), np.zeros(2, bool))])
    assert np.isnan(auroc(healthy, np.array([0])))


def test_groups_of_levels_keep_every_voxel_and_nearly_the_figure():
    counts = dense([tally(*case) for case in scans(8, 40_000)])
    groups = grouped(counts)

    assert groups.shape[2] <= 1025 < counts.shape[2]
    assert (groups.sum(2) == counts.sum(2)).all()
    everybody = np.arange(8)
    fine = average_precision(counts, everybody)
    assert average_precision(groups, everybody) == pytest.approx(fine, abs=2e-3)


def test_dice_at_a_level_is_that_of_the_mask_at_its_threshold():
    for scores, truth in scans():
        level = int(level_of(np.float32([1.5]))[0])
        expected = voxel.dice(scores >= threshold_of(level), truth)
        assert dice_at(tally(scores, truth), level) == pytest.approx(expected)


def test_precision_and_recall_at_a_level_are_those_of_the_mask_at_its_threshold():
    for scores, truth in scans():
        level = int(level_of(np.float32([1.5]))[0])
        mask, case = scores >= threshold_of(level), tally(scores, truth)
        assert precision_at(case, level) == pytest.approx(voxel.precision(mask, truth), nan_ok=True)
        assert recall_at(case, level) == pytest.approx(voxel.recall(mask, truth), nan_ok=True)


def test_the_best_level_has_the_highest_mean_dice_of_all_thresholds():
    cases = [tally(*case) for case in scans()]
    levels = np.unique(np.concatenate([case.level for case in cases]))
    means = [np.mean([dice_at(case, int(level)) for case in cases]) for level in levels]

    best = best_level(cases)
    assert np.mean([dice_at(case, best) for case in cases]) == pytest.approx(max(means))


def test_a_case_without_a_lesion_has_no_dice_and_chooses_nothing():
    healthy = tally(np.float32([1, 2]), np.array([False, False]))

    assert np.isnan(dice_at(healthy, 0))
    with pytest.raises(ValueError, match="no case has a lesion"):
        best_level([healthy])
    assert [len(part) for part in precision_recall([healthy])] == [0, 0]


def test_precision_and_recall_of_a_hand_worked_case():
    scores = np.float32([4, 3, 2, 1])
    recall, precision = precision_recall([tally(scores, np.array([True, False, True, False]))])

    assert recall.tolist() == [0.5, 1.0]
    assert precision == pytest.approx([1.0, 2 / 3])


@pytest.mark.parametrize("score", ["saturated", "offset"])
def test_scores_that_crowd_far_from_0_are_told_apart_all_the_same(score):
    """A softmax close to 1, a map about 1000: levels relative to 0 would be one or two."""
    rng = np.random.default_rng(1)
    truth = rng.random(100_000) < 0.02
    z = rng.standard_normal(truth.size) + 3 * truth
    values = 1 - 1e-4 / (1 + np.exp(2 * z)) if score == "saturated" else 1000 + z
    case = tally(values.astype(np.float32), truth)

    exact = voxel.best_dice(values.astype(np.float32), truth)
    assert dice_at(case, best_level([case])) == pytest.approx(exact, abs=1e-3)


def test_a_case_of_few_scores_is_exact_ties_and_all():
    rng = np.random.default_rng(2)
    truth = rng.random(5000) < 0.1
    values = (rng.integers(0, 40, truth.size) + 10 * truth).astype(np.float32)
    counts = dense([tally(values, truth)])

    exact = voxel.average_precision(values, truth)
    assert average_precision(counts, np.array([0])) == pytest.approx(exact, abs=1e-12)
