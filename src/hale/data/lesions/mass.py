"""Mass effect: tissue is pushed away from a point, as a growing mass would. The mass is not drawn.

A toolkit choice. A voxel p at the distance r from the centre c shows what was at

    c + (p - c) (1 - s w(r / R)),   w(t) = (1 - t^2)^2 for t < 1, else 0,

nearer to the centre. Its distance r (1 - s w) has the derivative 1 - s (1 - t^2) (1 - 5 t^2), which
is at least 1 - s: for s < 1 nothing folds, and the Jacobian (1 - s w)^(n - 1) (1 - s (1 - t^2)
(1 - 5 t^2)) in n dimensions is above 0. The shift r s w is greatest at t = 1 / sqrt(5), 0.286 s R.
"""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import map_coordinates

from hale.core.types import Image, Mask
from hale.data.lesions.host import Host

RADIUS_MM = (15.0, 40.0)
"""Beyond it nothing moves."""
STRENGTH = (0.5, 0.8)
"""s: the greatest shift is 2 to 9 mm."""
MOVED_MM = 1.0
"""What has moved by more is anomaly."""


def mass_effect(host: Host, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Push tissue away from a random voxel of the brain.

    All contrasts move alike, in the brain alone, by linear interpolation. What moved by `MOVED_MM`
    or less, about the centre and near the radius, is not in the mask, which is a shell.
    """
    centre, radius_mm = host.centre(rng), rng.uniform(*RADIUS_MM)
    strength = rng.uniform(*STRENGTH)
    box, offset_mm = host.around(centre, radius_mm)
    r = np.linalg.norm(offset_mm, axis=-1)
    inward = shrink(r / radius_mm, strength)
    moves = (inward > 0) & host.brain[box]
    index = np.argwhere(moves) + [side.start for side in box]
    source = (centre + (index - centre) * (1 - inward[moves])[:, None]).T
    values = np.stack([map_coordinates(x, source, order=1, mode="nearest") for x in host.image])
    image, mask = host.with_values(box, moves, values)
    mask[box] &= r * inward > MOVED_MM
    return image, mask


def shrink(t: Float[np.ndarray, "*any"], strength: float) -> Float[np.ndarray, "*any"]:
    """Return s w(t): by which share of its distance a voxel looks nearer to the centre."""
    share: np.ndarray = strength * (1 - t.clip(max=1) ** 2) ** 2
    return share
