"""Spots: a ball that is brighter or darker than it was, by a step or by a smooth bias.

A toolkit choice, in the manner of the intensity shifts that are common in self-supervised anomaly
detection, e.g. Baugh et al. 2023, "Many tasks make light work", arXiv:2307.00899. In a slice a ball
is a disc.
"""

import numpy as np
from jaxtyping import Float

from hale.core.types import Image, Mask
from hale.data.lesions.host import Box, Host
from hale.data.lesions.plant import EDGE_MM

SPOT_MM = (3.0, 15.0)
"""Radius of a spot, to the middle of its edge."""
CHANGE = (0.1, 0.5)
"""Of the intensity, in its own unit: prepared brains reach from 0 to 1."""
BIAS_MM = (15.0, 50.0)
"""Radius at which a bias has ceased."""
GAIN = (0.2, 0.6)
"""Of the middle of a bias: by this share it is brighter or darker."""


def spot(host: Host, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Brighten or darken a ball, evenly but for a soft edge."""
    centre, radius_mm = host.centre(rng), rng.uniform(*SPOT_MM)
    box, offset_mm = host.around(centre, radius_mm + EDGE_MM)
    return shifted(host, box, np.linalg.norm(offset_mm, axis=-1) - radius_mm, rng)


def bias(host: Host, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Multiply by 1 + g (1 - (r / R)^2)^2 within a radius R: an inhomogeneity of the coil's kind.

    Where the image is 0 it stays 0, though the mask holds it.
    """
    centre, radius_mm = host.centre(rng), rng.uniform(*BIAS_MM)
    box, offset_mm = host.around(centre, radius_mm)
    share = (1 - (np.linalg.norm(offset_mm, axis=-1) / radius_mm).clip(max=1) ** 2) ** 2
    inside = (share > 0) & host.brain[box]
    x = host.image[:, *box][:, inside]
    gain, mean = rng.uniform(*GAIN, len(x)), x.mean(axis=1)
    gain *= signs(np.abs(mean) * gain, mean, host.limits, rng)
    values = x * (1 + np.outer(gain, share[inside]))
    return host.with_values(box, inside, values.clip(*host.limits))


def shifted(
    host: Host, box: Box, depth_mm: Float[np.ndarray, "u v w"], rng: np.random.Generator
) -> tuple[Image, Mask]:
    """Add a change of either sign inside a border, drawn for each contrast.

    It falls linearly from half of `EDGE_MM` inside to none half of it outside, and the mask reaches
    as far, in the brain. ``depth_mm`` is the distance from the border, negative inside.
    """
    share = np.clip(0.5 - depth_mm / EDGE_MM, 0, 1)
    inside = (share > 0) & host.brain[box]
    x = host.image[:, *box][:, inside]
    change = rng.uniform(*CHANGE, len(x))
    change *= signs(change, x.mean(axis=1), host.limits, rng)
    values = x + np.outer(change, share[inside])
    return host.with_values(box, inside, values.clip(*host.limits))


def signs(
    change: Float[np.ndarray, " contrast"],
    mean: Float[np.ndarray, " contrast"],
    limits: tuple[float, float],
    rng: np.random.Generator,
) -> Float[np.ndarray, " contrast"]:
    """Return, for each change, +1 or -1 for which there is room about the mean.

    A change of 0.3 to tissue of 0.9 darkens it: above 1 nothing would be left of it. Where both
    signs have room, either is as likely.
    """
    up, down = mean + change <= limits[1], mean - change >= limits[0]
    either = rng.choice([-1.0, 1.0], len(change))
    return np.where(up & down, either, np.where(up, 1.0, -1.0))
