"""Scan-wise figures: does the score of a scan tell ill from healthy?"""

from numpy.typing import ArrayLike

from hale.metrics import voxel


def auroc(scores: ArrayLike, ill: ArrayLike) -> float:
    """Return the chance that an ill scan scores above a healthy one, ties counting half.

    Args:
        scores: ``(n,)``, one per scan, higher = more abnormal.
        ill: ``(n,)``, booleans or 0 and 1.

    NaN unless there are both ill and healthy scans.

    Raises:
        ValueError: The lengths differ, a score is not finite.
    """
    return voxel.auroc(scores, ill)


def average_precision(scores: ArrayLike, ill: ArrayLike) -> float:
    """Return the average precision of finding ill scans; NaN unless there are both kinds.

    A score that knows nothing reaches the share of ill scans: print that beside it.

    Raises:
        ValueError: The lengths differ, a score is not finite.
    """
    counts = voxel.curve(scores, ill)
    return counts.average_precision if counts.normal else voxel.NAN
