"""Synthetic anomalies: healthy scans and slices, corrupted where a mask says.

They teach methods that learn from what they are told is abnormal, and they test any method. Every
kind has a file of its own, with its source. `hale.data.lesions.plant` is for lesions of a stated
volume and contrast.
"""

from collections.abc import Callable
from enum import StrEnum

import numpy as np

from hale.core.grid import Grid
from hale.core.types import Image, Mask
from hale.data.lesions.draem import draem, draem_released
from hale.data.lesions.fpi import fpi
from hale.data.lesions.host import Host, Material
from hale.data.lesions.mass import mass_effect
from hale.data.lesions.pii import pii
from hale.data.lesions.shape import shape
from hale.data.lesions.spot import bias, spot

NOTHING = Material()


class Kind(StrEnum):
    """How a scan is corrupted."""

    DRAEM = "draem"
    """Textures under thresholded noise, in the brain. Slice by slice."""
    DRAEM_RELEASED = "draem_released"
    """The same as published with SADM: anywhere in the slice, texture and mask of one noise."""
    FPI = "fpi"
    """A patch of another scan, interpolated. Needs a donor."""
    PII = "pii"
    """A patch of another scan, blended without a seam. Needs a donor."""
    SPOT = "spot"
    """A ball, brighter or darker, with a soft edge."""
    BIAS = "bias"
    """A smooth local gain or loss of intensity."""
    SHAPE = "shape"
    """The outline of a real lesion, brighter or darker, with a soft edge. Needs shapes."""
    MASS = "mass"
    """Tissue pushed aside."""


MAKERS: dict[Kind, Callable[[Host, np.random.Generator], tuple[Image, Mask]]] = {
    Kind.DRAEM: draem,
    Kind.DRAEM_RELEASED: draem_released,
    Kind.FPI: fpi,
    Kind.PII: pii,
    Kind.SPOT: spot,
    Kind.BIAS: bias,
    Kind.SHAPE: shape,
    Kind.MASS: mass_effect,
}


def corrupted(
    image: Image,
    brain: Mask,
    kind: Kind,
    *,
    rng: np.random.Generator,
    grid: Grid | None = None,
    material: Material = NOTHING,
) -> tuple[Image, Mask]:
    """Return a corrupted copy of ``image``, and where it is abnormal.

    Args:
        image: Prepared intensities: 0 outside the brain, about 0 to 1 inside. A slice is an image
            one voxel thick, ``(contrast, i, j, 1)``, and is corrupted in its plane.
        brain: Where an anomaly may be.
        kind: What to make.
        rng: Decides everything that is random. The same state gives the same result.
        grid: Where the voxels are; sizes are in mm. None: 1 mm apart.
        material: What `Kind.FPI`, `Kind.PII` and `Kind.SHAPE` are made of.

    The mask lies in the brain, and nothing changes outside it. Two kinds are exceptions, as they
    say: `Kind.DRAEM_RELEASED` minds no brain, and `Kind.MASS` moves tissue by less than
    `hale.data.lesions.mass.MOVED_MM` outside its mask, yet in the brain. All contrasts share the
    mask. Intensities stay between 0 and 1, or between the extremes of image and donor where those
    are wider.

    A mask may be empty, and the image is then as it came: without any brain, and as `Kind.DRAEM`
    and `Kind.DRAEM_RELEASED` say.

    Raises:
        Refused: The kind needs a material that is not there, or that does not fit.
    """
    place = grid or Grid(shape=(brain.shape[0], brain.shape[1], brain.shape[2]), affine=np.eye(4))
    if not image.shape[1:] == brain.shape == place.shape:
        msg = f"image is {image.shape}, brain {brain.shape}, the grid says {place.shape}"
        raise ValueError(msg)
    if not brain.any() and kind is not Kind.DRAEM_RELEASED:
        return image.copy(), np.zeros_like(brain)
    return MAKERS[kind](Host(image=image, brain=brain, grid=place, material=material), rng)
