"""How far a scan lies outside the distribution of several pseudo-healthy pictures of it.

Reference: Behrendt, Bhattacharya, Mieling, Maack, Krüger, Opfer and Schlaefer 2024, "Leveraging the
Mahalanobis distance to enhance unsupervised brain MRI anomaly detection", MICCAI, pp. 394-404,
DOI 10.1007/978-3-031-72120-5_37, arXiv:2407.12474.
"""

import numpy as np
from jaxtyping import Float32, Float64
from scipy.ndimage import gaussian_filter

from hale.core.grid import Grid
from hale.core.types import Image, Map, Mask
from hale.post.settings import Rescaling
from hale.post.ssim import sigma_voxels

RIDGE = 0.01
"""Added to the diagonal of the covariance; of normalised intensity squared."""
SIGMA = 1.0
"""Of the Gaussian that smooths the distances, in units of 2 mm."""

Samples = Float32[np.ndarray, "n contrast i j k"]
"""Pseudo-healthy pictures of one scan."""


def whitened(
    difference: Float64[np.ndarray, " p"], centred: Float64[np.ndarray, "n p"]
) -> Float64[np.ndarray, " p"]:
    """Return Sigma^-1 d for Sigma = Xc' Xc / (n - 1) + 0.01 I, exactly, through an n x n system.

    By the Woodbury identity, with lambda = 0.01::

        Sigma^-1 d = (d - Xc' ((n - 1) lambda I + Xc Xc')^-1 Xc d) / lambda

    Args:
        difference: d, of the scan from the mean sample.
        centred: Xc, the samples less their mean.
    """
    n = len(centred)
    system = (n - 1) * RIDGE * np.eye(n) + centred @ centred.T
    explained = centred.T @ np.linalg.solve(system, centred @ difference)
    solved: np.ndarray = (difference - explained) / RIDGE
    return solved


def distance(x: Image, samples: Samples, brain: Mask) -> Map:
    """Return each voxel's part in the Mahalanobis distance of its axial slice; 0 outside.

    The root of q = d * (Sigma^-1 d), summed over contrasts; all q of a slice add up to its squared
    distance. A single q below 0, from a voxel that others explain, counts as 0. Away from what the
    samples vary in it is 10 |d|.

    Args:
        x: The scan.
        samples: Two or more.
        brain: Voxels that make up the vector of a slice, with all their contrasts.
    """
    values = np.zeros(brain.shape, np.float32)
    mean = samples.mean(0, dtype=np.float64)
    for k in np.flatnonzero(brain.any((0, 1))):
        inside = brain[..., k]
        here = mean[..., k][:, inside]
        difference = x[..., k][:, inside] - here
        centred = (samples[..., k][..., inside] - here).reshape(len(samples), -1)
        q = difference * whitened(difference.ravel(), centred).reshape(here.shape)
        values[inside, k] = np.sqrt(q.sum(0).clip(0))
    return values


def rescaled(values: Map, how: Rescaling) -> Map:
    """Return the distances of a whole volume on the scale that is asked for; a constant is 0."""
    if how is Rescaling.NONE:
        return values
    low, width = values.min(), np.ptp(values)
    scaled: Map = (values - low) / width if width > 0 else np.zeros_like(values)
    return scaled


def blurred(values: Map, brain: Mask, grid: Grid) -> Map:
    """Return the distances after a Gaussian of 2 mm, 0 outside the brain."""
    smooth = gaussian_filter(values, sigma_voxels(grid, SIGMA), mode="reflect")
    inside: Map = np.where(brain, smooth, np.float32(0))
    return inside


def uncertainty(samples: Samples) -> Image:
    """Return the standard deviation of the samples (n - 1) at each voxel of each contrast."""
    spread: Image = samples.std(0, ddof=1, dtype=np.float64).astype(np.float32)
    return spread
