"""Is one method better than another on the same patients?

Under the null hypothesis the two methods are exchangeable within each patient, so exchanging their
results for any set of patients gives a difference that is as likely as the one seen. The p-value is
the share of such exchanges whose difference is at least as large, in either direction. The scans of
a patient are exchanged together. Several comparisons share one level by Holm's correction.

References: Fisher 1935, "The design of experiments"; Phipson & Smyth 2010,
doi:10.2202/1544-6115.1585 (the + 1 of random exchanges); Holm 1979, Scandinavian Journal of
Statistics 6, 65-70.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from hale.metrics.bootstrap import Interval, bootstrap, groups_of
from hale.metrics.permutation import EXACT, counted, permuted
from hale.metrics.voxel import NAN

RANKED_FROM = 3
"""Patients: fewer give a figure and a picture, no ranking."""

Mixed = Callable[[np.ndarray, np.ndarray], float]
"""Figure of the cases whose indices ``(n,)`` are given, each from the method (0 or 1) beside it."""
Key = TypeVar("Key", bound=Hashable)


class Verdict(StrEnum):
    """What a corrected test says of one method against another."""

    BETTER = "better"
    WORSE = "worse"
    ALIKE = "not told apart"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One method less another, on the same patients."""

    difference: float
    low: float
    """Lower end of the BCa interval of the difference; NaN for fewer than three patients."""
    high: float
    p: float
    """Two-sided, of the permutation test, not corrected; NaN for fewer than three patients."""
    cases: int
    """Those on which both methods have a figure."""
    patients: int


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A comparison among others."""

    p_holm: float
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A figure of one method over repeated fits."""

    mean: float
    seed_sd: float
    """Between seeds within a fold; NaN without a fold that has two."""
    fold_sd: float
    """Between folds within a seed: other people to learn from, or to be tested on."""


