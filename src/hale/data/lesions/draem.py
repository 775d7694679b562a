"""Textured anomalies under a mask of thresholded Perlin noise, without external pictures.

Reference: Zavrtanik, Kristan and Skočaj 2021, "DRAEM - a discriminatively trained reconstruction
embedding for surface anomaly detection", arXiv:2108.07610, as the code of SADM (Behrendt et al.
2024, PMLR 250:87-102) uses it on axial slices. A volume is corrupted slice by slice.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float32

from hale.core.types import Image, Mask
from hale.data.lesions.host import Host
from hale.data.lesions.perlin import turned_perlin
from hale.data.lesions.texture import textured

THRESHOLD = 0.5
"""Noise above it is anomaly: 4 % of a slice of 96 x 96 on average."""
OPACITY = (0.2, 1.0)
"""Share of the texture, the rest is tissue: drawn between these, once per slice."""
LEAST = 8
"""Pixels of brain that an anomaly of `draem` has."""
TRIES = 100
"""Masks that are drawn before a slice with little brain is left as it is."""

Slice = Float32[np.ndarray, "contrast i j"]
Plane = Bool[np.ndarray, "i j"]
Drawn = tuple[Plane, Slice]
"""A mask, and a texture in [0, 1] for each contrast."""


def draem(host: Host, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Put textures of their own noise into the brain, at least `LEAST` pixels in each slice.

    A slice with less brain than that, or with so little that `TRIES` masks miss it, stays as it is.
    """

    def draw(brain: Plane) -> Drawn:
        return brain_anomaly(brain, len(host.image), rng)

    return _slice_by_slice(host, draw, rng)


def draem_released(host: Host, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Put textures anywhere in each slice, background included, made of the mask's own noise.

    As published, inside the mask the noise is above 0.5, so that the texture is bright before its
    operations; a mask may be empty.
    """

    def draw(brain: Plane) -> Drawn:
        return slice_anomaly((brain.shape[0], brain.shape[1]), len(host.image), rng)

    return _slice_by_slice(host, draw, rng)


def brain_anomaly(brain: Plane, contrasts: int, rng: np.random.Generator) -> Drawn:
    """Return a mask in the brain, and textures of an independent noise rescaled to [0, 1]."""
    shape = (brain.shape[0], brain.shape[1])
    for _ in range(TRIES if brain.sum() >= LEAST else 0):
        mask = (turned_perlin(shape, rng) > THRESHOLD) & brain
        if mask.sum() >= LEAST:
            noise = turned_perlin(shape, rng)
            noise -= noise.min()
            noise /= max(noise.max(), 1e-9)
            return mask, _textures(noise, contrasts, rng)
    return np.zeros_like(brain), np.zeros((contrasts, *shape), np.float32)


def slice_anomaly(shape: tuple[int, int], contrasts: int, rng: np.random.Generator) -> Drawn:
    """Return a mask anywhere, and textures of the same noise, whose negative values wrap."""
    noise = turned_perlin(shape, rng)
    return noise > THRESHOLD, _textures(noise, contrasts, rng)


def overlaid(x: Slice, mask: Plane, texture: Slice, opacity: float) -> Slice:
    """Return x (1 - m) + b texture m + (1 - b) x m, b being the opacity."""
    blend = opacity * texture + (1 - opacity) * x
    return np.where(mask, blend, x).astype(np.float32)


def _textures(noise: np.ndarray, contrasts: int, rng: np.random.Generator) -> Slice:
    grey = (noise * 255).astype(np.int64).astype(np.uint8)  # -1 becomes 255
    return np.stack([textured(grey, rng) for _ in range(contrasts)])


def _slice_by_slice(
    host: Host, draw: Callable[[Plane], Drawn], rng: np.random.Generator
) -> tuple[Image, Mask]:
    """Corrupt the axial slices, or the only slice of an image that is one voxel thick."""
    image, mask = host.image.copy(), np.zeros_like(host.brain)
    across = next((axis for axis in (2, 1, 0) if mask.shape[axis] == 1), 2)
    slices = zip(*(np.moveaxis(x, across - 3, 0) for x in (image, mask, host.brain)), strict=True)
    for x, here, brain in slices:  # the first two are views of the result
        here[...], texture = draw(brain)
        x[...] = overlaid(x, here, texture, rng.uniform(*OPACITY))
    return image, mask
