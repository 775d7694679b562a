"""The mask that StRegA's public code draws, in its order of steps, and a corrected one.

Reference: Chatterjee et al. 2022, DOI 10.1016/j.compbiomed.2022.106093;
github.com/soumickmj/StRegA.
"""

import numpy as np
from scipy.ndimage import generate_binary_structure, label

from hale.core.types import Map, Mask

CERTAIN = 0.2
"""A difference above it counts as 1."""
BINS = 256
"""Of the histogram that Otsu's threshold is found on."""
IN_PLANE = np.pad(generate_binary_structure(2, 1)[:, :, None], ((0, 0), (0, 0), (1, 1)))
"""4 neighbours within an axial slice."""


def published_mask(difference: Map, image: Map, *, min_pixels: float) -> Mask:
    """Return what the public code calls abnormal.

    Negative differences become 0, those above 0.2 become 1, Otsu's threshold is taken over the
    whole volume with its background, components of an axial slice below ``min_pixels`` are dropped
    (4 neighbours), and so is all where the image is 0. A volume without any abnormality has a mask
    all the same: Otsu always splits.

    Args:
        difference: x_hat - x, the image scaled to 0 ... 1.
        image: x.
        min_pixels: Of a component, 256 in the public code.
    """
    d = difference.clip(min=0)
    d = np.where(d > CERTAIN, np.float32(1), d)
    mask: Mask = opened(d > otsu(d), min_pixels) & (image != 0)
    return mask


def corrected_mask(d: Map, brain: Mask, *, min_pixels: float) -> Mask:
    """Return the score cut at Otsu's threshold inside the brain, without small components.

    Args:
        d: 0 or more.
        brain: Where the histogram is taken, and the mask is.
        min_pixels: Of a component of an axial slice.
    """
    return opened((d > otsu(d[brain])) & brain, min_pixels)


def otsu(values: np.ndarray) -> float:
    """Return Otsu's threshold of a 256-bin histogram: the middle of the last bin below it.

    Otsu 1979, DOI 10.1109/TSMC.1979.4310076. That of a constant is the constant.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low
    counts, edges = np.histogram(values, BINS, (low, high))
    middles = (edges[:-1] + edges[1:]) / 2
    below, above = counts.cumsum(), counts[::-1].cumsum()[::-1]
    weighted = counts * middles
    mean_below = weighted.cumsum() / below.clip(1)
    mean_above = weighted[::-1].cumsum()[::-1] / above.clip(1)
    between = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    return float(middles[between.argmax()])


def opened(mask: Mask, min_pixels: float) -> Mask:
    """Return the mask without components of an axial slice that have fewer pixels."""
    labels, _ = label(mask, IN_PLANE)
    sizes = np.bincount(labels.ravel())
    kept = sizes >= min_pixels
    kept[0] = False
    large: Mask = kept[labels]
    return large