def paired(
    a: ArrayLike,
    b: ArrayLike,
    patients: Sequence[Hashable] | None = None,
    *,
    draws: int = 100_000,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare the means of a figure of each case: signs of per-patient differences are flipped.

    Args:
        a: ``(n,)``, figures of one method.
        b: ``(n,)``, of the other, case by case. A case where either is NaN is left out.
        patients: ``(n,)``, whose case each is; every case a patient of its own if None.
        draws: Random exchanges of more than `EXACT` patients; of fewer all ``2 ** patients``
            are counted. Also the resamplings of the interval, at most 2000.
        level: Of the interval.
        seed: Same seed, same p and interval.

    Raises:
        ValueError: The lengths differ.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    people = list(range(len(first))) if patients is None else list(patients)
    if not first.shape == second.shape == (len(people),):
        msg = f"{first.shape} and {second.shape} figures of {len(people)} cases"
        raise ValueError(msg)
    kept = np.flatnonzero(~np.isnan(first - second))
    gaps, owners = (first - second)[kept], [people[int(at)] for at in kept]
    groups = groups_of(owners)
    sums = np.array([gaps[group].sum() for group in groups])
    interval = bootstrap(
        lambda at: float(gaps[at].mean()), owners, draws=min(draws, 2000), level=level, seed=seed
    )

    def null(swapped: np.ndarray) -> np.ndarray:
        differences: np.ndarray = (1 - 2.0 * swapped) @ sums / len(gaps)
        return differences

    if len(groups) <= EXACT:
        return _compared(interval, len(groups), lambda: counted(sums / len(gaps)))
    return _compared(
        interval, len(groups), lambda: permuted(null, interval.value, len(groups), draws, seed)
    )


def paired_pooled(
    figure: Mixed,
    patients: Sequence[Hashable],
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare two methods by a figure of all cases together, such as a pooled AUPRC.

    Methods are exchanged patient by patient. Where the figure ranks scores of both together, bring
    them to one scale first (`hale.metrics.pooled.matched`): the exchange mixes them.

    Args:
        figure: Gets case indices ``(n,)`` and, for each, the method (0 or 1) to take it from.
        patients: ``(n,)``, whose case each is.
        draws: All ``2 ** patients`` exchanges are tried if they are no more than this, else this
            many at random; also the resamplings of the interval.
        level: Of the interval.
        seed: Same seed, same p and interval.

    Exchanges on which a figure is undefined are left out of the test.
    """
    count = len(patients)
    groups = groups_of(patients)
    owner = np.empty(count, np.intp)
    for number, group in enumerate(groups):
        owner[group] = number

    def gap(at: np.ndarray, swapped: np.ndarray) -> float:
        return figure(at, swapped) - figure(at, 1 - swapped)

    def null(swapped: np.ndarray) -> np.ndarray:
        return np.array([gap(np.arange(count), row[owner].astype(np.intp)) for row in swapped])

    interval = bootstrap(
        lambda at: gap(at, np.zeros(len(at), np.intp)),
        patients,
        draws=min(draws, 2000),
        level=level,
        seed=seed,
    )
    return _compared(
        interval, len(groups), lambda: permuted(null, interval.value, len(groups), draws, seed)
    )


def holm(ps: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in the order given: Holm's step-down.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none is below the one before
    it, none above 1. NaN (no test) stays NaN and does not count.
    """
    given = np.asarray(ps, np.float64)
    corrected = np.full(given.shape, NAN)
    tested = np.flatnonzero(~np.isnan(given))
    order = tested[np.argsort(given[tested], kind="stable")]
    steps = given[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(p) for p in corrected]


def verdict(
    difference: float, p_holm: float, *, level: float = 0.05, lower_is_better: bool = False
) -> Verdict:
    """Return what the corrected test says, and only that: an interval decides nothing."""
    if not p_holm <= level or difference == 0:  # NaN is no evidence either
        return Verdict.ALIKE
    return Verdict.BETTER if (difference > 0) != lower_is_better else Verdict.WORSE


def judge(
    comparisons: Mapping[Key, Comparison], *, level: float = 0.05, lower_is_better: bool = False
) -> dict[Key, Judgement]:
    """Return the verdict of each comparison of one family: Holm's correction is over all of them.

    Args:
        comparisons: By whatever names them, of one figure.
        level: Chance of any wrong verdict in the family.
        lower_is_better: For distances and false findings.
    """
    corrected = holm([one.p for one in comparisons.values()])
    return {
        key: Judgement(
            p_holm=p,
            verdict=verdict(one.difference, p, level=level, lower_is_better=lower_is_better),
        )
        for (key, one), p in zip(comparisons.items(), corrected, strict=True)
    }


def spread(values: Mapping[tuple[int, int], float]) -> Spread:
    """Return mean and spread of a figure over ``(seed, fold)``; NaN values are left out.

    A spread is the root of the mean variance (n - 1) within the folds, or within the seeds, that
    have two values or more, weighted by their degrees of freedom.
    """
    defined = {key: value for key, value in values.items() if not np.isnan(value)}
    return Spread(
        mean=float(np.mean(list(defined.values()))) if defined else NAN,
        seed_sd=_within(defined, 1),
        fold_sd=_within(defined, 0),
    )


def _within(values: Mapping[tuple[int, int], float], part: int) -> float:
    """Return the pooled standard deviation of the values that share a part of their key."""
    alike: dict[int, list[float]] = {}
    for key, value in values.items():
        alike.setdefault(key[part], []).append(value)
    freedom = sum(len(group) - 1 for group in alike.values())
    if not freedom:
        return NAN
    squares = sum(float(np.var(group)) * len(group) for group in alike.values())
    return float(np.sqrt(squares / freedom))


def _compared(interval: Interval, people: int, test: Callable[[], float]) -> Comparison:
    """Return a difference with its test; neither test nor interval for too few patients."""
    ranked = people >= RANKED_FROM
    return Comparison(
        difference=interval.value,
        low=interval.low if ranked else NAN,
        high=interval.high if ranked else NAN,
        p=test() if ranked else NAN,
        cases=interval.n,
        patients=people,
    )
