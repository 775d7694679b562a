"""What healthy scans hold at each place: of a score, or of what a method leaves over.

A method that always blurs the cortical rim leaves the same residual there in every healthy scan.
Taken off with its sign, before the magnitude, it hides no lesion of the other sign.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hale.core.grid import Grid
from hale.core.types import Image, Map, Mask
from hale.post.smooth import smoothed


@dataclass(frozen=True, kw_only=True, eq=False)
class NormativeResidual:
    """Mean and spread of healthy scans' signed residual x - x_hat at each place of a grid."""

    mean: Image
    spread: Image

    def magnitude(self, residual: Image, brain: Mask) -> Map:
        """Return |residual - mean| / spread, mean over contrasts, 0 outside ``brain``."""
        values: Map = (np.abs(residual - self.mean) / self.spread).mean(0) * brain
        return values


def normative_residual(
    residuals: Sequence[Image],
    brains: Sequence[Mask],
    grid: Grid,
    *,
    smooth_mm: float,
    floor: float,
) -> NormativeResidual:
    """Return mean and spread of the residuals of healthy scans, contrast by contrast.

    Args:
        residuals: x - x_hat, one per scan.
        brains: Where each counts.
        grid: Of all.
        smooth_mm: See `mean_and_spread`.
        floor: See `mean_and_spread`.
    """
    parts = [
        mean_and_spread(channel, brains, grid, smooth_mm=smooth_mm, floor=floor)
        for channel in zip(*residuals, strict=True)
    ]
    return NormativeResidual(
        mean=np.stack([mean for mean, _ in parts]), spread=np.stack([spread for _, spread in parts])
    )


def mean_and_spread(
    maps: Sequence[Map], brains: Sequence[Mask], grid: Grid, *, smooth_mm: float, floor: float
) -> tuple[Map, Map]:
    """Return mean and standard deviation (n - 1) over scans, smoothed, the latter floored.

    Args:
        maps: One per scan, 0 outside its brain.
        brains: Where each counts.
        grid: Of all.
        smooth_mm: Full width at half maximum that smooths mean and variance, mm.
        floor: Smallest spread, as a share of the brain's median spread.
    """
    count = np.sum(brains, axis=0, dtype=np.float32)
    seen: Mask = np.greater(count, 0)
    total = np.sum(maps, axis=0, dtype=np.float64)
    mean = np.divide(total, count, out=np.zeros_like(total), where=seen)
    squares = np.sum(
        [brain * (values - mean) ** 2 for values, brain in zip(maps, brains, strict=True)], axis=0
    )
    often: Mask = np.greater(count, 1)
    variance = np.divide(squares, count - 1, out=np.zeros_like(squares), where=often)
    mean = smoothed(mean.astype(np.float32), seen, grid, fwhm_mm=smooth_mm)
    variance = smoothed(variance.astype(np.float32), often, grid, fwhm_mm=smooth_mm)
    spread = np.sqrt(variance)
    typical = float(np.median(spread[often])) if often.any() else 0.0
    lowest = max(floor * typical, 1e-6)
    return (
        np.where(seen, mean, np.median(mean[seen])).astype(np.float32),
        np.where(often, spread, typical).clip(lowest).astype(np.float32),
    )
