"""How far pooled figures can be trusted: patients are resampled without their voxels at hand.

`outline` keeps how many voxels of a scan lie above a few hundred scores, 30 kB at most; `at_levels`
reads the outlines of many scans at common thresholds, those of 1500 false-positive rates from
one voxel to all. Between the scores that an outline keeps, counts are interpolated, so figures
differ by some thousandths from those of `hale.metrics.pooled.Pool`: enough for an interval or a
test, which is why `interval` takes the value itself from there.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hale.metrics.bootstrap import Interval, bootstrap
from hale.metrics.compare import Mixed
from hale.metrics.voxel import NAN, yes_no

RANKS = 512
"""Ranks kept of each kind of voxel at like ratios (1, 2, 3 ... to all), and half as many at like
distances."""
CANDIDATES = 4096
"""Thresholds that levels are chosen from."""
LEVELS = 1000
"""Numbers of false voxels, chosen as ranks are."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """Counts of one kind of voxel at some of its scores, ``(k,)`` each, lowest score first."""

    score: np.ndarray
    at_least: np.ndarray
    """Voxels at or above the score."""
    more: np.ndarray
    """Voxels strictly above it."""

    def above(self, thresholds: np.ndarray) -> np.ndarray:
        """Return how many voxels lie at or above ``thresholds`` ``(n,)``; in between, linear."""
        if not len(self.score):
            return np.zeros(len(thresholds))
        score = self.score.astype(np.float64)
        ends = np.stack([score, np.nextafter(score, np.inf)], -1).ravel()
        counts = np.stack([self.at_least, self.more], -1).ravel()
        above: np.ndarray = np.interp(thresholds, ends, counts)
        return above


@dataclass(frozen=True, kw_only=True, eq=False)
class Outline:
    """What is kept of a scan's voxels."""

    lesion: Steps
    normal: Steps


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """Voxels above and at or above each level, by turns: of a scan ``(k,)``, or of many ``(n, k)``.

    From the first of such a pair to the second is a tie; to the next pair, scores differ.
    """

    true: np.ndarray
    false: np.ndarray
    lesion: np.ndarray
    """All lesion voxels, ``(1,)`` or ``(n, 1)``."""
    normal: np.ndarray

    def of(self, at: np.ndarray) -> "Counts":
        """Return the counts of some scans together; a scan may come twice."""
        return Counts(
            true=self.true[at].sum(0),
            false=self.false[at].sum(0),
            lesion=self.lesion[at].sum(0),
            normal=self.normal[at].sum(0),
        )


Figure = Callable[[Counts], float]
"""A ranking figure of the counts ``(k,)`` of all voxels together."""


def outline(score: ArrayLike, truth: ArrayLike) -> Outline:
    """Return the outline of a scan's voxels.

    Args:
        score: Any shape, finite; compared as float32.
        truth: Same shape; booleans or 0 and 1.

    Raises:
        ValueError: The shapes differ, truth holds other values.
    """
    lesion = yes_no(truth, np.shape(score))
    values = np.asarray(score).ravel().astype(np.float32)
    return Outline(lesion=_steps(values[lesion]), normal=_steps(values[~lesion]))


def at_levels(outlines: Sequence[Outline]) -> Counts:
    """Return the counts of scans ``(n, k)`` at thresholds of common false-positive rates.

    The levels are rates of all scans together, so those of two methods on the same scans mean the
    same whatever the scales of their scores: `mixed` exchanges methods level by level.
    """
    normal = np.array([_size(one.normal) for one in outlines])
    kept = [steps.score for one in outlines for steps in (one.lesion, one.normal)]
    candidates = np.unique(np.concatenate([*kept, np.zeros(0, np.float32)]))
    thinned = np.linspace(0, len(candidates) - 1, min(CANDIDATES, len(candidates))).astype(np.intp)
    thresholds = candidates[thinned][::-1].astype(np.float64)
    together = sum((one.normal.above(thresholds) for one in outlines), np.zeros(len(thresholds)))
    allowed = np.append(0, _ratios_and_distances(max(int(normal.sum()), 1), LEVELS))
    chosen = np.searchsorted(together, allowed * (1 + 1e-9), side="right") - 1
    level = np.append(np.inf, thresholds)[chosen + 1]  # inf: even the first marks too many
    again = np.append(False, level[1:] == level[:-1])
    at = np.stack([np.where(again, level, np.nextafter(level, np.inf)), level], -1).ravel()
    return Counts(
        true=np.array([one.lesion.above(at) for one in outlines]).reshape(-1, len(at)),
        false=np.array([one.normal.above(at) for one in outlines]).reshape(-1, len(at)),
        lesion=np.array([[_size(one.lesion)] for one in outlines]).reshape(-1, 1),
        normal=normal.reshape(-1, 1),
    )


