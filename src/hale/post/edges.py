"""What is done about the ragged rim of the brain, and about single hot voxels."""

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import binary_erosion, generate_binary_structure, median_filter

from hale.core.types import Map, Mask

CROSS = generate_binary_structure(2, 1)[:, :, None]
"""4 neighbours within an axial slice."""


def eroded(brain: Mask, *, times: int) -> Mask:
    """Return ``brain`` after ``times`` erosions per axial slice (4-neighbour cross).

    A slice that would vanish is left as it is.
    """
    if times == 0:
        return brain
    inner: Mask = binary_erosion(brain, CROSS, iterations=times)
    gone = ~inner.any((0, 1))
    inner[:, :, gone] = brain[:, :, gone]
    return inner


def median(values: Map, brain: Mask, *, width: int) -> Map:
    """Return the median over ``width`` voxels along each axis (in-plane for one slice).

    The border reflects; the result is 0 outside ``brain``.
    """
    if width <= 1:
        return values
    if min(values.shape) == 1:
        size = tuple(min(width, n) for n in values.shape)
        filtered = median_filter(values, size=size, mode="reflect")
    else:
        half = width // 2
        padded = np.pad(values, half, mode="symmetric")
        image = sitk.Median(sitk.GetImageFromArray(padded), [half] * 3)
        inner = (slice(half, -half),) * 3
        filtered = sitk.GetArrayFromImage(image)[inner]
    return np.where(brain, filtered, 0).astype(np.float32)
