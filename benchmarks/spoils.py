"""Ways to spoil the image or the registration of a scan, for `quality_control.py`."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.spatial.transform import Rotation

from hale.core.grid import Grid
from hale.core.scan import Volume
from hale.core.types import Affine, Map, Mask

Spoil = Callable[[Volume, Mask, np.random.Generator], Volume]
X, Y, Z = range(3)
"""Axes of a RAS+ volume: to the right, to the front, up."""
MIDDLE = np.array([0.0, -17.0, 5.0])
"""Of the template's brain, mm: what a spoiled transform turns about."""
WAVE_MM = (12.0, 16.0)
"""Wave length along the first two axes."""


def cut(
    volume: Volume, brain: Mask, _: np.random.Generator, *, axis: int, share: float, zeros: bool
) -> Volume:
    """Take ``share`` of the brain's extent away, from the low end (or, below 0, the high end)."""
    found = np.flatnonzero(brain.any(tuple(a for a in range(3) if a != axis)))
    depth = round(abs(share) * len(found))
    first = int(found[0]) + depth if share > 0 else 0
    last = int(found[-1]) + 1 - depth if share < 0 else brain.shape[axis]
    box = [slice(None)] * 3
    box[axis] = slice(first, last)
    if zeros:
        values = np.zeros_like(volume.values)
        values[tuple(box)] = volume.values[tuple(box)]
        return _same_place(volume, values)
    values = np.ascontiguousarray(volume.values[tuple(box)])
    shift = np.eye(4)
    shift[axis, 3] = first
    return Volume(values=values, grid=Grid(shape=values.shape, affine=volume.grid.affine @ shift))


def ghost(
    volume: Volume, _: Mask, __: np.random.Generator, *, axis: int, part: int, strength: float
) -> Volume:
    """Add a copy that is shifted by a part of the field of view and wraps around."""
    copy = np.roll(volume.values, volume.grid.shape[axis] // part, axis)
    return _same_place(volume, volume.values + strength * copy)


def noisy(volume: Volume, brain: Mask, rng: np.random.Generator, *, snr: float) -> Volume:
    """Add Rician noise."""
    sigma = volume.values[brain].mean() / snr
    real, imaginary = rng.normal(0, sigma, (2, *volume.grid.shape))
    return _same_place(volume, np.hypot(volume.values + real, imaginary))


def noise_alone(
    volume: Volume, brain: Mask, rng: np.random.Generator, *, outline: bool = False
) -> Volume:
    """Return noise in the whole field of view, or in the brain's outline and 0 around it."""
    noise = 1 + np.hypot(*rng.normal(0, 100, (2, *volume.grid.shape)))
    return _same_place(volume, np.where(brain, noise, 0) if outline else noise)


def blurred(volume: Volume, _: Mask, __: np.random.Generator, *, axis: int, mm: float) -> Volume:
    """Smear along an axis, as motion does."""
    width = max(2, round(mm / volume.grid.spacing[axis]))
    return _same_place(volume, uniform_filter1d(volume.values, width, axis=axis))


def clipped(volume: Volume, brain: Mask, _: np.random.Generator, *, percentile: float) -> Volume:
    """Cut all grey values off above a percentile of the brain."""
    return _same_place(
        volume, np.minimum(volume.values, np.percentile(volume.values[brain], percentile))
    )


def spiked(volume: Volume, _: Mask, rng: np.random.Generator, *, share: float) -> Volume:
    """Set single voxels to the largest value."""
    there = rng.random(volume.grid.shape) < share
    return _same_place(volume, np.where(there, volume.values.max(), volume.values))


def waved(volume: Volume, brain: Mask, _: np.random.Generator, *, strength: float) -> Volume:
    """Lay stripes over the image, as a spike in k-space does."""
    i, j, _k = np.ogrid[tuple(slice(n) for n in volume.grid.shape)]
    turns = i * volume.grid.spacing[0] / WAVE_MM[0] + j * volume.grid.spacing[1] / WAVE_MM[1]
    wave = strength * volume.values[brain].mean() * np.cos(2 * np.pi * turns)
    return _same_place(volume, np.abs(volume.values + wave))


def slab(volume: Volume, brain: Mask, _: np.random.Generator, *, mm: float) -> Volume:
    """Set the slices about the brain's middle to 0."""
    middle = int(np.argwhere(brain.any((X, Y))).mean())
    half = max(1, round(mm / 2 / volume.grid.spacing[Z]))
    values = volume.values.copy()
    values[:, :, middle - half : middle + half] = 0
    return _same_place(volume, values)


def _same_place(volume: Volume, values: Map) -> Volume:
    return Volume(values=values.astype(np.float32), grid=volume.grid)


def _without(axis: int, share: float, *, zeros: bool = False) -> Spoil:
    return partial(cut, axis=axis, share=share, zeros=zeros)


def _ghost(axis: int, part: int, strength: float) -> Spoil:
    return partial(ghost, axis=axis, part=part, strength=strength)


IMAGE: Mapping[str, Spoil] = {
    "cut at the eyes (lower third gone)": _without(Z, 1 / 3),
    "the same, filled with 0": _without(Z, 1 / 3, zeros=True),
    "ghost of 50 % at FOV/2": _ghost(Y, 2, 0.5),
    "ghost of 30 % at FOV/2": _ghost(Y, 2, 0.3),
    "ghost of 50 % at FOV/4": _ghost(Y, 4, 0.5),
    "ghost of 30 % at FOV/4": _ghost(Y, 4, 0.3),
    "ghost of 30 % at FOV/2, sideways": _ghost(X, 2, 0.3),
    "noise alone": noise_alone,
    "noise in the outline of the brain": partial(noise_alone, outline=True),
    "lower sixth gone": _without(Z, 1 / 6),
    "upper third gone": _without(Z, -1 / 3),
    "front third gone": _without(Y, -1 / 3),
    "back third gone": _without(Y, 1 / 3),
    "left third gone": _without(X, 1 / 3),
    "ghost of 10 % at FOV/2": _ghost(Y, 2, 0.1),
    "noise, SNR 2": partial(noisy, snr=2.0),
    "noise, SNR 5": partial(noisy, snr=5.0),
    "smeared over 12 mm": partial(blurred, axis=Y, mm=12.0),
    "clipped at the median": partial(clipped, percentile=50.0),
    "1 % of voxels at the maximum": partial(spiked, share=0.01),
    "wave of 30 %": partial(waved, strength=0.3),
    "20 mm of slices at 0": partial(slab, mm=20.0),
}


def turned(axis: str, degrees: float) -> Affine:
    """Return a turn about the middle of the template's brain."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    affine[:3, 3] = MIDDLE - affine[:3, :3] @ MIDDLE
    return affine


def shifted(axis: str, mm: float) -> Affine:
    """Return a shift along an axis."""
    affine = np.eye(4)
    affine["xyz".index(axis), 3] = mm
    return affine


TRANSFORM: Mapping[str, Affine] = {
    **{f"turned 90 degrees about {a}": turned(a, 90) for a in "xyz"},
    "upside-down about x": turned("x", 180),
    "upside-down about y": turned("y", 180),
    **{f"shifted 30 mm along {a}": shifted(a, 30) for a in "xyz"},
    **{f"turned 45 degrees about {a}": turned(a, 45) for a in "xyz"},
    **{f"turned 30 degrees about {a}": turned(a, 30) for a in "xyz"},
    **{f"shifted 15 mm along {a}": shifted(a, 15) for a in "xyz"},
}
