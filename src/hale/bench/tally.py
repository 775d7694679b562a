"""Voxels of one case counted by score, so that a threshold for many cases needs no map again.

Each float32 is a level of its own where a case has few different scores; where it has more than
`MOST`, the last bits are dropped, one by one, until that many levels are left, and what shares a
level counts as tied. A threshold that is chosen on tallies is the lower edge of a level.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hale.core.types import Map
from hale.metrics.voxel import NAN

MOST = 2**15
"""Levels of a case: a twentieth of a per cent apart where they spread over all of an octave."""
GROUPS = 1024
"""Of levels, that an interval resamples: each of about as many lesion voxels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tally:
    """Counts of one case by level of the score; levels without a voxel are left out."""

    level: np.ndarray
    """int64 ``(n,)``, rising with the score."""
    lesion: np.ndarray
    """int32 ``(n,)``, lesion voxels of that level."""
    normal: np.ndarray
    """int32 ``(n,)``, others."""


def tally(scores: np.ndarray, truth: np.ndarray) -> Tally:
    """Return the counts of scores ``(voxels,)``, of which ``truth`` says which are lesion."""
    level, at = np.unique(level_of(scores), return_inverse=True)
    dropped = 0
    while np.count_nonzero(np.diff(level >> dropped)) >= MOST:  # they are sorted
        dropped += 1
    if dropped:
        level, again = np.unique(level >> dropped << dropped, return_inverse=True)
        at = again[at]
    lesion = np.bincount(at, truth, len(level)).astype(np.int32)
    counts = np.bincount(at, minlength=len(level)).astype(np.int32)
    return Tally(level=level, lesion=lesion, normal=counts - lesion)


def level_of(scores: Map | np.ndarray) -> np.ndarray:
    """Return the level of each score, int64: the order of float32, negative ones below."""
    bits = (np.asarray(scores, np.float32) + np.float32(0)).view(np.uint32)  # -0 is 0
    ordered = np.where(bits & 0x80000000, ~bits, bits | 0x80000000)
    return ordered.astype(np.int64)


def threshold_of(level: int) -> float:
    """Return the lowest score of a level."""
    ordered = np.uint32(level)
    bits = ordered & 0x7FFFFFFF if ordered & 0x80000000 else ~ordered
    return float(np.array([bits], np.uint32).view(np.float32)[0])


def dice_at(case: Tally, level: int) -> float:
    """Return the Dice of what is scored at a level or above; NaN without a lesion voxel."""
    true, false, lesion = _marked(case, level)
    return 2 * true / (lesion + true + false) if lesion else NAN


def precision_at(case: Tally, level: int) -> float:
    """Return the share of lesion in what is scored at a level or above; NaN if nothing is."""
    true, false, lesion = _marked(case, level)
    return true / (true + false) if lesion and true + false else NAN


def recall_at(case: Tally, level: int) -> float:
    """Return the share of the lesion at a level or above; NaN without a lesion voxel."""
    true, _, lesion = _marked(case, level)
    return true / lesion if lesion else NAN


def _marked(case: Tally, level: int) -> tuple[int, int, int]:
    """Return lesion and other voxels at a level or above, and all lesion voxels."""
    at = case.level >= level
    return int(case.lesion[at].sum()), int(case.normal[at].sum()), int(case.lesion.sum())


def best_level(cases: Sequence[Tally]) -> int:
    """Return the level whose mean Dice over the cases with a lesion is highest; the highest such.

    Raises:
        ValueError: No case has a lesion.
    """
    ill = [case for case in cases if case.lesion.any()]
    if not ill:
        raise ValueError("no case has a lesion to choose a threshold by")
    levels = np.unique(np.concatenate([case.level for case in ill]))
    steps = np.zeros(len(levels))
    for case in ill:
        true, false = case.lesion[::-1].cumsum(), case.normal[::-1].cumsum()
        dice = 2 * true / (case.lesion.sum() + true + false)
        # from each level of its own down to the next: what is between marks no other voxel
        steps[np.searchsorted(levels, case.level[::-1])] += np.diff(dice, prepend=0)
    curve = steps[::-1].cumsum()[::-1]
    best = np.flatnonzero(curve >= curve.max() - 1e-12)
    return int(levels[best[-1]])


def dense(cases: Sequence[Tally]) -> np.ndarray:
    """Return the counts of all cases on the levels that any of them has, highest first.

    int64 ``(case, 2, level)``: lesion voxels, others.
    """
    levels = np.unique(np.concatenate([case.level for case in cases] or [np.zeros(0, np.int64)]))
    counts = np.zeros((len(cases), 2, len(levels)), np.int64)
    for number, case in enumerate(cases):
        at = np.searchsorted(levels, case.level)
        counts[number, 0, at] = case.lesion
        counts[number, 1, at] = case.normal
    return np.ascontiguousarray(counts[..., ::-1])


def grouped(counts: np.ndarray) -> np.ndarray:
    """Return the counts of `dense` with neighbouring levels put together, `GROUPS` at most."""
    if counts.shape[2] <= GROUPS:
        return counts
    found = counts[:, 0].sum(0).cumsum()
    wanted = np.linspace(0, found[-1], GROUPS)
    starts = np.unique(np.searchsorted(found, wanted, side="left").clip(0, len(found) - 1))
    return np.add.reduceat(counts, np.union1d(0, starts), axis=2)


def average_precision(counts: np.ndarray, at: np.ndarray) -> float:
    """Return the average precision of the voxels of some cases together.

    Args:
        counts: As `dense` returns them.
        at: Indices of the cases; some may come twice.
    """
    lesion, normal = counts[at].sum(0)
    found, false = lesion.cumsum(), normal.cumsum()
    if not found.size or not found[-1]:
        return NAN
    precision = found / np.maximum(found + false, 1)
    return float((lesion * precision).sum() / found[-1])


def auroc(counts: np.ndarray, at: np.ndarray) -> float:
    """Return the area under the ROC curve of the voxels of some cases together; ties count half.

    Args:
        counts: As `dense` returns them.
        at: Indices of the cases; some may come twice.
    """
    lesion, normal = counts[at].sum(0)
    if not lesion.any() or not normal.any():
        return NAN
    above = lesion.cumsum() - lesion / 2
    return float((normal * above).sum() / (normal.sum() * lesion.sum()))


def precision_recall(cases: Sequence[Tally]) -> tuple[np.ndarray, np.ndarray]:
    """Return recall and precision at every level of all cases together; empty without a lesion."""
    lesion, normal = dense(cases).sum(0)
    found, false = lesion.cumsum(), normal.cumsum()
    if not found.size or not found[-1]:
        return np.zeros(0), np.zeros(0)
    kept = lesion > 0
    return (found / found[-1])[kept], (found / (found + false))[kept]
