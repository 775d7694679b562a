"""Figures of axial slices, by hand and against scikit-learn slice by slice."""

import numpy as np
import pytest
from sklearn import metrics as sk

from hale.metrics import voxel
from hale.metrics.axial import axial_figures

SHAPE = (20, 24, 30)


def volume(seed: int = 0):
    """A lesion in 7 axial slices, 5 sagittal and 6 coronal ones, and a score that sees it."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(SHAPE, bool)
    truth[4:9, 10:16, 11:18] = True
    score = (rng.random(SHAPE) + 0.5 * truth).astype(np.float32)
    brain = np.zeros(SHAPE, bool)
    brain[2:18, 2:22, 3:27] = True
    return score * brain, truth, brain


# Check 13 of the shared protocol; the published code went along the first axis, sagittal
def test_a_lesion_in_seven_axial_slices_is_in_seven_slices():
    score, truth, brain = volume()
    figures = axial_figures(score, score > 1, truth, brain)
    assert figures.lesion_slices == 7
    assert np.array_equal(np.flatnonzero(figures.ill), np.arange(11, 18))
    assert len(figures.dice) == 30


def test_each_slice_agrees_with_scikit_learn():
    score, truth, brain = volume(1)
    found = score > 0.98
    figures = axial_figures(score, found, truth, brain)
    for k in range(11, 18):
        t, f = truth[..., k].ravel(), found[..., k].ravel()
        assert figures.dice[k] == pytest.approx(sk.f1_score(t, f))
        assert figures.precision[k] == pytest.approx(sk.precision_score(t, f))
        assert figures.recall[k] == pytest.approx(sk.recall_score(t, f))
        assert figures.score[k] == pytest.approx(score[..., k][brain[..., k]].mean(), rel=1e-5)
    shown = brain.any((0, 1))
    assert figures.auroc == pytest.approx(
        sk.roc_auc_score(figures.ill[shown], figures.score[shown])
    )
    assert figures.average_precision == pytest.approx(
        sk.average_precision_score(figures.ill[shown], figures.score[shown])
    )


def test_a_slice_without_a_lesion_has_no_recall_and_what_is_marked_there_is_wrong():
    score, truth, brain = volume()
    found = np.zeros(SHAPE, bool)
    found[5, 12, 5] = True
    figures = axial_figures(score, found, truth, brain)
    assert (figures.dice[5], figures.precision[5]) == (0, 0)
    assert np.isnan(figures.recall[5])
    assert np.isnan([figures.dice[6], figures.precision[6], figures.recall[6]]).all()
    assert (figures.dice[12], figures.recall[12]) == (0, 0)
    assert np.isnan(figures.precision[12])


def test_slices_without_brain_are_not_ranked_unless_the_lesion_is_there():
    _, truth, brain = volume()
    easy = np.where(truth, np.float32(2), np.float32(1)) * brain
    figures = axial_figures(easy, easy > 1, truth, brain)
    assert (figures.shown.sum(), figures.auroc, figures.average_precision) == (24, 1, 1)
    assert not figures.score[[0, 1, 2, 27, 28, 29]].any()
    outside = truth.copy()
    outside[4, 10, 28] = True
    figures = axial_figures(easy, easy > 1, outside, brain)
    assert figures.shown.sum() == 25
    assert figures.auroc == pytest.approx(7 / 8)  # the eighth is below all


def test_without_a_lesion_ranking_is_undefined():
    score, truth, brain = volume()
    figures = axial_figures(score, score > 1, truth & False, brain)
    assert figures.lesion_slices == 0
    assert np.isnan([figures.auroc, figures.average_precision]).all()


def test_slices_together_are_the_volume():
    score, truth, _ = volume(2)
    found = score > 0.9
    counts = [voxel.confusion(found[..., k], truth[..., k]) for k in range(30)]
    assert tuple(map(sum, zip(*counts, strict=True))) == voxel.confusion(found, truth)
