"""Thresholds that are chosen on other scans than those they are tested on."""

import numpy as np
import pytest
from sklearn import metrics as sk

from hale.metrics import voxel
from hale.metrics.thresholds import best_val, best_val_exact, bisection, healthy_fpr


def validation(seed: int, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a few volumes, a few per cent of whose voxels are lesions and a little brighter."""
    rng = np.random.default_rng(seed)
    lesion = rng.random((2, n // 20, 10)) < 0.04
    return (rng.gamma(2, 0.1, lesion.shape) + 0.3 * lesion).astype(np.float32), lesion


# Check 11 of the shared protocol
@pytest.mark.parametrize("seed", range(5))
def test_the_published_search_tries_twenty_multiples_of_the_highest_score_over_2048(seed):
    score, lesion = validation(seed)
    tried = bisection(score, lesion)
    assert len(tried) == 20
    levels = np.array([one.threshold for one in tried]) / float(score.max()) * 2**11
    assert np.abs(levels - levels.round()).max() < 1e-9
    assert [*levels[:2].round()] == [512, 1536]
    assert [*levels[-2:].round() % 4] == [1, 3]
    for one in tried:
        found = score >= one.threshold
        assert one.dice == pytest.approx(sk.f1_score(lesion.ravel(), found.ravel()))
    assert best_val(score, lesion).dice == max(one.dice for one in tried)


def test_the_published_search_by_hand():
    score = np.array([0.5, 1.5, 4.5, 5.5, 8.0])
    lesion = np.array([0, 0, 1, 1, 1])
    tried = bisection(score, lesion)
    # Quarters of 0 to 8, of 0 to 4, then of 2 to 4, where all are alike: to the left.
    first = [(2, 1), (6, 0.5), (1, 6 / 7), (3, 1), (2.5, 1), (3.5, 1), (2.25, 1), (2.75, 1)]
    assert tried[:8] == tuple(first)
    assert best_val(score, lesion) == (2, 1)


def test_the_published_search_may_miss_what_the_exact_one_finds():
    # At 0.25 all is marked, at 0.75 a third of the lesion alone: the peak at 0.4 is left behind.
    score = np.repeat([1.0, 0.8, 0.4, 0.26], [1, 19, 40, 200])
    lesion = np.repeat([True, False], [60, 200])
    assert best_val_exact(score, lesion) == (0.4, 1)
    assert best_val(score, lesion).dice == 2 * 20 / (20 + 60)


@pytest.mark.parametrize("seed", range(5))
def test_the_exact_search_is_never_worse_than_the_published_one(seed):
    pooled = validation(seed)
    exact = best_val_exact(*pooled)
    assert exact.dice - 0.05 < best_val(*pooled).dice <= exact.dice
    assert exact.dice == voxel.best_dice(*pooled)


@pytest.mark.parametrize("seed", range(5))
def test_the_exact_search_is_the_best_of_all_thresholds(seed):
    score, lesion = validation(seed, 400)
    score = score.round(1)  # ties
    best = best_val_exact(score, lesion)
    dices = {float(t): sk.f1_score(lesion.ravel(), (score >= t).ravel()) for t in np.unique(score)}
    assert best.dice == pytest.approx(max(dices.values()))
    assert dices[best.threshold] == pytest.approx(best.dice)
    assert voxel.dice(score >= best.threshold, lesion) == pytest.approx(best.dice)


@pytest.mark.parametrize("search", [bisection, best_val, best_val_exact])
def test_labels_without_a_lesion_choose_nothing(search):
    with pytest.raises(ValueError, match="no lesion voxel"):
        search(np.ones(5), np.zeros(5))
    with pytest.raises(ValueError, match="one array is"):
        search(np.ones(5), np.ones(4))


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.05, 0.1])
def test_healthy_scans_alone_give_a_threshold_of_a_known_rate(rate):
    score = np.random.default_rng(0).gamma(2, 0.1, (50, 40, 5)).astype(np.float32)
    threshold = healthy_fpr(score, rate)
    assert (score >= threshold).mean() == pytest.approx(rate, abs=1e-12)
    lower = np.nextafter(np.float32(threshold), np.float32(0))
    assert (score >= lower).mean() > rate
    other = np.random.default_rng(1).gamma(2, 0.1, (50, 40, 5)).astype(np.float32)
    assert (other >= threshold).mean() == pytest.approx(rate, abs=0.01)
    empty = np.zeros(score.shape, bool)
    assert voxel.false_positive_rate(score >= threshold, empty) == pytest.approx(rate, abs=1e-12)


def test_ties_never_exceed_the_rate():
    for score in ([3.0, 2.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0], [1, 1, 2, 3]):
        for rate in (0.0, 0.25, 0.5, 0.75):
            threshold = healthy_fpr(score, rate)
            assert (np.array(score) >= threshold).mean() <= rate
    assert (np.array([3.0, 2.0, 2.0, 1.0]) >= healthy_fpr([3.0, 2.0, 2.0, 1.0], 0.5)).sum() == 1


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_ties_never_exceed_the_rate_in_the_float_type_of_the_scores(kind):
    score = np.array([3.0, 2.0, 2.0, 1.0], kind)
    assert (score >= healthy_fpr(score, 0.5)).sum() == 1


@pytest.mark.parametrize(
    ("score", "rate"), [([], 0.1), ([np.nan], 0.1), ([1.0], 1.0), ([1.0], -0.1)]
)
def test_what_gives_no_rate_is_refused(score, rate):
    with pytest.raises(ValueError, match="finite scores and a rate"):
        healthy_fpr(score, rate)


def test_nothing_lies_above_the_highest_number_there_is():
    highest = np.finfo(np.float32).max
    assert healthy_fpr(np.array([0, highest], np.float32), 0.0) == np.inf
