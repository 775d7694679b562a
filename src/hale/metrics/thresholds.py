"""One threshold for a whole data set, chosen on scans that it is not tested on.

`best_val` and `best_val_exact` see the lesions of a labelled validation set, `healthy_fpr` sees
healthy scans alone. On the scans that are tested, a search for the best Dice is an oracle:
`voxel.best_dice`. A voxel is marked where its score is at or above the threshold.

Reference: Behrendt et al. 2023, "Patched diffusion models for unsupervised anomaly detection in
brain MRI", MIDL, arXiv:2303.03758.
"""

from math import floor
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hale.metrics.voxel import curve, dice

STEPS = 10
"""Of the bisection."""
LEVELS = 2 ** (STEPS + 1)
"""The last step compares thresholds that lie 1 / 1024 of the highest score apart."""


class Tried(NamedTuple):
    """A threshold, and how well it does on the scans that it is chosen on."""

    threshold: float
    dice: float


def best_val(score: ArrayLike, lesion: ArrayLike) -> Tried:
    """Return the best of the thresholds that the public code tries: see `bisection`."""
    return max(bisection(score, lesion), key=lambda tried: tried.dice)


def bisection(score: ArrayLike, lesion: ArrayLike) -> tuple[Tried, ...]:
    """Return the 20 thresholds of the published search, in the order in which they are tried.

    From 0 to the highest score, ten times: compare the thresholds at a quarter and at three
    quarters, keep the half of the better one (the lower half if they are alike). All are multiples
    of the highest score over 2048; a Dice of two peaks may send the search to the lower one.

    Args:
        score: Post-processed scores of all voxels of the validation scans, any shape, 0 or more.
        lesion: Same shape; booleans or 0 and 1.

    Raises:
        ValueError: There is no lesion voxel; what `curve` refuses.
    """
    values, truth = _labelled(score, lesion)
    highest = float(values.max())

    def at(level: int) -> Tried:
        threshold = highest * level / LEVELS
        return Tried(threshold, dice(values >= threshold, truth))

    tried: list[Tried] = []
    low, width = 0, LEVELS
    for _ in range(STEPS):
        lower, upper = at(low + width // 4), at(low + 3 * width // 4)
        tried += [lower, upper]
        width //= 2
        low += width if upper.dice > lower.dice else 0
    return tuple(tried)


def best_val_exact(score: ArrayLike, lesion: ArrayLike) -> Tried:
    """Return the threshold of the highest Dice there is; the highest of several.

    Args:
        score: Post-processed scores of all voxels of the validation scans, any shape.
        lesion: Same shape; booleans or 0 and 1.

    Raises:
        ValueError: There is no lesion voxel; what `curve` refuses.
    """
    counts = curve(*_labelled(score, lesion))
    best = int(counts.dice.argmax())
    return Tried(float(counts.threshold[best]), float(counts.dice[best]))


def healthy_fpr(score: ArrayLike, rate: float) -> float:
    """Return the lowest threshold that marks at most a share of the voxels of healthy scans.

    Args:
        score: Scores of their voxels, any shape: of the brain, or of the whole grid.
        rate: That share, such as 0.01.

    Raises:
        ValueError: No voxel, a score that is not finite, a rate that is no share.
    """
    values = np.asarray(score).ravel()
    if not values.size or not np.isfinite(values).all() or not 0 <= rate < 1:
        msg = "needs finite scores and a rate from 0 to below 1"
        raise ValueError(msg)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    last = values.size - 1 - floor(rate * values.size + 1e-9)
    # What lies above it may be marked, its ties may not: half of [3, 2, 2, 1] is the 3 alone.
    unmarked = np.partition(values, last)[last]
    with np.errstate(over="ignore"):  # above the highest number there is infinity
        return float(np.nextafter(unmarked, np.inf, dtype=values.dtype))


def _labelled(score: ArrayLike, lesion: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and lesions as arrays; refuse labels without a lesion."""
    values, truth = np.asarray(score), np.asarray(lesion)
    if not truth.any():
        msg = "there is no lesion voxel to choose a threshold by"
        raise ValueError(msg)
    return values, truth
