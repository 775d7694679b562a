"""Structural similarity, at one width or at eight.

Reference: Wang, Bovik, Sheikh and Simoncelli 2004, DOI 10.1109/TIP.2003.819861; the ensemble:
Behrendt, Bhattacharya, Mieling, Maack, Krüger, Opfer and Schlaefer 2024, "Diffusion models with
ensembled structure-based anomaly scoring for unsupervised anomaly detection", ISBI,
arXiv:2403.14262.
"""

from functools import partial

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import correlate1d

from hale.core import similarity as core
from hale.core.grid import Grid
from hale.core.similarity import window
from hale.core.types import Map
from hale.post.settings import DataRange, Weights

UNIT_MM = 2.0
"""Edge of the voxels that published widths are in."""
SIGMA = 1.0
"""Width of the one window of `ssim` and `mhd`, in units of `UNIT_MM`."""
SIGMAS = (0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.7)
"""Widths of the ensemble, in units of `UNIT_MM`."""
Similarities = Float64[np.ndarray, "n i j k"]
"""Maps of structural similarity, one per window."""


def similarity(
    x: Map, x_hat: Map, grid: Grid, *, sigma: float = SIGMA, data_range: float = 1.0
) -> Float64[np.ndarray, "i j k"]:
    """Return the structural similarity around each voxel, -1 to 1: `hale.core.similarity`.

    Args:
        x: An image.
        x_hat: Another.
        grid: Of both; along an axis of one voxel the window has one.
        sigma: Of the window, in units of 2 mm. The border reflects.
        data_range: The range that intensities can take.
    """
    return core.similarity(x, x_hat, partial(_mean, grid=grid, sigma=sigma), data_range)


def ensemble(
    x: Map, x_hat: Map, grid: Grid, *, weights: Weights, data_range: float = 1.0
) -> Float64[np.ndarray, "i j k"]:
    """Return the structural similarity of all eight windows together.

    Args:
        x: An image.
        x_hat: Another.
        grid: Of both.
        weights: How much each window counts.
        data_range: The range that intensities can take.
    """
    maps = [similarity(x, x_hat, grid, sigma=sigma, data_range=data_range) for sigma in SIGMAS]
    return together(np.stack(maps), weights)


def together(maps: Similarities, weights: Weights) -> Float64[np.ndarray, "i j k"]:
    """Return the weighted mean of the maps."""
    mixed: np.ndarray = maps.mean(0) if weights is Weights.UNIFORM else (shares(maps) * maps).sum(0)
    return mixed


def shares(maps: Similarities) -> Similarities:
    """Return exp(-S_i) / sum_j exp(-S_j) at each voxel: what sees a difference counts more."""
    raw = np.exp(-maps)
    share: np.ndarray = raw / raw.sum(0)
    return share


def range_of(x: Map, x_hat: Map, choice: DataRange) -> float:
    """Return the range of intensities that similarity is relative to; 1 for two constants."""
    if choice is DataRange.ONE:
        return 1.0
    return float(max(np.ptp(x), np.ptp(x_hat))) or 1.0


def sigma_voxels(grid: Grid, sigma: float) -> tuple[float, ...]:
    """Return ``sigma`` (in units of 2 mm) in voxels along each axis; 0 along one of one voxel."""
    return tuple(
        sigma * UNIT_MM / spacing if count > 1 else 0.0
        for spacing, count in zip(grid.spacing, grid.shape, strict=True)
    )


def _mean(
    values: Float64[np.ndarray, "i j k"], grid: Grid, sigma: float
) -> Float64[np.ndarray, "i j k"]:
    """Return the Gaussian-weighted mean around each voxel."""
    for axis, width in enumerate(sigma_voxels(grid, sigma)):
        if width:
            values = correlate1d(values, window(width), axis, mode="reflect")
    return values
