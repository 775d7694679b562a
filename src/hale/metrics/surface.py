"""Distance between the surfaces of two masks.

Reference: Huttenlocher, Klanderman & Rucklidge 1993, doi:10.1109/34.232073.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import binary_erosion, distance_transform_edt, generate_binary_structure

from hale.metrics.voxel import NAN, volume_of

SHARE = 95.0
"""Per cent of a surface that lies nearer."""


def hausdorff95(found: ArrayLike, truth: ArrayLike, spacing: tuple[float, float, float]) -> float:
    """Return the 95th percentile Hausdorff distance, mm.

    The surface of a mask is its voxels with a face neighbour that is not in it; beyond the grid
    nothing is. From the centre of each surface voxel of one mask to the nearest one of the other is
    a distance; the figure is the larger of the two 95th percentiles (linear between ranks), there
    and back, not the percentile of both together. NaN if either mask is empty: print recall beside.

    Args:
        found: ``(i, j, k)``, booleans, 0 and 1, or numbered components.
        truth: Same shape, booleans or 0 and 1.
        spacing: Edges of a voxel along i, j and k, mm.

    Raises:
        ValueError: The shapes differ or are not three-dimensional; a mask that is none; an edge
            that is no length.
    """
    marked, lesion = volume_of(found, numbered=True), volume_of(truth)
    if marked.shape != lesion.shape:
        msg = f"needs two volumes of one shape, not {marked.shape} and {lesion.shape}"
        raise ValueError(msg)
    edges = np.asarray(spacing, np.float64)
    if edges.shape != (3,) or not ((edges > 0) & np.isfinite(edges)).all():
        msg = f"spacing is {spacing}, not three lengths in mm"
        raise ValueError(msg)
    if not marked.any() or not lesion.any():
        return NAN
    box = _box(marked | lesion)  # nothing outside is a surface or near to one
    one, other = _surface(marked[box]), _surface(lesion[box])
    there = distance_transform_edt(~other, sampling=spacing)[one]
    back = distance_transform_edt(~one, sampling=spacing)[other]
    return float(max(np.percentile(there, SHARE), np.percentile(back, SHARE)))


def _surface(mask: np.ndarray) -> np.ndarray:
    surface: np.ndarray = mask & ~binary_erosion(mask, generate_binary_structure(3, 1))
    return surface


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box that holds all of a mask."""
    ends = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        held = np.flatnonzero(mask.any(others))
        ends.append(slice(int(held[0]), int(held[-1]) + 1))
    return tuple(ends)