def average_precision(counts: Counts) -> float:
    """Return AUPRC: the step in recall times the precision after a tie, or halfway between two."""
    if not counts.lesion[0]:
        return NAN
    found = counts.true + counts.false
    precision = np.where(found > 0, counts.true / np.maximum(found, 1e-300), 1.0)
    ahead = np.append(precision[:1], precision[:-1])
    ahead[1::2] = precision[1::2]
    steps = np.diff(counts.true, prepend=0)
    return float((steps * (precision + ahead)).sum() / 2 / counts.lesion[0])


def auroc(counts: Counts) -> float:
    """Return the area under the line through the levels; NaN unless there are both kinds."""
    if not counts.lesion[0] or not counts.normal[0]:
        return NAN
    steps = np.diff(counts.false, prepend=0)
    heights = (counts.true + np.append(0, counts.true[:-1])) / 2
    return float((steps * heights).sum() / counts.lesion[0] / counts.normal[0])


def best_dice(counts: Counts) -> float:
    """Return the highest Dice of a level: an oracle. NaN without lesion voxels."""
    if not counts.lesion[0]:
        return NAN
    return float((2 * counts.true / (counts.lesion + counts.true + counts.false)).max())


def interval(
    counts: Counts,
    figure: Figure,
    patients: Sequence[Hashable],
    *,
    value: float,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return a pooled figure with its 95 % interval over patients.

    Args:
        counts: Of the scans, ``(n, k)``.
        figure: `average_precision`, `auroc` or `best_dice` of this module.
        patients: ``(n,)``, whose scan each is.
        value: The figure from `hale.metrics.pooled.Pool`; the interval is moved to it.
        draws: As in `bootstrap`.
        seed: As in `bootstrap`.
    """
    found = bootstrap(lambda at: figure(counts.of(at)), patients, draws=draws, seed=seed)
    return found.moved_to(value)


def mixed(first: Counts, second: Counts, figure: Figure) -> Mixed:
    """Return a figure of scans of which each comes from one of two methods.

    For `hale.metrics.compare.paired_pooled`; both methods on the same scans in the same order.
    """
    both = [
        np.stack([getattr(one, name) for one in (first, second)])
        for name in ("true", "false", "lesion", "normal")
    ]

    def of(at: np.ndarray, method: np.ndarray) -> float:
        true, false, lesion, normal = (part[method, at].sum(0) for part in both)
        return figure(Counts(true=true, false=false, lesion=lesion, normal=normal))

    return of


def _steps(values: np.ndarray) -> Steps:
    """Return the counts at scores of geometric ranks; the lowest and the highest are among them."""
    ordered = np.sort(values)
    ranks = np.unique(_ratios_and_distances(max(len(ordered), 1), RANKS).round().astype(np.intp))
    score = np.unique(ordered[len(ordered) - ranks]) if len(ordered) else ordered
    return Steps(
        score=score,
        at_least=len(ordered) - np.searchsorted(ordered, score, side="left"),
        more=len(ordered) - np.searchsorted(ordered, score, side="right"),
    )


def _ratios_and_distances(last: int, count: int) -> np.ndarray:
    """Return numbers from 1 to ``last``, ascending: dense at the top ranks, even in the bulk."""
    return np.sort(np.append(np.geomspace(1, last, count), np.linspace(1, last, count // 2)))


def _size(steps: Steps) -> int:
    return int(steps.at_least[0]) if len(steps.score) else 0
