import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from hale.metrics import voxel
from hale.metrics.voxel import curve


def tied(seed, n=500, levels=20, share=0.2):
    """Random scores with many ties, and a truth that they know a little about."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < share
    return np.round((rng.random(n) + 0.3 * truth) * levels).astype(np.float32), truth


def best_dice_by_trying(score, truth):
    return max(voxel.dice(score >= threshold, truth) for threshold in np.unique(score))


@pytest.mark.parametrize("seed", range(20))
def test_ranking_figures_agree_with_scikit_learn(seed):
    score, truth = tied(seed, levels=[2, 5, 20, 10_000][seed % 4])
    assert voxel.average_precision(score, truth) == pytest.approx(
        sk.average_precision_score(truth, score), abs=1e-12
    )
    assert voxel.auroc(score, truth) == pytest.approx(sk.roc_auc_score(truth, score), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_best_dice_is_the_best_of_all_thresholds(seed):
    score, truth = tied(seed)
    tried = best_dice_by_trying(score, truth)
    assert voxel.best_dice(score, truth) == pytest.approx(tried, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_mask_figures_agree_with_scikit_learn(seed):
    score, truth = tied(seed)
    found = score > 12
    assert voxel.dice(found, truth) == pytest.approx(sk.f1_score(truth, found))
    assert voxel.precision(found, truth) == pytest.approx(sk.precision_score(truth, found))
    assert voxel.recall(found, truth) == pytest.approx(sk.recall_score(truth, found))
    assert voxel.specificity(found, truth) == pytest.approx(sk.recall_score(~truth, ~found))
    assert voxel.false_positive_rate(found, truth) == pytest.approx(
        1 - voxel.specificity(found, truth)
    )
    (tn, fp), (fn, tp) = sk.confusion_matrix(truth, found)
    assert voxel.confusion(found, truth) == (tp, fp, fn, tn)


SMALL = hnp.array_shapes(min_dims=1, max_dims=3, max_side=6)


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_ranking_figures_agree_with_their_definitions(data):
    shape = data.draw(SMALL)
    score = data.draw(hnp.arrays(np.float32, shape, elements=st.integers(-3, 3).map(float)))
    truth = data.draw(hnp.arrays(bool, shape))
    assume(truth.any())
    assert voxel.best_dice(score, truth) == pytest.approx(best_dice_by_trying(score, truth))
    assert 0 < voxel.average_precision(score, truth) <= 1
    if not truth.all():
        pairs = score[truth][:, None] - score[~truth][None]
        by_pairs = (pairs > 0).mean() + (pairs == 0).mean() / 2
        assert voxel.auroc(score, truth) == pytest.approx(by_pairs)
        assert voxel.auroc(-score, truth) == pytest.approx(1 - by_pairs)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_only_the_order_of_scores_matters(seed):
    score, truth = tied(seed)
    stretched = np.exp(score.astype(np.float64) / 5)
    for figure in (voxel.average_precision, voxel.auroc, voxel.best_dice):
        assert figure(score, truth) == figure(stretched, truth)


def test_by_hand():
    # at 0.9: precision 1, recall 1/2; at 0.4: precision 2/3, recall 1
    score, truth = [0.9, 0.4, 0.4, 0.1], [1, 1, 0, 0]
    assert voxel.average_precision(score, truth) == pytest.approx(1 / 2 + 2 / 3 / 2)
    assert voxel.auroc(score, truth) == (2 + 1.5) / 4
    assert voxel.best_dice(score, truth) == 4 / 5
    assert voxel.l1_ratio(score, truth) == pytest.approx(0.65 / 0.25)
    assert voxel.confusion([1, 0, 1, 0], truth) == (1, 1, 1, 1)
    assert voxel.dice([1, 0, 1, 0], truth) == 1 / 2


def test_one_score_for_all_is_chance():
    truth = np.array([1, 0, 0, 0])
    assert voxel.average_precision(np.ones(4), truth) == 0.25
    assert voxel.auroc(np.ones(4), truth) == 0.5
    assert voxel.best_dice(np.ones(4), truth) == 2 / 5


def test_one_voxel():
    assert voxel.average_precision([3.0], [1]) == 1
    assert voxel.best_dice([3.0], [1]) == 1
    assert np.isnan(voxel.auroc([3.0], [1]))
    assert np.isnan(voxel.average_precision([3.0], [0]))


def test_without_a_lesion_ranking_is_undefined():
    counts = curve([0.1, 0.2], [0, 0])
    assert np.isnan([counts.average_precision, counts.auroc, counts.best_dice]).all()
    assert np.isnan(voxel.average_precision([], []))


@pytest.mark.parametrize(
    ("figure", "found", "truth", "expected"),
    [
        (voxel.dice, [0, 0], [0, 0], np.nan),
        (voxel.dice, [0, 1], [0, 0], 0),
        (voxel.dice, [0, 0], [1, 0], 0),
        (voxel.dice, [1, 1], [1, 1], 1),
        (voxel.precision, [0, 0], [1, 0], np.nan),
        (voxel.recall, [1, 0], [0, 0], np.nan),
        (voxel.specificity, [1, 0], [1, 1], np.nan),
        (voxel.specificity, [1, 0], [0, 0], 0.5),
        (voxel.false_positive_rate, [1, 1], [1, 1], np.nan),
        (voxel.l1_ratio, [2.0, 3.0], [0, 0], np.nan),
        (voxel.l1_ratio, [2.0, 3.0], [1, 1], np.nan),
        (voxel.l1_ratio, [2.0, 0.0], [1, 0], np.nan),
        (voxel.l1_ratio, [2.0, -1.0], [1, 0], np.nan),
    ],
)
def test_empty_and_full_masks(figure, found, truth, expected):
    assert figure(found, truth) == pytest.approx(expected, nan_ok=True)


def test_what_is_no_score_or_mask_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        curve([0.1, np.nan], [0, 1])
    with pytest.raises(ValueError, match="other than 0 and 1"):
        curve([0.1, 0.2], [0, 2])
    with pytest.raises(ValueError, match="one array is"):
        voxel.dice([0, 1], [0, 1, 1])


# Check 12 of the shared protocol; the published code logged TN, FN, FP, TP under these names
def test_counts_carry_their_right_names():
    truth = np.zeros((4, 5, 6), bool)
    truth[:2, :2, :2] = True  # 8 voxels
    found = np.zeros(truth.shape, bool)
    found[:2, :2, :5] = True  # those, and 12 others
    found[0, 0, 0] = False  # but one
    counts = voxel.confusion(found, truth)
    assert counts.true_positives == 7
    assert counts.false_positives == 12
    assert counts.false_negatives == 1
    assert counts.true_negatives == 100
    assert sum(counts) == truth.size == 120
    assert voxel.specificity(found, truth) == 100 / (100 + 12)
    assert voxel.false_positive_rate(found, truth) == 12 / (12 + 100)
    assert voxel.precision(found, truth) == 7 / (7 + 12)
    assert voxel.recall(found, truth) == 7 / (7 + 1)
    assert voxel.accuracy(found, truth) == (7 + 100) / 120
    assert voxel.dice(found, truth) == 2 * 7 / (19 + 8)


# Check 14
@pytest.mark.parametrize("seed", range(3))
def test_a_random_score_reaches_the_prevalence_over_the_grid_and_in_the_brain(seed):
    rng = np.random.default_rng(seed)
    shape = (96, 96, 50)
    middle = np.array([47.5, 47.5, 24.5])[:, None, None, None]
    brain = (((np.indices(shape) - middle) / [[[[40]]], [[[45]]], [[[24]]]]) ** 2).sum(0) < 1
    truth = brain & (rng.random(shape) < 0.03)
    score = rng.random(shape, dtype=np.float32)
    for region in (np.ones(shape, bool), brain):
        lesion = truth[region]
        # AUROC of chance has the variance (m + n + 1) / (12 m n)
        spread = np.sqrt((lesion.size + 1) / 12 / lesion.sum() / (~lesion).sum())
        assert voxel.auroc(score[region], lesion) == pytest.approx(0.5, abs=4 * spread)
        prevalence = lesion.mean()
        assert voxel.average_precision(score[region], lesion) == pytest.approx(prevalence, rel=0.05)
    masked = score * brain  # background last: over the grid, a score that knows where the brain is
    assert voxel.average_precision(masked, truth) == pytest.approx(truth[brain].mean(), rel=0.05)
