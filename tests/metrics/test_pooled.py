import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from hale.metrics import voxel
from hale.metrics.pooled import PAGES, Pool
from hale.metrics.thresholds import healthy_fpr

FLOATS = st.one_of(
    st.integers(-3, 3).map(float),
    st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False),
)


def volumes(seed, count=6, size=4000, shape=lambda z: z):
    """Scores of lesions and others, scan by scan."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        truth = rng.random(size) < 0.05
        yield shape(rng.normal(size=size) + 1.5 * truth).astype(np.float32), truth


def pooled(parts, bins=2**22):
    pool = Pool(bins)
    for score, truth in parts:
        pool.add(score, truth)
    return pool


def together(parts):
    scores, truths = zip(*parts, strict=True)
    return np.concatenate(scores), np.concatenate(truths)


@given(data=st.data(), parts=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_few_pages_are_exact_under_ties(data, parts):
    drawn = []
    for _ in range(parts):
        size = data.draw(st.integers(1, 7))
        score = data.draw(hnp.arrays(np.float32, size, elements=FLOATS))
        drawn.append((score, data.draw(hnp.arrays(bool, size))))
    score, truth = together(drawn)
    assume(truth.any() and not truth.all())
    pool = pooled(drawn, 2**21)  # room for 32 pages
    counts = pool.curve()
    assert pool.exact
    assert pool.error == 0
    assert counts.average_precision == pytest.approx(sk.average_precision_score(truth, score))
    assert counts.auroc == pytest.approx(sk.roc_auc_score(truth, score))
    assert counts.best_dice == voxel.best_dice(score, truth)
    assert np.array_equal(counts.threshold, voxel.curve(score, truth).threshold)
    ranking = pool.ranking()
    assert ranking.average_precision == pytest.approx(counts.average_precision)
    assert ranking.auroc == pytest.approx(counts.auroc)
    assert ranking.best_dice == counts.best_dice
    for rate in (0.0, 0.2, 0.5):
        assert pool.threshold_at(rate) == healthy_fpr(score[~truth], rate)


@given(data=st.data(), bins=st.sampled_from([PAGES, 2 * PAGES]))
@settings(max_examples=50, deadline=None)
def test_the_bound_holds_whatever_the_scores(data, bins):
    size = data.draw(st.integers(2, 60))
    score = data.draw(hnp.arrays(np.float32, size, elements=FLOATS))
    truth = data.draw(hnp.arrays(bool, size))
    assume(truth.any() and not truth.all())
    pool = pooled([(score, truth)], bins)
    off = pool.curve().average_precision - sk.average_precision_score(truth, score)
    assert abs(off) <= pool.error + 1e-12


SHAPES = {
    "z": lambda z: z,
    "residual": lambda z: np.maximum(z, 0) / 8,
    "likelihood": np.exp,
    "heavy": lambda z: np.abs(z) ** 6 * 1e-4,
    "offset": lambda z: 1000 + z,
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_default_memory_is_good_to_a_ten_thousandth(name):
    parts = list(volumes(0, size=20_000, shape=SHAPES[name]))
    pool, (score, truth) = pooled(parts), together(parts)
    counts, exact = pool.curve(), voxel.curve(score, truth)
    assert pool.error < 1e-4
    assert counts.average_precision == pytest.approx(exact.average_precision, abs=pool.error + 1e-9)
    assert counts.auroc == pytest.approx(exact.auroc, abs=1e-6)
    ranking = pool.ranking()
    assert ranking.average_precision == pytest.approx(counts.average_precision, abs=1e-12)
    assert ranking.auroc == pytest.approx(counts.auroc, abs=1e-12)
    assert ranking.best_dice == counts.best_dice
    assert exact.best_dice - 1e-4 < counts.best_dice <= exact.best_dice


@pytest.mark.parametrize("bins", [PAGES, 2**18])
def test_counts_at_a_threshold_are_exact_and_the_healthy_rate_is_kept(bins):
    parts = list(volumes(1))
    pool, (score, truth) = pooled(parts, bins), together(parts)
    counts = pool.curve()
    assert not pool.exact
    for at in range(0, len(counts.threshold), 50):
        found = score >= counts.threshold[at]
        assert (found & truth).sum() == counts.true[at]
        assert (found & ~truth).sum() == counts.false[at]
    for rate in (0.001, 0.01, 0.3):
        marked = (score[~truth] >= pool.threshold_at(rate)).mean()
        assert marked <= rate
        assert marked == pytest.approx(rate, rel=0.2)
    dice = voxel.dice(score >= counts.threshold[counts.dice.argmax()], truth)
    assert dice == counts.best_dice


def test_the_order_of_scans_changes_nothing():
    parts = list(volumes(2, shape=np.exp))
    one, other = pooled(parts, 2**18).curve(), pooled(parts[::-1], 2**18).curve()
    assert np.array_equal(one.threshold, other.threshold)
    assert np.array_equal(one.false, other.false)


def test_float64_and_zeros_of_both_signs_are_one_score():
    pool = pooled([(np.array([0.0, -0.0, 1e-40, 0.1]), np.array([1, 0, 0, 0]))])
    assert pool.curve().average_precision == 1 / 4
    assert pool.curve().auroc == (0.5 + 0.5 + 0) / 3


def test_nothing_is_undefined():
    empty = Pool()
    assert np.isnan([empty.curve().average_precision, empty.curve().auroc]).all()
    assert empty.error == 0
    assert np.isnan(empty.ranking().average_precision)
    with pytest.raises(ValueError, match="voxels without lesion"):
        empty.threshold_at(0.01)
    healthy = pooled([(np.arange(4.0), np.zeros(4, bool))])
    assert np.isnan(healthy.curve().average_precision)
    assert healthy.threshold_at(0.25) == np.nextafter(np.float32(2), np.float32(3))
    assert healthy.threshold_at(0) > 3


def test_what_is_no_score_or_mask_is_refused():
    for score, truth, why in (
        ([np.inf], [0], "not finite"),
        ([1e60], [0], "not finite"),
        ([1.0], [2], "other than 0 and 1"),
        ([1.0], [0, 1], "one array is"),
    ):
        with pytest.raises(ValueError, match=why):
            Pool().add(np.array(score), np.array(truth))


def peak(count):
    tracemalloc.start()
    pool = pooled(volumes(3, count=count, size=40_000))
    pool.ranking()
    pool.threshold_at(0.01)
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return highest


def test_memory_does_not_grow_with_the_number_of_scans():
    assert peak(100) == pytest.approx(peak(10), rel=0.05)  # kept, they would be 25 % more
