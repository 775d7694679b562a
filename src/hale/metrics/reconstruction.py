"""How well a healthy scan is reconstructed: over the brain, never over an empty background.

Reference for SSIM: Wang, Bovik, Sheikh and Simoncelli 2004, DOI 10.1109/TIP.2003.819861.
"""

import numpy as np
from scipy.ndimage import correlate1d

from hale.core import similarity
from hale.core.types import Map, Mask
from hale.metrics.voxel import NAN

SIGMA = 1.5
"""Of the window of `ssim`, voxels: 11 taps, as published."""


def l1(x: Map, x_hat: Map, brain: Mask) -> float:
    """Return the mean absolute difference, in the scan's units. NaN without brain.

    Args:
        x: The scan.
        x_hat: Its reconstruction.
        brain: Voxels that count.
    """
    return _mean_of(np.abs(x.astype(np.float64) - x_hat), brain)


def psnr(x: Map, x_hat: Map, brain: Mask, *, data_range: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio, dB: 10 log10(L^2 / mean squared difference).

    Infinite where the two are equal; NaN without brain.

    Args:
        x: The scan.
        x_hat: Its reconstruction.
        brain: Voxels that count.
        data_range: L, the range that intensities can take: the same for all methods compared.
    """
    squared = _mean_of((x.astype(np.float64) - x_hat) ** 2, brain)
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(data_range**2 / np.float64(squared)))


def ssim(x: Map, x_hat: Map, brain: Mask, *, data_range: float = 1.0) -> float:
    """Return the mean structural similarity, -1 to 1. NaN without brain.

    The window is a Gaussian of 1.5 voxels, 11 taps; it sees what lies around the brain too, which
    both images should have alike. Variances are those of the population.

    Args:
        x: The scan.
        x_hat: Its reconstruction.
        brain: Voxels whose similarity counts.
        data_range: As for `psnr`.
    """
    return _mean_of(similarity.similarity(x, x_hat, _blurred, data_range), brain)


def _blurred(values: similarity.Values) -> similarity.Values:
    """Return the weighted mean around each voxel; the border reflects."""
    for axis in range(values.ndim):
        values = correlate1d(values, similarity.window(SIGMA), axis, mode="reflect")
    return values


def _mean_of(values: similarity.Values, brain: Mask) -> float:
    return float(values[brain].mean()) if brain.any() else NAN
