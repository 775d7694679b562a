"""Figures of the image itself: noise, ghosts, blur, clipping, holes.

Measured without tissue maps and without air, so that any contrast and a brain without its skull
have them. NaN is what cannot be measured. What the figures are for: Esteban et al. 2017 (MRIQC),
DOI 10.1371/journal.pone.0184661.
"""

import numpy as np
from scipy.ndimage import gaussian_filter, median_filter

from hale.core.scan import Volume

DECIMATED_MM = 2.0
"""Ghosts and stripes are searched at this spacing."""
HIGH_PASS_MM = 4.0
"""Standard deviation of the Gaussian whose result is taken off before that."""
GHOST_FROM_MM = 20.0
"""A copy nearer than this is no ghost but structure."""
GHOST_SAMPLES = 48
"""Along an axis that can show one; the slices of a thick-sliced scan are fewer."""
FINE = 1.5
"""An axis up to this many times coarser than the finest has neighbours for the noise."""
SECOND_DIFFERENCE = 6**0.5
"""Standard deviation of x[-1] - 2 x[0] + x[1] where that of x is 1."""
MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
SPIKE = 0.75
"""Of the brain's range: what a voxel stands out from its neighbours by, and `SPIKE_SIGMA` too."""
SPIKE_SIGMA = 12.0
"""Of the noise."""
MIN_POINTS = 100


def artefacts(volume: Volume, core: np.ndarray) -> dict[str, float]:
    """Return the figures of an image.

    Args:
        volume: As read; what is not finite counts as 0.
        core: ``(n, 3)`` voxel indices in the brain, away from its border.
    """
    values = np.nan_to_num(volume.values, nan=0.0, posinf=0.0, neginf=0.0)
    detail = _detail(values, volume.grid.spacing)
    return {
        **neighbourhood(Volume(values=values, grid=volume.grid), core),
        "ghosting": ghosting(*detail),
        "stripes": stripes(detail[0]),
    }


def neighbourhood(volume: Volume, core: np.ndarray) -> dict[str, float]:
    """Return what voxels and their neighbours along the fine axes say.

    ``noise`` is the robust sigma of second differences over the 5 to 95 % range of the brain: 0.3
    is nothing but noise. ``spikes``, ``flat`` (equal to all neighbours) and ``saturated`` (at the
    maximum of the volume) are shares of the core; ``grey_levels`` counts its distinct values.
    """
    keys = ("noise", "spikes", "flat", "saturated", "grey_levels")
    values, spacing = volume.values, np.array(volume.grid.spacing)
    core = core[((core > 0) & (core < np.array(values.shape) - 1)).all(1)]
    if len(core) < MIN_POINTS:
        return dict.fromkeys(keys, float("nan"))
    at = values[tuple(core.T)]
    axes = np.flatnonzero(spacing <= FINE * spacing.min())
    steps = [np.eye(3, dtype=int)[axis] for axis in axes]
    around = np.array([[values[tuple((core + s * e).T)] for s in (-1, 1)] for e in steps])
    bend = around.sum(1) - 2 * at  # (axis, point)
    low, high = np.percentile(at, [5, 95])
    sigma = float(min(_robust_sd(b) for b in bend)) / SECOND_DIFFERENCE
    apart = np.abs(at - np.median(around.reshape(-1, len(at)), axis=0))
    return {
        "noise": sigma / float(high - low) if high > low else float("nan"),
        "spikes": float((apart > max(SPIKE * (high - low), SPIKE_SIGMA * sigma)).mean()),
        "flat": float((around == at).all((0, 1)).mean()),
        "saturated": float((at == values.max()).mean()),
        "grey_levels": float(len(np.unique(at))),
    }


def ghosting(detail: np.ndarray, spacing: np.ndarray) -> float:
    """Return the highest peak of the image's correlation with itself shifted along an axis.

    A copy of strength a, shifted by any distance, gives a / (1 + a^2); the brain itself repeats
    nowhere so sharply. Shifts wrap around, as ghosts do.

    Args:
        detail: High-passed image, i j k.
        spacing: mm, ``(3,)``.
    """
    peaks = [float("nan")]
    for axis in range(3):
        count = detail.shape[axis]
        first = int(np.ceil(GHOST_FROM_MM / spacing[axis]))
        if count < GHOST_SAMPLES or not detail.any():
            continue
        power = (np.abs(np.fft.rfft(detail, axis=axis)) ** 2).sum(
            tuple(a for a in range(3) if a != axis)
        )
        alike = np.fft.irfft(power, count)
        alike /= alike[0]
        usual = median_filter(alike, size=2 * (first // 2) + 1, mode="wrap")
        peaks.append(float((alike - usual)[first : count // 2 + 1].max()))
    return float(np.nanmax(peaks)) if len(peaks) > 1 else float("nan")


def stripes(detail: np.ndarray) -> float:
    """Return the largest share of the image's detail that one wave makes up.

    A spike in k-space is a wave through the whole image.
    """
    power = np.abs(np.fft.rfftn(detail)) ** 2
    total = float((detail**2).sum()) * detail.size  # Parseval; a wave has two of its coefficients
    return 2 * float(power.max()) / total if total > 0 else float("nan")


def _detail(values: np.ndarray, spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the image at about 2 mm without its slow changes, and its spacing, mm."""
    factor = np.maximum(1, np.rint(DECIMATED_MM / np.array(spacing))).astype(int)
    kept = [n // f * f for n, f in zip(values.shape, factor, strict=True)]
    i, j, k = (n // f for n, f in zip(kept, factor, strict=True))
    blocks = values[: kept[0], : kept[1], : kept[2]].reshape(
        i, factor[0], j, factor[1], k, factor[2]
    )
    small = blocks.mean((1, 3, 5), dtype=np.float32)
    small = small.clip(*np.percentile(small, [0, 99.5]))
    coarse = np.array(spacing) * factor
    return small - gaussian_filter(small, HIGH_PASS_MM / coarse), coarse


def _robust_sd(x: np.ndarray) -> float:
    return MAD * float(np.median(np.abs(x - np.median(x))))
