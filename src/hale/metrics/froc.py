"""Free-response curve: how many lesions are found at how many false findings a scan.

A finding is a 26-connected component of the voxels at or above a threshold; it is false when none
of its voxels is lesion. A lesion is detected when at least 10 % of its voxels are marked
(`hale.metrics.lesion`). One threshold serves all scans.

`profile` counts the findings of a scan at all of its thresholds at once, exactly: as the threshold
sinks, each voxel that appears starts a component, and each edge of the maximal spanning forest of
the voxels joins two. All lesion voxels are joined to one extra node, so that whatever touches a
lesion is one component, and the others are false.

Reference: Chakraborty & Winter 1990, doi:10.1148/radiology.174.3.2305073.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

from hale.metrics.bootstrap import Interval, Statistic, bootstrap
from hale.metrics.lesion import MIN_OVERLAP, SizeBin
from hale.metrics.voxel import NAN, volume_of

REACH = 0.1
"""Share of a scan's normal voxels that a threshold may mark; below, a whole brain would be one
finding, and true."""
STEPS = 4096
"""Thresholds kept of a scan, the highest: they hold thousands of findings."""
RUNGS = 1000
"""Thresholds of a resampled curve."""
OFFSETS = [step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]
"""Half of the 26 neighbours."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """Findings of one scan at every threshold down to a floor; 32 kB and 12 bytes a lesion."""

    threshold: np.ndarray
    """``(k,)``, highest first: where the number of false findings changes."""
    false: np.ndarray
    """``(k,)``, false findings at and below that threshold, down to the next."""
    lesions: np.ndarray
    """One entry per lesion: the highest threshold at which it is detected."""
    volumes_ml: np.ndarray
    """Of each lesion."""
    floor: float
    """Nothing is known below this threshold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Froc:
    """The curve of many scans; thresholds sink along it."""

    threshold: np.ndarray
    false_per_scan: np.ndarray
    recall: np.ndarray
    """Share of the lesions of all scans together."""
    lesions: int

    def recall_at(self, false_per_scan: float | int) -> float:
        """Return the share of lesions found before the false findings exceed so many a scan.

        The threshold sinks until they do for the first time: below, findings grow together and
        become fewer. A lower bound where the curve ends before. NaN without lesions.
        """
        if not self.lesions:
            return NAN
        over = np.flatnonzero(self.false_per_scan > false_per_scan)
        within = self.recall[: over[0] if len(over) else len(self.recall)]
        return float(within[-1]) if len(within) else 0.0


def profile(
    score: ArrayLike, truth: ArrayLike, *, voxel_ml: float, region: ArrayLike | None = None
) -> Profile:
    """Return the findings of one scan at all thresholds.

    Args:
        score: ``(i, j, k)``, higher = more abnormal.
        truth: Same shape, True where lesion.
        voxel_ml: Volume of a voxel, ml.
        region: Same shape, where findings may be, such as the brain. What of a lesion lies outside
            is never marked.

    Raises:
        ValueError: The shapes differ or are not three-dimensional; a mask that is none; a score
            that is not finite.
    """
    values, lesion = np.asarray(score, np.float32), volume_of(truth)
    inside = np.ones(lesion.shape, bool) if region is None else volume_of(region)
    if not values.shape == lesion.shape == inside.shape:
        msg = f"needs volumes of one shape, not {values.shape}, {lesion.shape} and {inside.shape}"
        raise ValueError(msg)
    if not np.isfinite(values[inside]).all():
        msg = "a score is not finite"
        raise ValueError(msg)
    shown = np.where(inside, values, -np.inf)
    thresholds, sizes = _detections(shown, lesion)
    floor = _floor(shown[inside & ~lesion])
    at = np.flatnonzero(shown.ravel() > floor)
    at = at[np.argsort(-shown.ravel()[at], kind="stable")]
    levels = shown.ravel()[at]
    false = _false(at, lesion)
    last = np.flatnonzero(np.append(levels[1:] != levels[:-1], np.ones(min(len(at), 1), bool)))
    levels, false = levels[last], false[last]
    changes = np.flatnonzero(np.diff(false, prepend=0))
    if len(changes) > STEPS:
        floor = float(levels[changes[STEPS]])
        changes = changes[:STEPS]
    return Profile(
        threshold=levels[changes],
        false=false[changes].astype(np.int32),
        lesions=thresholds,
        volumes_ml=sizes * voxel_ml,
        floor=floor,
    )


def froc(scans: Sequence[Profile], size: SizeBin | None = None) -> Froc:
    """Return the curve of many scans, ill and healthy, at every threshold where it changes.

    It ends where one of the scans' profiles does.

    Args:
        scans: Their profiles.
        size: Of the lesions that recall is of; None for all. False findings have no size.
    """
    floor = max((scan.floor for scan in scans), default=-np.inf)
    lesions = np.concatenate([_of_size(scan, size) for scan in scans] or [np.zeros(0)])
    parts = [scan.threshold for scan in scans] + [lesions]
    thresholds = np.unique(np.concatenate(parts))[::-1]
    thresholds = thresholds[thresholds > floor]
    false = sum((_at(scan, thresholds) for scan in scans), start=np.zeros(len(thresholds)))
    found = len(lesions) - np.searchsorted(np.sort(lesions), thresholds)
    return Froc(
        threshold=thresholds,
        false_per_scan=false / max(len(scans), 1),
        recall=found / len(lesions) if len(lesions) else np.full(len(thresholds), NAN),
        lesions=len(lesions),
    )


