"""The brain in a head CT, by thresholds on Hounsfield units.

Brain and blood lie between 0 and 100 HU once noise is smoothed, bone above (Muschelli et al. 2015,
"Validated automatic brain extraction of head CT images", DOI 10.1016/j.neuroimage.2015.03.074).
From the
depth of the brain and from the skin two regions grow through what is soft, step by step, so that
they meet in the foramen magnum and other ways through the skull, and the brain does not leak into
the neck. A large craniotomy without its flap is no such way: there the mask must be given.
"""

import numpy as np
from scipy.ndimage import (
    binary_dilation,
    binary_fill_holes,
    distance_transform_edt,
    gaussian_filter,
    label,
)

from hale.core.errors import Refused
from hale.core.grid import Grid, resample
from hale.core.scan import Volume
from hale.core.types import Map, Mask
from hale.prep.finite import finite

AIR_HU = -500.0
"""Below it is air (-1000 HU)."""
FAT_HU = (-200.0, -20.0)
SOFT_HU = (0.0, 100.0)
BONE_HU = (300.0, 3100.0)
LEAST = {"air": 0.02, "fat": 0.01, "soft": 0.45, "bone": 0.01}
"""Share of each in a head: air of all voxels, the others of what is above ``FAT_HU[0]``. Of that,
soft tissue is 0.7 in a CT, 0.4 at most in an MR scan that was padded with -1024 and resampled."""

WORKING_MM = 2.0
SMOOTH_MM = 1.0
"""Standard deviation of the Gaussian."""
CORE_MM = 20.0
"""Depth at which soft tissue of the brain hangs together, but no longer with that of the neck: the
foramen magnum is 28 to 36 mm wide."""
HOLE_ML = 10.0
"""Calcifications, clips and dense blood within soft tissue are smaller."""
SKIN_STEPS = 2
"""Working voxels from the air, not through bone, that are none of the brain's."""
BRIDGE_MM = 4.0
"""Half the width of what is cut off the brain in the end, such as optic nerves."""


def looks_like_ct(volume: Volume) -> bool:
    """Say whether the values are those of a head in Hounsfield units.

    All four kinds are there: air, fat, soft tissue, bone. An MR scan that is padded with -1024 has
    no fat, and one with values below 0 for another reason has too little between 0 and 100.
    """
    shares = _shares(volume)
    return all(shares[kind] >= least for kind, least in LEAST.items())


def extract(volume: Volume, name: str) -> Mask:
    """Return the brain of a head CT in Hounsfield units, with the fluid in and around it.

    Args:
        volume: Voxels that are not finite count as 0 HU.
        name: Of the scan.

    Raises:
        Refused: The values are no HU, or no soft tissue is shut in by bone.
    """
    shares = _shares(volume)
    if shares["air"] == 0 or shares["soft"] < LEAST["soft"] / 2:
        why = f"its values are no Hounsfield units ({_told(shares)})"
        raise Refused(name, why, "export it with its rescale slope, or give --brain-mask")
    coarse = _coarse(Volume(values=finite(volume.values), grid=volume.grid))
    brain = _shut_in(coarse)
    if not brain.any():
        remedy = "check the scan, or give --brain-mask"
        raise Refused(name, "no soft tissue is shut in by bone", remedy)
    back: Mask = resample(brain.astype(np.float32), coarse.grid, volume.grid) > 0.5
    return back


def _shares(volume: Volume) -> dict[str, float]:
    """Return how much is air, of all voxels, and fat, soft and bone, of what is neither."""
    values = volume.values[np.isfinite(volume.values)]
    solid = values[values > FAT_HU[0]]
    bounds = {"fat": FAT_HU, "soft": SOFT_HU, "bone": BONE_HU}
    return {
        "air": float((values < AIR_HU).sum()) / max(1, values.size),
        **{
            kind: float(((solid > low) & (solid < high)).sum()) / max(1, solid.size)
            for kind, (low, high) in bounds.items()
        },
    }


def _told(shares: dict[str, float]) -> str:
    air, soft = (f"{100 * shares[kind]:.0f} %" for kind in ("air", "soft"))
    return f"{air} below {AIR_HU:g}, where air is; {soft} of the rest from 0 to 100, where brain is"


def _coarse(volume: Volume) -> Volume:
    """Return the volume smoothed, in cubes of `WORKING_MM`."""
    grid = volume.grid
    step = WORKING_MM / np.array(grid.spacing)
    i, j, k = (int(n) for n in np.floor((np.array(grid.shape) - 1) / step) + 1)
    target = Grid(shape=(i, j, k), affine=grid.affine @ np.diag([*step, 1.0]))
    calm = gaussian_filter(volume.values, SMOOTH_MM / np.array(grid.spacing), mode="nearest")
    return Volume(values=resample(calm, grid, target), grid=target)


def _shut_in(hu: Volume) -> Mask:
    """Return the soft tissue that lies nearer to the depth of the brain than to the skin."""
    soft = _without_holes((hu.values > SOFT_HU[0]) & (hu.values < SOFT_HU[1]), hu.grid)
    depth = _depth(soft, hu.grid)
    pieces, count = label(depth > CORE_MM)
    if count == 0:
        return np.zeros_like(soft)
    core = pieces == 1 + np.bincount(pieces.ravel(), depth.ravel())[1:].argmax()
    grown = _nearer(core, _skin(hu) & soft, soft)
    pieces, _ = label(_depth(grown, hu.grid) > BRIDGE_MM)
    thick = pieces == pieces[tuple(np.argwhere(core)[0])]
    near = distance_transform_edt(~thick, sampling=hu.grid.spacing) <= BRIDGE_MM + WORKING_MM / 2
    brain: Mask = binary_fill_holes(grown & near)
    return brain


def _nearer(one: Mask, other: Mask, through: Mask) -> Mask:
    """Return what one region reaches ``through`` a mask in fewer steps than the other."""
    front, taken = one, one | other | ~through
    while front.any():
        front = binary_dilation(front) & ~taken
        one, taken = one | front, taken | front
        other = binary_dilation(other) & ~taken
        taken = taken | other
    return one


def _without_holes(soft: Mask, grid: Grid) -> Mask:
    """Return the mask with what is small and shut in by it."""
    pieces, _ = label(~soft)
    small = np.bincount(pieces.ravel()) * grid.voxel_ml < HOLE_ML
    filled: Mask = soft | small[pieces]
    return filled


def _depth(soft: Mask, grid: Grid) -> Map:
    """Return the distance to what is not soft, mm; beyond the field of view nothing is."""
    padded = distance_transform_edt(np.pad(soft, 1), sampling=grid.spacing)
    depth: Map = padded[1:-1, 1:-1, 1:-1].astype(np.float32)
    return depth


def _skin(hu: Volume) -> Mask:
    """Return what lies near the air around the head, or in its airways, with no bone between."""
    pieces, _ = label(np.pad(hu.values < AIR_HU, 1, constant_values=True))
    air = (pieces == pieces[0, 0, 0])[1:-1, 1:-1, 1:-1]
    near: Mask = binary_dilation(air, iterations=SKIN_STEPS, mask=hu.values < BONE_HU[0])
    return near
