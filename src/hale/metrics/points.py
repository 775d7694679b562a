"""The precision-recall curve in few points, each of them a point of the curve itself."""

from dataclasses import dataclass

import numpy as np

from hale.metrics.voxel import Curve

POINTS = 200


@dataclass(frozen=True, kw_only=True, eq=False)
class PrecisionRecall:
    """Points of a curve, ``(n,)`` each; thresholds sink along it. Empty without lesion voxels."""

    threshold: np.ndarray
    recall: np.ndarray
    precision: np.ndarray


def precision_recall(curve: Curve, points: int = POINTS) -> PrecisionRecall:
    """Return at most so many points of a curve, evenly along its length.

    The first, the last and the one of the highest Dice are among them; none is interpolated. Do not
    integrate them: between two, precision may fall and rise. AUPRC is `Curve.average_precision`.

    Args:
        curve: Of one scan or of many.
        points: At least 3.
    """
    recall = curve.true / max(curve.lesion, 1)
    precision = curve.true / (curve.true + curve.false)
    kept = np.arange(len(recall))
    if len(recall) > points:
        length = np.append(0, np.hypot(np.diff(recall), np.diff(precision)).cumsum())
        even = np.searchsorted(length, np.linspace(0, length[-1], points - 1))
        kept = np.unique(np.append(even.clip(0, len(recall) - 1), curve.dice.argmax()))
    return PrecisionRecall(
        threshold=curve.threshold[kept], recall=recall[kept], precision=precision[kept]
    )
