"""A head CT in Hounsfield units, made of shapes about the MNI152 brain, with its true masks."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter
from scipy.spatial.transform import Rotation

from hale.core.grid import Grid, resample
from hale.core.scan import Volume
from hale.io.template import mni152

FIELD_MM = (200.0, 240.0, 230.0)
AIR, FAT, FLUID, EYE, CORD, MUSCLE, BLOOD, DIPLOE, BONE = -1000, -90, 5, 15, 35, 40, 70, 600, 1000
STEM_MM = (0.0, -38.0)
"""x and y of the foramen magnum."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Head:
    """What was made."""

    volume: Volume
    brain: np.ndarray
    blood: np.ndarray
    canal: np.ndarray
    """The spinal canal and the neck around it, below the foramen magnum."""

    def save(self, path, *, plus: float = 0.0):
        """Write it, with ``plus`` added to each voxel."""
        values = (self.volume.values + plus).astype(np.int16)
        nib.save(nib.Nifti1Image(values, self.volume.grid.affine), path)
        return path


def head(
    spacing: tuple[float, float, float] = (2.0, 2.0, 2.0),
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
    noise: float = 4.0,
    foramen_mm: float = 16.0,
) -> Head:
    """Return brain, ventricles, a haemorrhage, skull with foramina, orbits, nose, scalp, neck.

    Args:
        spacing: mm.
        turn: Degrees about x, y, z.
        noise: Standard deviation, HU.
        foramen_mm: Half the width of the foramen magnum.
    """
    grid = _grid(spacing, turn)
    x, y, z = np.moveaxis(grid.positions(np.indices(grid.shape).reshape(3, -1).T), -1, 0).reshape(
        3, *grid.shape
    )
    template = mni152()
    full = binary_fill_holes(template.values > 0).astype(np.float32)
    brain = resample(full, template.grid, grid) > 0.5
    rim = distance_transform_edt(~brain, sampling=spacing)
    away = np.hypot(x - STEM_MM[0], y - STEM_MM[1])
    canal = (away < foramen_mm) & (z < -55) & ~brain
    neck = (z < -45) & (np.hypot(x / 62, (y + 35) / 70) < 1)
    face = np.sqrt((x / 60) ** 2 + ((y - 45) / 45) ** 2 + ((z + 60) / 50) ** 2) < 1
    hu = np.full(grid.shape, AIR, np.float32)
    hu[(rim < 15) | neck | face] = MUSCLE
    hu[(rim > 10) & (rim < 14)] = FAT
    hu[(rim > 2) & (rim <= 9)] = BONE
    hu[(rim > 4) & (rim <= 7)] = DIPLOE
    hu[canal] = FLUID
    hu[canal & (away < 6)] = CORD
    hu[(away < foramen_mm + 8) & ~canal & (z < -80) & ((z + 80) % 12 < 9) & (rim > 9)] = BONE
    for side in (-32, 32):
        _put_orbit(hu, (x - side, y, z, side), rim)
    hu[(np.abs(x) < 12) & (y > 45) & (z < -45) & (z > -90) & (rim > 4)] = AIR
    hu[(rim <= 2) & ~brain] = FLUID
    share = resample(template.values, template.grid, grid) / np.quantile(template.values, 0.95)
    hu[brain] = np.interp(share, (0.15, 0.5, 0.6, 0.9), (FLUID, 37, 37, 31))[brain]
    blood = np.sqrt((x - 28) ** 2 + (y + 10) ** 2 + (z - 20) ** 2) < 14
    hu[blood] = BLOOD
    rng = np.random.default_rng(0)
    hu = gaussian_filter(hu, 0.6 / np.array(spacing)) + rng.normal(0, noise, grid.shape)
    values = np.rint(hu).clip(-1024, 3071).astype(np.float32)
    below = (canal | neck) & (z < -75) & ~brain
    return Head(volume=Volume(values=values, grid=grid), brain=brain, blood=blood, canal=below)


def _grid(spacing: tuple[float, float, float], turn: tuple[float, float, float]) -> Grid:
    affine = np.eye(4)
    rotation = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    affine[:3, :3] = rotation @ np.diag(spacing)
    i, j, k = (round(field / mm) for field, mm in zip(FIELD_MM, spacing, strict=True))
    affine[:3, 3] = (0, -15, -10) - affine[:3, :3] @ ((np.array((i, j, k)) - 1) / 2)
    return Grid(shape=(i, j, k), affine=affine)


def _put_orbit(hu: np.ndarray, place: tuple, rim: np.ndarray) -> None:
    """Put fat, eye, and the optic nerve in its canal, 5 mm wide, up to the brain."""
    x, y, z, side = place
    hu[(np.sqrt(x**2 + (y - 55) ** 2 + (z + 32) ** 2) < 20) & (rim > 2)] = FAT
    back = np.array([-20.0 if side > 0 else 20.0, -40.0, 10.0])
    along = ((x * back[0] + (y - 55) * back[1] + (z + 32) * back[2]) / (back @ back)).clip(0, 1)
    off = np.sqrt(sum((a - along * b) ** 2 for a, b in zip((x, y - 55, z + 32), back, strict=True)))
    hu[(off < 2.5) & (rim > 0)] = CORD
    hu[(np.sqrt(x**2 + (y - 62) ** 2 + (z + 32) ** 2) < 12) & (rim > 2)] = EYE
