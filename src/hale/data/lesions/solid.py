"""Outlines of lesions as signed distances: a ball, or the mask of a real lesion."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects, label, map_coordinates

from hale.core.errors import Refused
from hale.core.types import Mask


@dataclass(frozen=True, eq=False)
class Solid:
    """A shape about its deepest inner point, at a given volume."""

    radius_mm: float
    """Of the largest ball inside."""
    reach_mm: float
    """Distance from the deepest point to the farthest."""
    depth_mm: np.ndarray | None = None
    """Signed distance to the border on a lattice, negative inside; None for a ball."""
    origin: np.ndarray | None = None
    """The deepest point, in lattice indices (3,)."""
    step_mm: np.ndarray | None = None
    """Spacing of the lattice (3,)."""

    def distance(self, offset_mm: np.ndarray) -> np.ndarray:
        """Return the signed distance (mm, negative inside) of offsets ``(n, 3)``, mm."""
        if self.depth_mm is None or self.origin is None or self.step_mm is None:
            round_mm: np.ndarray = np.linalg.norm(offset_mm, axis=1) - self.radius_mm
            return round_mm
        at = (offset_mm / self.step_mm + self.origin).T
        outside: np.ndarray = map_coordinates(self.depth_mm, at, order=1, mode="nearest")
        outside += 1e-4 * np.linalg.norm(offset_mm, axis=1)  # no ties along flat sides
        return outside


def ball(volume_ml: float) -> Solid:
    """Return a ball of that volume."""
    radius_mm = float((volume_ml * 1000 * 3 / 4 / np.pi) ** (1 / 3))
    return Solid(radius_mm=radius_mm, reach_mm=radius_mm)


def masks_at(path: Path) -> list[Path]:
    """Return the NIfTI file ``path``, or those in the folder and its folders, in order.

    Raises:
        Refused: There is none.
    """
    found = [path] if path.is_file() else []
    if path.is_dir():
        found = sorted([*path.rglob("*.nii.gz"), *path.rglob("*.nii")])
    if not found:
        raise Refused(str(path), "no lesion mask is there", "name a NIfTI file or folder")
    return found


@lru_cache(maxsize=256)
def component(path: Path) -> tuple[Mask, np.ndarray]:
    """Return the largest component in the file, cut out, RAS+, and the voxel size (3,), mm."""
    image = nib.as_closest_canonical(nib.load(path))
    pieces, count = label(np.asarray(image.dataobj).squeeze() > 0, np.ones((3, 3, 3)))
    if count == 0:
        raise Refused(str(path), "the mask is empty", "take it out of the shapes")
    largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    piece = pieces == largest
    box = find_objects(pieces)[largest - 1]
    return piece[box], np.linalg.norm(image.affine[:3, :3], axis=0)


def solid(mask: Mask, step_mm: np.ndarray) -> Solid:
    """Return the shape of ``mask``, whose voxels are ``step_mm`` (3,) apart."""
    # Beyond the margin the distance counts as the margin's: more than edge and shift ever need.
    padded = np.pad(mask, [(n, n) for n in np.ceil(8 / step_mm).astype(int)])
    inner = distance_transform_edt(padded, sampling=step_mm)
    outer = distance_transform_edt(~padded, sampling=step_mm)
    half = step_mm.mean() / 2  # the border runs between two centres
    depth_mm = np.where(padded, half - inner, outer - half)
    origin = np.array(np.unravel_index(np.argmin(depth_mm), depth_mm.shape), float)
    reach = np.linalg.norm((np.argwhere(padded) - origin) * step_mm, axis=1).max()
    return Solid(float(-depth_mm.min()), float(reach), depth_mm, origin, step_mm)