class Recall(NamedTuple):
    """Share of the lesions that are found at a number of false findings a scan."""

    value: float
    """Of all scans."""
    resampled: Statistic
    """Of those whose indices are given, read at a thousand of the thresholds: close to it."""


def recall(scans: Sequence[Profile], false_per_scan: float, size: SizeBin | None = None) -> Recall:
    """Return `Froc.recall_at`, and what a bootstrap over patients needs of it.

    ``size`` is of the lesions that recall is of; None for all.
    """
    curve = froc(scans, size)
    rungs = np.unique(np.linspace(0, len(curve.threshold) - 1, RUNGS).astype(np.intp))
    thresholds = curve.threshold[rungs] if len(curve.threshold) else curve.threshold
    false = np.array([_at(scan, thresholds) for scan in scans])
    sought = [_of_size(scan, size) for scan in scans]
    found = np.array([(one[:, None] >= thresholds).sum(0) for one in sought])
    lesions = np.array([len(one) for one in sought])

    def resampled(at: np.ndarray) -> float:
        if not len(at):
            return NAN
        drawn = Froc(
            threshold=thresholds,
            false_per_scan=false[at].sum(0) / len(at),
            recall=found[at].sum(0) / max(lesions[at].sum(), 1),
            lesions=int(lesions[at].sum()),
        )
        return drawn.recall_at(false_per_scan)

    return Recall(value=curve.recall_at(false_per_scan), resampled=resampled)


def interval(
    scans: Sequence[Profile],
    patients: Sequence[Hashable],
    false_per_scan: float,
    size: SizeBin | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return `recall` with its 95 % interval over patients; ``n`` counts scans."""
    read = recall(scans, false_per_scan, size)
    return bootstrap(read.resampled, patients, draws=draws, seed=seed).moved_to(read.value)


def _of_size(scan: Profile, size: SizeBin | None) -> np.ndarray:
    """Return the thresholds at which the lesions of a size are detected."""
    kept = [size is None or SizeBin.of(float(volume)) is size for volume in scan.volumes_ml]
    chosen: np.ndarray = scan.lesions[np.array(kept, bool)]
    return chosen


def _at(scan: Profile, thresholds: np.ndarray) -> np.ndarray:
    """Return the false findings of a scan at thresholds, highest first."""
    steps = np.searchsorted(-scan.threshold, -thresholds, side="right")
    counts: np.ndarray = np.append(0, scan.false)[steps]
    return counts


def _detections(shown: np.ndarray, lesion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the threshold at which each lesion is detected, and its voxels."""
    labels, count = label(lesion, np.ones((3, 3, 3)))
    owner, scores = labels[lesion], shown[lesion]
    order = np.lexsort((-scores, owner))
    sizes = np.bincount(owner, minlength=count + 1)[1:]
    firsts = np.cumsum(sizes) - sizes
    # 1 of 10 voxels is 10 %, whatever 0.1 x 10 rounds to
    needed = np.array([ceil(MIN_OVERLAP * size - 1e-9) for size in sizes], np.intp)
    return scores[order][firsts + needed - 1], sizes


def _floor(normal: np.ndarray) -> float:
    """Return the score above which at most `REACH` of the normal voxels lie."""
    if not len(normal):
        return -np.inf
    kept = int(REACH * len(normal))
    return float(np.partition(normal, len(normal) - 1 - kept)[len(normal) - 1 - kept])


def _false(at: np.ndarray, lesion: np.ndarray) -> np.ndarray:
    """Return how many components without lesion the first 1, 2, ... of some voxels form.

    Args:
        at: ``(n,)`` flat indices of voxels in ``lesion``, in the order in which they appear.
        lesion: ``(i, j, k)``.
    """
    count = len(at)
    place = np.full(np.add(lesion.shape, 2), -1, np.int32)  # with a border that nobody enters
    padded = np.ravel_multi_index(
        [axis + 1 for axis in np.unravel_index(at, lesion.shape)], place.shape
    )
    flat = place.ravel()
    flat[padded] = np.arange(count)
    ours = np.flatnonzero(lesion.ravel()[at])
    ends = [(ours, np.full(len(ours), count))]
    for step in OFFSETS:
        beside = flat[padded + int(np.dot(step, np.array(place.strides) // place.itemsize))]
        ends.append((np.flatnonzero(beside >= 0), beside[beside >= 0]))
    one, other = (np.concatenate(side) for side in zip(*ends, strict=True))
    # An edge is there once both of its voxels are; the extra node, number `count`, always is.
    later = np.maximum(one, np.where(other == count, -1, other)) + 1
    pairs = one.astype(np.int32), other.astype(np.int32)
    graph = coo_array((later.astype(np.float64), pairs), shape=(count + 1, count + 1))
    joined = minimum_spanning_tree(graph.tocsr()).data.astype(np.intp)
    joins = np.bincount(joined, minlength=count + 1)[1:]
    false: np.ndarray = np.arange(1, count + 1) - np.cumsum(joins)
    return false
