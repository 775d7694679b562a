"""Small copies of volumes, on which registration works."""

import numpy as np
from scipy.ndimage import gaussian_filter

from hale.core.grid import Grid, resample
from hale.core.scan import Volume
from hale.core.types import Map, Mask

MARGIN_MM = 8.0
"""Around the part that is copied."""


def shrunk(volume: Volume, spacing_mm: float, part: Mask | None = None) -> Volume:
    """Return the box around a part, smoothed against aliasing, isotropic, a margin around it.

    Args:
        volume: Finite.
        spacing_mm: Of the copy; its axes stay those of ``volume``.
        part: At least one voxel; what is not 0 if None.
    """
    grid = volume.grid
    found = np.argwhere(volume.values if part is None else part)
    first, last = found.min(0), found.max(0) + 1
    spacing = np.array(grid.spacing)
    start = np.eye(4)
    start[:3, 3] = first - np.ceil(MARGIN_MM / spacing)
    size_mm = (last - first) * spacing + 2 * MARGIN_MM
    i, j, k = (int(n) for n in np.ceil(size_mm / spacing_mm))
    scale = np.diag([*(spacing_mm / spacing), 1.0])
    target = Grid(shape=(i, j, k), affine=grid.affine @ start @ scale)
    return Volume(values=resample(smoothed(volume, spacing_mm), grid, target), grid=target)


def smoothed(volume: Volume, spacing_mm: float) -> Map:
    """Return the values low-passed along each axis that is finer than ``spacing_mm``."""
    ratio = spacing_mm / np.array(volume.grid.spacing)
    sigma = np.sqrt(np.clip(ratio**2 - 1, 0, None)) / 2.355
    if not sigma.any():
        return volume.values
    smooth: Map = gaussian_filter(volume.values, sigma, truncate=3.0)
    return smooth


def centre_of_mass(volume: Volume) -> np.ndarray:
    """Return the position, mm, of the mean of the voxels weighted by their values above 0."""
    weight = volume.values.clip(0).astype(np.float64)
    total = weight.sum()
    index = [
        float(weight.sum(tuple(a for a in range(3) if a != axis)) @ np.arange(n)) / total
        for axis, n in enumerate(weight.shape)
    ]
    middle: np.ndarray = volume.grid.positions(np.array(index))
    return middle


def capped(volume: Volume, percent: float) -> Volume:
    """Return the values from 0 to a percentile of those above 0: bright fat takes no range."""
    high = np.percentile(volume.values[volume.values > 0], percent)
    return Volume(values=volume.values.clip(0, np.float32(high)), grid=volume.grid)
