"""What becomes an anomaly score: residuals, and gradients with respect to the scan."""

from enum import StrEnum

import numpy as np
from scipy.ndimage import gaussian_filter, median_filter, uniform_filter

from hale.core.types import Image, Map, Mask


class Distance(StrEnum):
    """How a scan and its pseudo-healthy twin are compared."""

    L1 = "l1"
    """|x - x_hat|, mean over contrasts."""
    L2 = "l2"
    """(x - x_hat)^2, mean over contrasts."""
    KASCENAS = "kascenas"
    """``l1`` without the rim of the brain, then a 5x5 median of each slice: the public code of
    Kascenas et al. 2022."""


class Score(StrEnum):
    """What is abnormal about a scan, to a variational network."""

    L1 = "l1"
    """|x - x_hat|, mean over contrasts."""
    L2 = "l2"
    """(x - x_hat)^2, mean over contrasts."""
    KL_GRADIENT = "kl_gradient"
    """How the divergence of the latent changes with a pixel; smoothed."""
    ELBO_GRADIENT = "elbo_gradient"
    """How the whole loss changes with a pixel; smoothed."""
    COMBINATION = "combination"
    """``kl_gradient``, scaled to 0 to 1 within the scan, times ``l2``: Zimmerer et al. 2019,
    arXiv:1907.12258, and the code of Zimmerer et al. (MIC-DKFZ/mood)."""
    RESIDUAL_GRADIENT = "residual_gradient"
    """|x - x_hat| times the gradient of the whole loss: the public code of Baur et al. 2021."""
    RESTORATION = "restoration"
    """``l1`` of a twin that is found by descent from the scan itself: You et al. 2019, MIDL,
    PMLR 102:540-556."""


GRADIENTS = frozenset(
    {Score.KL_GRADIENT, Score.ELBO_GRADIENT, Score.COMBINATION, Score.RESIDUAL_GRADIENT}
)
SIGMA = 3.0
"""Of the smoothing of gradients, pixels."""
TAPS = 7
"""Of its window along each axis of a slice."""


def compared(image: Image, x_hat: Image, brain: Mask, distance: Distance) -> Map:
    """Return the residual of a scan, 0 outside the brain.

    Args:
        image: The scan.
        x_hat: Its pseudo-healthy twin.
        brain: Of the scan.
        distance: How they are compared.
    """
    residual = image - x_hat
    error = np.square(residual) if distance is Distance.L2 else np.abs(residual)
    values: Map = error.mean(0) * brain
    if distance is Distance.KASCENAS:
        inner = uniform_filter(brain.astype(float), (5, 5, 1), mode="constant") > 0.95
        values = median_filter(values * inner, (5, 5, 1)) * brain
    return values


def smoothed_in_plane(values: Map) -> Map:
    """Return ``values`` under a Gaussian of 7 taps and sigma 3 in each slice, 0 beyond its edge."""
    reach = TAPS // 2 / SIGMA
    blurred: Map = gaussian_filter(values, (SIGMA, SIGMA, 0), truncate=reach, mode="constant")
    return blurred


def scaled(values: Map, brain: Mask) -> Map:
    """Return ``values`` with the lowest in the brain at 0 and the highest at 1; 0 outside.

    A brain of one value becomes 0.
    """
    inside = values[brain]
    low, span = inside.min(), np.ptp(inside)
    return np.where(brain & (span > 0), (values - low) / (span or 1), 0).astype(np.float32)
