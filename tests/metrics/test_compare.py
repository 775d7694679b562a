import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hale.metrics import voxel
from hale.metrics.compare import (
    Verdict,
    holm,
    judge,
    paired,
    paired_pooled,
    spread,
    verdict,
)


def mean_gap(a, b, axis=-1):
    return (a - b).mean(axis)


def theirs(a, b, **settings):
    return stats.permutation_test(
        (a, b), mean_gap, permutation_type="samples", vectorized=True, **settings
    )


@pytest.mark.parametrize("seed", range(5))
def test_an_exact_p_is_that_of_scipy(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random(9) + 0.2, rng.random(9)
    ours = paired(a, b)
    assert ours.difference == pytest.approx((a - b).mean())
    assert ours.p == pytest.approx(theirs(a, b).pvalue, abs=1e-12)
    assert ours.patients == ours.cases == 9


@pytest.mark.parametrize("ties", [False, True])
def test_all_exchanges_of_many_patients_are_counted(ties):
    rng = np.random.default_rng(3)
    gaps = rng.normal(0.3, 1, 15)
    gaps = gaps.round() if ties else gaps  # whole numbers: many sums are equal
    signs = 1 - 2 * (np.arange(2**15)[:, None] >> np.arange(15) & 1)
    sums = np.abs(signs @ gaps)
    assert paired(gaps, 0 * gaps).p == (sums >= abs(gaps.sum()) - 1e-9).sum() / 2**15


def test_counted_exchanges_agree_with_random_ones():
    rng = np.random.default_rng(0)
    a, b = rng.random(36) + 0.12, rng.random(36)
    counted = paired(a, b).p
    assert paired(a, b, seed=1).p == counted  # no draw in it
    random = theirs(a, b, n_resamples=50_000, rng=np.random.default_rng(1)).pvalue
    assert 0.01 < counted < 0.5
    assert counted == pytest.approx(random, abs=0.006)  # 3 SD


def test_random_exchanges_agree_with_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.random(40) + 0.07, rng.random(40)
    ours = paired(a, b, draws=20_000)
    expected = theirs(a, b, n_resamples=20_000, rng=np.random.default_rng(1)).pvalue
    assert 0.01 < ours.p < 0.5
    assert ours.p == pytest.approx(expected, abs=0.012)  # 3 SD of both
    assert paired(a, b, draws=20_000) == ours


def test_p_by_hand():
    # 1 of 8 ways has the sum 6, 1 has -6; 2, 3, 1 are never beaten
    assert paired([2, 3, 1], [0, 0, 0]).p == 2 / 8
    # sums of +-3 +-1 +-1: 5, 3, 3, 1 and their negatives; at least 3 in size: 6 of 8
    assert paired([3, 1, -1], [0, 0, 0]).p == 6 / 8
    assert paired([1, 1, 1], [1, 1, 1]).p == 1


def test_a_p_of_random_exchanges_is_never_zero():
    a = np.ones(40)
    assert paired(a, 0 * a, draws=999).p == 1 / 1000


def test_scans_of_a_patient_are_exchanged_together():
    rng = np.random.default_rng(0)
    per_patient = rng.normal(0.3, 1, 8)
    people = [f"sub-{n}" for n in np.repeat(np.arange(8), 5)]
    visits = np.repeat(per_patient, 5)
    together = paired(visits, 0 * visits, people)
    assert together.p == paired(per_patient, 0 * per_patient).p
    assert (together.cases, together.patients) == (40, 8)
    assert paired(visits, 0 * visits).p < together.p


def test_a_case_without_a_figure_is_left_out():
    whole = paired([1.0, 2.0, 3.0, 1.0], [0.0, 0.0, 1.0, 0.0])
    gap = paired([1.0, np.nan, 2.0, 3.0, 1.0, 9.0], [0.0, 7.0, 0.0, 1.0, 0.0, np.nan])
    assert (gap.difference, gap.p, gap.cases) == (whole.difference, whole.p, 4)


@pytest.mark.parametrize("values", [[], [0.9], [0.9, 0.8], [np.nan] * 4])
def test_one_or_two_patients_are_never_ranked(values):
    one = paired(values, [0.1] * len(values))
    assert np.isnan([one.p, one.low, one.high]).all()
    assert judge({"them": one})["them"].verdict is Verdict.ALIKE


def test_many_scans_of_two_patients_are_never_ranked():
    people = ["a"] * 20 + ["b"] * 20
    one = paired(np.ones(40), np.zeros(40), people)
    assert one.difference == 1
    assert np.isnan(one.p)
    pooled = paired_pooled(lambda at, method: float((1 - method).mean()), people, draws=50)
    assert np.isnan([pooled.p, pooled.low]).all()


def test_the_interval_of_the_difference_is_bca():
    rng = np.random.default_rng(0)
    a, b = rng.exponential(size=40), rng.exponential(size=40)
    ours = paired(a, b)
    ends = stats.bootstrap((a - b,), np.mean, n_resamples=5000, rng=1).confidence_interval
    assert ours.low == pytest.approx(ends.low, abs=0.03)
    assert ours.high == pytest.approx(ends.high, abs=0.03)


def test_the_level_is_kept_under_the_null():
    rng = np.random.default_rng(0)
    p = [paired(rng.normal(size=8), rng.normal(size=8), draws=256).p for _ in range(200)]
    assert np.mean(np.array(p) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="figures of 2 cases"):
        paired([1.0, 2.0], [1.0], ["a", "b"])


def test_a_pooled_mean_is_the_mean_of_cases():
    rng = np.random.default_rng(3)
    both = rng.normal(size=(2, 8))
    people = list(range(8))
    pooled = paired_pooled(lambda at, method: float(both[method, at].mean()), people, draws=300)
    plain = paired(*both, people, draws=300)
    assert pooled.p == plain.p
    assert pooled.difference == pytest.approx(plain.difference)
    assert (pooled.low, pooled.high) == pytest.approx((plain.low, plain.high), abs=0.05)


def test_a_pooled_figure_is_exchanged_by_patient():
    rng = np.random.default_rng(0)
    truth = rng.random((6, 200)) < 0.1
    scores = rng.normal(size=(2, 6, 200)) + truth * np.array([2.0, 0.5])[:, None, None]

    def pooled_auprc(at, method):
        return voxel.average_precision(scores[method, at].ravel(), truth[at].ravel())

    ours = paired_pooled(pooled_auprc, [f"sub-{n}" for n in range(6)], draws=200)
    differences = []
    for mask in range(2**6):  # by hand
        method = (mask >> np.arange(6)) & 1
        at = np.arange(6)
        differences.append(pooled_auprc(at, method) - pooled_auprc(at, 1 - method))
    assert ours.difference == differences[0]
    assert ours.p == np.mean(np.abs(differences) >= abs(differences[0]) - 1e-12)
    assert ours.p == 2 / 64
    assert 0 < ours.low < ours.difference < ours.high


def test_holm_by_hand():
    # 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1 raised to the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_what_was_not_tested_does_not_cost():
    ps = holm([0.01, np.nan, 0.04])
    assert ps[0] == 0.02
    assert np.isnan(ps[1])
    assert ps[2] == 0.04


@given(ps=st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_holm_rejects_as_its_step_down_does(ps):
    rejected, order = set(), np.argsort(ps, kind="stable")
    for step, at in enumerate(order):
        if ps[at] * (len(ps) - step) > 0.05:
            break
        rejected.add(int(at))
    assert {at for at, p in enumerate(holm(ps)) if p <= 0.05} == rejected


@pytest.mark.parametrize(
    ("difference", "p", "lower_is_better", "expected"),
    [
        (0.1, 0.04, False, Verdict.BETTER),
        (-0.1, 0.04, False, Verdict.WORSE),
        (-0.1, 0.04, True, Verdict.BETTER),
        (0.1, 0.04, True, Verdict.WORSE),
        (0.5, 0.06, False, Verdict.ALIKE),
        (0.5, np.nan, False, Verdict.ALIKE),
    ],
)
def test_a_verdict_follows_the_corrected_test_alone(difference, p, lower_is_better, expected):
    assert verdict(difference, p, lower_is_better=lower_is_better) is expected


def test_a_family_is_judged_together():
    rng = np.random.default_rng(0)
    base = rng.normal(size=7)
    against = {
        "clear": paired(base + 1, base),  # 2 / 128
        "second": paired(base + 2, base),
        "third": paired(base + 3, base),
        "fourth": paired(base - 1, base),
    }
    assert all(one.p == 2 / 128 for one in against.values())
    judged = judge(against)
    assert {one.verdict for one in judged.values()} == {Verdict.ALIKE}  # 4 x 2 / 128 = 0.0625
    alone = judge({key: against[key] for key in ("clear", "second", "fourth")})
    assert alone["clear"].p_holm == 6 / 128
    assert alone["clear"].verdict is Verdict.BETTER
    assert alone["fourth"].verdict is Verdict.WORSE


def test_spread_over_seeds_and_folds_stands_apart():
    # seeds differ by 0.2, folds by 1.0
    values = {(0, 0): 1.0, (1, 0): 1.2, (0, 1): 2.0, (1, 1): 2.2}
    found = spread(values)
    assert found.mean == pytest.approx(1.6)
    assert found.seed_sd == pytest.approx(np.std([0, 0.2], ddof=1))
    assert found.fold_sd == pytest.approx(np.std([0, 1], ddof=1))
    one_fold = spread({(0, 0): 1.0, (1, 0): 3.0, (2, 0): np.nan})
    assert one_fold.seed_sd == pytest.approx(np.sqrt(2))
    assert np.isnan(one_fold.fold_sd)
    assert np.isnan(spread({}).mean)
