"""The brain in a head CT, by thresholds on Hounsfield units.

Brain and blood lie between 0 and 100 HU, bone above (Muschelli et al. 2015, "Validated automatic
brain extraction of head CT images", DOI 10.1016/j.neuroimage.2015.03.074). What is soft and shut in
by bone is the brain; thin bridges (foramina, orbits) are cut by an opening.
"""

import numpy as np
from scipy.ndimage import binary_fill_holes, distance_transform_edt, label

from hale.core.errors import Refused
from hale.core.scan import Volume
from hale.core.types import Mask

SOFT_HU = (0.0, 100.0)
BONE_HU = (300.0, 3100.0)
AIR_HU = -500.0
"""Air has -1000; what is never lower shows no air, or is not in HU."""
BRIDGE_MM = 4.0
"""Half the width of the bridges that are cut."""


def looks_like_ct(volume: Volume) -> bool:
    """Say whether the values are those of a head in Hounsfield units: air, soft tissue, bone."""
    finite = volume.values[np.isfinite(volume.values)]
    soft = (finite > SOFT_HU[0]) & (finite < SOFT_HU[1])
    bone = (finite > BONE_HU[0]) & (finite < BONE_HU[1])
    return bool(finite.min() <= AIR_HU and soft.mean() > 0.02 and bone.mean() > 0.002)


def extract(volume: Volume, name: str) -> Mask:
    """Return the brain of a head CT in Hounsfield units.

    Raises:
        Refused: The values are no HU, or no soft tissue is shut in.
    """
    if np.nanmin(volume.values) > AIR_HU:
        why = "has no air (-1000 HU): its values are no Hounsfield units"
        raise Refused(name, why, "export it with its rescale slope, or give --brain-mask")
    spacing = volume.grid.spacing
    soft = (volume.values > SOFT_HU[0]) & (volume.values < SOFT_HU[1])
    core = distance_transform_edt(_padded(soft), sampling=spacing)[1:-1, 1:-1, 1:-1] > BRIDGE_MM
    pieces, count = label(core)
    if count == 0:
        remedy = "check the scan, or give --brain-mask"
        raise Refused(name, "no soft tissue is shut in by bone", remedy)
    core = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    near = distance_transform_edt(~core, sampling=spacing) <= BRIDGE_MM * 1.25
    brain: Mask = binary_fill_holes(near & soft)
    return brain


def _padded(mask: Mask) -> Mask:
    """Return the mask with a rim: a head that is cut by the field of view is open there."""
    return np.pad(mask, 1)
