"""Slice-wise figures, along the axis from feet to head: how well a lesion is found in each slice.

Slices without a lesion count: what is marked there costs precision. What is undefined is NaN.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from hale.core.types import Map, Mask
from hale.metrics import scan, voxel

PerSlice = Float64[np.ndarray, " k"]
"""A figure of each axial slice, lowest first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AxialFigures:
    """Figures of the axial slices of one scan."""

    shown: Bool[np.ndarray, " k"]
    """Whether a slice shows brain, or lesion: only those are ranked."""
    ill: Bool[np.ndarray, " k"]
    """Whether it holds a lesion voxel."""
    score: PerSlice
    """Mean anomaly score of its brain; 0 without brain."""
    dice: PerSlice
    precision: PerSlice
    recall: PerSlice

    @property
    def lesion_slices(self) -> int:
        """Return how many slices hold a lesion."""
        return int(self.ill.sum())

    @property
    def auroc(self) -> float:
        """Return the chance that a slice with a lesion scores above one without.

        To pool many scans, give `hale.metrics.scan.auroc` their ``score[shown]``, ``ill[shown]``.
        """
        return scan.auroc(self.score[self.shown], self.ill[self.shown])

    @property
    def average_precision(self) -> float:
        """Return the average precision (AUPRC) of finding the slices with a lesion."""
        return scan.average_precision(self.score[self.shown], self.ill[self.shown])


def axial_figures(score: Map, found: Mask, truth: Mask, brain: Mask) -> AxialFigures:
    """Return the figures of each axial slice (the last axis: arrays are RAS+).

    Args:
        score: Anomaly map, higher = more abnormal.
        found: What is marked.
        truth: The lesion.
        brain: Where the score counts; all True for the whole grid.
    """
    slices = range(score.shape[2])
    voxels = np.maximum(brain.sum((0, 1)), 1)
    return AxialFigures(
        shown=(brain | truth).any((0, 1)),
        ill=np.asarray(truth.any((0, 1))),
        score=(score * brain).sum((0, 1), dtype=np.float64) / voxels,
        dice=np.array([voxel.dice(found[..., k], truth[..., k]) for k in slices]),
        precision=np.array([voxel.precision(found[..., k], truth[..., k]) for k in slices]),
        recall=np.array([voxel.recall(found[..., k], truth[..., k]) for k in slices]),
    )
