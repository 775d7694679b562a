"""Structural similarity of two images, whatever the window.

Reference: Wang, Bovik, Sheikh and Simoncelli 2004, DOI 10.1109/TIP.2003.819861.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from hale.core.types import Map

REACH = 3.5
"""Half the width of a window, in sigmas."""

Values = Float64[np.ndarray, "i j k"]
"""An image of double precision."""


def window(sigma: float) -> Float64[np.ndarray, " taps"]:
    """Return a Gaussian of ``sigma`` voxels that sums to 1; 2 int(3.5 sigma + 0.5) + 1 taps."""
    half = int(REACH * sigma + 0.5)
    at = np.arange(-half, half + 1)
    bell = np.exp(-0.5 * (at / sigma) ** 2)
    taps: np.ndarray = bell / bell.sum()
    return taps


def similarity(x: Map, x_hat: Map, mean: Callable[[Values], Values], data_range: float) -> Values:
    """Return the structural similarity around each voxel, -1 to 1; 1 where the two are equal.

    With weighted means mu, variances v and covariance c, C1 = (0.01 L)^2 and C2 = (0.03 L)^2::

        (2 mu_x mu_y + C1) (2 c_xy + C2) / ((mu_x^2 + mu_y^2 + C1) (v_x + v_y + C2))

    Args:
        x: An image.
        x_hat: Another.
        mean: Gives the weighted mean around each voxel.
        data_range: L, the range that intensities can take.
    """
    x64, y64 = x.astype(np.float64), x_hat.astype(np.float64)
    mean_x, mean_y = mean(x64), mean(y64)
    squares = mean(x64 * x64 + y64 * y64)
    product = mean(x64 * y64)
    level, power = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    above = (2 * level + c1) * (2 * (product - level) + c2)
    below = (power + c1) * (squares - power + c2)
    alike: np.ndarray = (above / below).clip(-1, 1)
    return alike
