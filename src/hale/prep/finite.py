"""Voxels that are not numbers: harmless in the air, fatal in the brain."""

import numpy as np
from scipy.ndimage import binary_fill_holes, distance_transform_edt

from hale.core.errors import Refused
from hale.core.scan import Volume
from hale.core.types import Map, Mask
from hale.prep.log import Log


def without_nan(
    name: str, volume: Volume, brain: Mask, log: Log, *, margin_mm: float = 0.0
) -> Volume:
    """Put 0 for voxels that are not finite outside the brain; refuse them inside.

    Holes of the brain are inside, and so is what lies within ``margin_mm`` of it.
    """
    bad = ~np.isfinite(volume.values)
    if not bad.any():
        return volume
    within = binary_fill_holes(brain)
    if margin_mm > 0:
        within = distance_transform_edt(~within, sampling=volume.grid.spacing) <= margin_mm
    inside = int((bad & within).sum())
    if inside:
        raise Refused(name, f"{inside} voxels of the brain are NaN or infinite", "export it again")
    log.notes.append(f"{int(bad.sum())} voxels outside the brain are NaN or infinite: taken as 0")
    return Volume(values=finite(volume.values), grid=volume.grid)


def refuse_flat(name: str, inside: np.ndarray) -> None:
    """Refuse a brain of one grey value, which nothing can be registered by."""
    if inside.min() == inside.max():
        raise Refused(name, "the brain has no contrast (one grey value)", "check the scan")


def finite(values: Map) -> Map:
    """Return the values, 0 where they are NaN or infinite."""
    numbers: Map = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return numbers
