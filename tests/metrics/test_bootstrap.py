import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from hale.metrics import scan
from hale.metrics.bootstrap import bootstrap, bootstrap_mean


def test_agrees_with_scipy():
    values = np.random.default_rng(0).exponential(size=30)
    ours = bootstrap_mean(values, draws=5000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=5000, method="BCa", rng=1)
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.03)


def test_covers_the_mean_about_95_times_in_100():
    rng = np.random.default_rng(1)
    intervals = [bootstrap_mean(rng.normal(size=40), draws=300, seed=n) for n in range(150)]
    covered = np.mean([i.low <= 0 <= i.high for i in intervals])
    assert 0.88 <= covered <= 0.99


def test_undefined_values_are_left_out_and_n_says_so():
    values = [0.1, np.nan, 0.5, 0.9]
    with_gap, without = bootstrap_mean(values), bootstrap_mean([0.1, 0.5, 0.9])
    assert with_gap == without
    assert with_gap.n == 3
    assert str(with_gap).startswith("0.500 (")


def test_visits_of_a_patient_are_drawn_together():
    values = np.repeat(np.random.default_rng(0).normal(size=15), 10)
    patients = [f"sub-{n:02}" for n in np.repeat(np.arange(15), 10)]
    grouped, naive = bootstrap_mean(values, patients), bootstrap_mean(values)
    assert grouped.value == naive.value
    assert grouped.high - grouped.low > 2 * (naive.high - naive.low)


def test_same_seed_same_interval():
    values = np.random.default_rng(0).normal(size=20)
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
    assert bootstrap_mean(values, seed=3) != bootstrap_mean(values, seed=4)


@pytest.mark.parametrize(("values", "n"), [([], 0), ([np.nan], 0), ([0.4], 1)])
def test_too_few_have_no_interval(values, n):
    interval = bootstrap_mean(values)
    assert interval.n == n
    assert np.isnan([interval.low, interval.high]).all()


def test_equal_values_have_an_interval_of_no_width():
    interval = bootstrap_mean([0.5] * 6)
    assert (interval.low, interval.value, interval.high) == (0.5, 0.5, 0.5)


def test_any_figure_can_be_resampled():
    rng = np.random.default_rng(0)
    ill = np.arange(40) % 2
    scores = rng.normal(size=40) + ill
    interval = bootstrap(lambda at: scan.auroc(scores[at], ill[at]), range(40), draws=500)
    assert interval.value == pytest.approx(roc_auc_score(ill, scores))
    assert interval.low < interval.value < interval.high
    assert interval.n == 40


def test_a_figure_undefined_when_any_patient_is_left_out_has_no_acceleration():
    scores, ill = np.array([0.2, 0.8, 0.1]), np.array([0, 1, 0])
    interval = bootstrap(lambda at: scan.auroc(scores[at], ill[at]), range(3), draws=500)
    assert interval.value == 1
    assert interval.high == 1


def test_patients_must_be_as_many_as_values():
    with pytest.raises(ValueError, match="3 values but 2 patients"):
        bootstrap_mean([1.0, 2.0, 3.0], ["a", "b"])
