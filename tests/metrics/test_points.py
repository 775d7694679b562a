import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from hale.metrics.points import precision_recall
from hale.metrics.voxel import curve


def example(size=20_000, levels=None):
    rng = np.random.default_rng(0)
    truth = rng.random(size) < 0.05
    score = rng.normal(size=size) + 1.5 * truth
    return (np.round(score * levels) if levels else score), truth


@pytest.mark.parametrize("levels", [None, 3, 20])
def test_every_point_is_one_of_scikit_learn(levels):
    score, truth = example(levels=levels)
    counts = curve(score, truth)
    points = precision_recall(counts)
    assert 2 < len(points.recall) <= 200
    precisions, recalls, thresholds = precision_recall_curve(truth, score)
    at = np.searchsorted(thresholds, points.threshold)
    assert np.array_equal(thresholds[at], points.threshold)
    assert points.precision == pytest.approx(precisions[at])
    assert points.recall == pytest.approx(recalls[at])


def test_the_ends_and_the_best_dice_are_kept_and_no_part_is_skipped():
    counts = curve(*example())
    points = precision_recall(counts, 100)
    assert len(points.recall) > 60
    assert points.recall[-1] == 1
    assert points.threshold[0] == counts.threshold[0]
    dice = 2 / (1 / points.recall + 1 / points.precision)
    assert dice.max() == pytest.approx(counts.best_dice)
    assert np.diff(points.recall).max() < 0.1


def test_a_short_curve_is_kept_whole_and_none_is_empty():
    counts = curve([3.0, 2.0, 1.0], [1, 0, 1])
    points = precision_recall(counts)
    assert list(points.recall) == [0.5, 1]
    assert list(points.precision) == [1, 2 / 3]
    assert len(precision_recall(curve([1.0], [0])).recall) == 0
