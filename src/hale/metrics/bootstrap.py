"""Intervals by resampling patients, because voxels and visits of one patient are not independent.

BCa: Efron 1987, doi:10.1080/01621459.1987.10478410.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

Statistic = Callable[[np.ndarray], float]
"""Figure of the cases whose indices ``(n,)`` are given; some of them may come twice."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure and how far it can be trusted."""

    value: float
    low: float
    """Lower end of the interval; NaN for fewer than two patients."""
    high: float
    n: int
    """Cases that it is over."""

    def moved_to(self, value: float) -> "Interval":
        """Return the interval of a figure that is close to the one which was resampled."""
        by = value - self.value
        return replace(self, value=value, low=self.low + by, high=self.high + by)

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f}, n={self.n})"


def bootstrap_mean(
    values: ArrayLike,
    patients: Sequence[Hashable] | None = None,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the mean of ``values`` ``(n,)`` and its BCa interval.

    NaN values are left out, and ``n`` says how many remain. See `bootstrap` for the rest.
    """
    numbers = np.asarray(values, np.float64)
    kept = np.flatnonzero(~np.isnan(numbers))
    if patients is not None and len(patients) != len(numbers):
        msg = f"{len(numbers)} values but {len(patients)} patients"
        raise ValueError(msg)
    defined = numbers[kept]
    owners = kept.tolist() if patients is None else [patients[int(at)] for at in kept]
    groups = groups_of(owners)
    if len(groups) < 2:
        value = float(defined.mean()) if len(defined) else np.nan
        return Interval(value=value, low=np.nan, high=np.nan, n=len(defined))
    sums = np.array([defined[group].sum() for group in groups])
    sizes = np.array([len(group) for group in groups])
    picks = _picks(len(groups), draws, seed)
    return _interval(
        float(defined.mean()),
        sums[picks].sum(1) / sizes[picks].sum(1),
        (sums.sum() - sums) / (sizes.sum() - sizes),
        n=len(defined),
        level=level,
    )


def bootstrap(
    statistic: Statistic,
    patients: Sequence[Hashable],
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return a figure of a set of cases and its bias-corrected and accelerated interval.

    Args:
        statistic: Gets case indices, returns the figure.
        patients: ``(n,)``, whose case each is. All cases of a patient are drawn together.
        draws: Resamplings of the patients.
        level: Of the interval.
        seed: Same seed, same interval.

    Draws on which the figure is undefined (NaN) are left out. With no cases all is NaN; with one
    patient, or a figure undefined in most draws, the ends are. Where the acceleration is undefined
    (no patient matters), it is 0.
    """
    count = len(patients)
    if not count:
        return Interval(value=np.nan, low=np.nan, high=np.nan, n=0)
    groups = groups_of(patients)
    value = statistic(np.arange(count))
    if len(groups) < 2 or np.isnan(value):
        return Interval(value=value, low=np.nan, high=np.nan, n=count)
    picks = _picks(len(groups), draws, seed)
    if len(groups) == count:  # a case a patient: the case is the patient
        drawn = np.array([statistic(pick) for pick in picks])
    else:
        drawn = np.array([statistic(np.concatenate([groups[g] for g in pick])) for pick in picks])
    left_out = np.array(
        [statistic(np.concatenate(groups[:g] + groups[g + 1 :])) for g in range(len(groups))]
    )
    return _interval(value, drawn, left_out, n=count, level=level)


def _picks(people: int, draws: int, seed: int) -> np.ndarray:
    """Return which patients are drawn ``(draws, people)``."""
    return np.random.default_rng(seed).integers(people, size=(draws, people))


def _interval(
    value: float, drawn: np.ndarray, left_out: np.ndarray, *, n: int, level: float
) -> Interval:
    """Return a figure with the interval of its draws; NaN if most of them are undefined.

    What differs by rounding alone counts as equal.
    """
    defined = drawn[~np.isnan(drawn)]
    if 2 * len(defined) < len(drawn):
        return Interval(value=float(value), low=np.nan, high=np.nan, n=n)
    defined = np.where(np.isclose(defined, value, rtol=1e-12, atol=0), value, defined)
    low, high = np.quantile(defined, _bca_levels(defined, value, left_out, level))
    return Interval(value=float(value), low=float(low), high=float(high), n=n)


def groups_of(patients: Sequence[Hashable]) -> list[np.ndarray]:
    """Return the case indices of each patient, in order of first appearance."""
    cases: dict[Hashable, list[int]] = {}
    for at, patient in enumerate(patients):
        cases.setdefault(patient, []).append(at)
    return [np.array(indices) for indices in cases.values()]


def _bca_levels(drawn: np.ndarray, value: float, left_out: np.ndarray, level: float) -> np.ndarray:
    """Return which quantiles of ``drawn`` are the ends (2,): Efron 1987, equations 2.3 and 6.6."""
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    below = ((drawn < value).mean() + (drawn <= value).mean()) / 2
    if not 0 < below < 1:  # all draws on one side, or none varies: nothing to correct by
        return tails
    bias = ndtri(below)
    defined = left_out[~np.isnan(left_out)]
    spread = defined.sum() / max(len(defined), 1) - defined
    scale = (spread**2).sum() ** 1.5
    acceleration = (spread**3).sum() / (6 * scale) if scale > 0 else 0.0
    shifted = bias + ndtri(tails)
    corrected: np.ndarray = ndtr(bias + shifted / (1 - acceleration * shifted))
    return corrected
