"""Smoothing inside the brain."""

import numpy as np
from scipy.ndimage import gaussian_filter

from hale.core.grid import Grid
from hale.core.types import Map, Mask

FWHM = 2.355
"""Full width at half maximum of a Gaussian, in standard deviations."""


def smoothed(values: Map, brain: Mask, grid: Grid, *, fwhm_mm: float) -> Map:
    """Return ``values`` smoothed by a Gaussian that ends at the brain's border.

    Normalised convolution (Knutsson & Westin 1993, DOI 10.1109/CVPR.1993.341081): a constant stays
    a constant up to the border.

    Args:
        values: Only those inside ``brain`` count.
        brain: Where the result is not 0.
        grid: Of both.
        fwhm_mm: Full width at half maximum, mm; along an axis of one voxel nothing is smoothed.
    """
    sigma = [
        fwhm_mm / FWHM / spacing if count > 1 else 0.0
        for spacing, count in zip(grid.spacing, grid.shape, strict=True)
    ]
    weight = gaussian_filter(brain.astype(np.float32), sigma, truncate=3.0)
    total = gaussian_filter(np.where(brain, values, np.float32(0)), sigma, truncate=3.0)
    inside = brain & (weight > 0)
    smooth: Map = np.divide(total, weight, out=np.zeros_like(total), where=inside)
    return smooth
