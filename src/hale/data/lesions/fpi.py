"""Foreign patch interpolation: a patch of another healthy scan shines through.

Reference: Tan et al. 2020, "Detecting outliers with foreign patch interpolation", arXiv:2011.04197,
https://doi.org/10.59275/j.melba.2022-e651. Patch, place and factor are uniform. The sides are those
of the brain's box here, where the paper takes the image's, and the patch is cut to the brain.
"""

import numpy as np
from jaxtyping import Float

from hale.core.errors import Refused
from hale.core.types import Image, Mask
from hale.data.lesions.host import Box, Host

SIDE = (0.1, 0.4)
"""Of a patch, in sides of the box about the brain; one draw per axis."""
FACTOR = (0.05, 0.95)
"""Share of the donor."""


def fpi(host: Host, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Interpolate a patch with the donor's at the same place."""
    y = donor_of(host)
    box, factor = patch(host, rng), rng.uniform(*FACTOR)
    inside = host.brain[box]
    values = interpolated(host.image[:, *box][:, inside], y[:, *box][:, inside], factor)
    return host.with_values(box, inside, values)


def interpolated(
    x: Float[np.ndarray, "*any"], y: Float[np.ndarray, "*any"], factor: float
) -> Float[np.ndarray, "*any"]:
    """Return (1 - a) x + a y."""
    return (1 - factor) * x + factor * y


def patch(host: Host, rng: np.random.Generator) -> Box:
    """Return a random block about a random voxel of the brain."""
    centre = host.centre(rng)
    shares = rng.uniform(*SIDE, 3)
    sides = []
    for axis, (middle, share) in enumerate(zip(centre, shares, strict=True)):
        there = np.flatnonzero(host.brain.any(axis=tuple({0, 1, 2} - {axis})))
        side = max(1, round(share * float(there[-1] - there[0] + 1)))
        first = int(middle) - side // 2
        sides.append(slice(max(first, 0), min(first + side, host.brain.shape[axis])))
    i, j, k = sides
    return i, j, k


def donor_of(host: Host) -> Image:
    """Return the donor.

    Raises:
        Refused: There is none, or it is not on the host's grid.
    """
    donor = host.material.donor
    if donor is None:
        raise Refused("no donor", "the patch is another scan's", "give material a donor")
    if donor.shape != host.image.shape:
        why = f"the scan is {host.image.shape}"
        raise Refused(f"a donor of {donor.shape}", why, "take one of the same contrasts and grid")
    return donor
