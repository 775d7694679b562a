"""Minimum and mean over boxes: one voxel is no lesion, a crowd may be.

Reference: Naval Marimont and Tarroni 2021, arXiv:2106.05214.
"""

import numpy as np
from scipy.ndimage import minimum_filter, uniform_filter

from hale.core.grid import Grid
from hale.core.types import Map, Mask

Widths = tuple[int, int, int]
"""Voxels along each axis, odd."""


def widths(grid: Grid, mm: float) -> Widths:
    """Return the odd numbers of voxels nearest to ``mm``; 1 along an axis of one voxel."""
    i, j, k = (
        1 if count == 1 else 2 * max(0, round((mm / spacing - 1) / 2)) + 1
        for spacing, count in zip(grid.spacing, grid.shape, strict=True)
    )
    return i, j, k


def minimum(values: Map, brain: Mask, size: Widths) -> Map:
    """Return the lowest value of ``brain`` in a box about each voxel; 0 outside ``brain``.

    Args:
        values: Those outside ``brain`` do not count, nor does what lies beyond the volume.
        brain: All True: the volume alone decides.
        size: Of the box.
    """
    inside = np.where(brain, values, np.float32(np.inf))
    lowest = minimum_filter(inside, size, mode="constant", cval=np.inf)
    return np.where(brain, lowest, np.float32(0))


def mean(values: Map, brain: Mask, size: Widths) -> Map:
    """Return the mean over ``brain`` in a box about each voxel; 0 outside ``brain``.

    A constant stays a constant up to the border (normalised convolution, Knutsson and Westin 1993,
    DOI 10.1109/CVPR.1993.341081).
    """
    weight = uniform_filter(brain.astype(np.float64), size, mode="constant")
    total = mean_with_zeros(np.where(brain, values, np.float32(0)), size)
    inside = brain & (weight > 0)
    result: Map = np.divide(total, weight, out=np.zeros(values.shape), where=inside).astype("f4")
    return result.clip(0)


def mean_with_zeros(values: Map, size: Widths) -> Map:
    """Return the mean in a box about each voxel; zeros beyond the volume count."""
    result: Map = uniform_filter(values.astype(np.float64), size, mode="constant").astype("f4")
    return result
