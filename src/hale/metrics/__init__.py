"""Metrics: functions on numpy arrays, usable without the rest.

    >>> from hale import metrics
    >>> metrics.average_precision([0.9, 0.4, 0.4, 0.1], [1, 1, 0, 0])
    0.8333333333333333

Importing them loads neither torch nor a reader of images. `froc` is a module.
"""

from hale.metrics import froc
from hale.metrics.bootstrap import Interval, bootstrap_mean
from hale.metrics.compare import (
    Comparison,
    Verdict,
    holm,
    judge,
    paired,
    paired_pooled,
    spread,
    verdict,
)
from hale.metrics.evaluation import Kind, Maps, Row, score_case, summarise
from hale.metrics.lesion import SizeBin
from hale.metrics.lesion import count as count_lesions
from hale.metrics.points import precision_recall
from hale.metrics.pooled import Pool
from hale.metrics.reconstruction import l1, psnr, ssim
from hale.metrics.surface import hausdorff95
from hale.metrics.thresholds import best_val_exact, healthy_fpr
from hale.metrics.together import Together
from hale.metrics.voxel import (
    Confusion,
    Curve,
    accuracy,
    auroc,
    average_precision,
    best_dice,
    confusion,
    curve,
    dice,
    false_positive_rate,
    l1_ratio,
    precision,
    recall,
    specificity,
)

__all__ = [
    "Comparison",
    "Confusion",
    "Curve",
    "Interval",
    "Kind",
    "Maps",
    "Pool",
    "Row",
    "SizeBin",
    "Together",
    "Verdict",
    "accuracy",
    "auroc",
    "average_precision",
    "best_dice",
    "best_val_exact",
    "bootstrap_mean",
    "confusion",
    "count_lesions",
    "curve",
    "dice",
    "false_positive_rate",
    "froc",
    "hausdorff95",
    "healthy_fpr",
    "holm",
    "judge",
    "l1",
    "l1_ratio",
    "paired",
    "paired_pooled",
    "precision",
    "precision_recall",
    "psnr",
    "recall",
    "score_case",
    "specificity",
    "spread",
    "ssim",
    "summarise",
    "verdict",
]
