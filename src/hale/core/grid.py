"""Where voxels are. All geometry lives here: an affine per image, one function that resamples."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import affine_transform

from hale.core.types import Affine, Map, MapElsewhere, Mask, MaskElsewhere

BELOW_A_VOXEL = 6
"""Decimals of a voxel index that mean something."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """A block of voxels in scanner space."""

    shape: tuple[int, int, int]
    affine: Affine
    """Voxel index to position: mm, RAS+ (x to the right, y to the front, z up)."""

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Return mm per voxel along each axis."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def voxel_ml(self) -> float:
        """Return the volume of one voxel, ml."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000

    def is_the_same_as(self, other: "Grid") -> bool:
        """Compare shape, and positions to 1 µm per voxel index."""
        return self.shape == other.shape and bool(np.allclose(self.affine, other.affine, atol=1e-3))

    def coarser(self, factor: int) -> "Grid":
        """Return the grid of blocks of ``factor`` voxels along each axis that has several.

        The last block may be part of one.
        """
        steps = self._steps(factor)
        i, j, k = (-(-n // step) for n, step in zip(self.shape, steps, strict=True))
        affine = self.affine @ np.diag([*map(float, steps), 1.0])
        affine[:3, 3] = self.positions((np.array([steps]) - 1) / 2)[0]
        return Grid(shape=(i, j, k), affine=affine)

    def summed(self, values: Map, factor: int) -> MapElsewhere:
        """Return the sums over the blocks of `coarser`."""
        total = values
        for axis, step in enumerate(self._steps(factor)):
            starts = np.arange(0, self.shape[axis], step)
            total = np.add.reduceat(total, starts, axis=axis)
        return total

    def _steps(self, factor: int) -> tuple[int, ...]:
        return tuple(factor if n > 1 else 1 for n in self.shape)

    def positions(self, index: np.ndarray) -> np.ndarray:
        """Return the position (mm) of voxel indices, both ``(n, 3)``."""
        moved: np.ndarray = np.asarray(index, float) @ self.affine[:3, :3].T + self.affine[:3, 3]
        return moved


def resample(
    values: Map, source: Grid, target: Grid, *, transform: Affine | None = None, order: int = 1
) -> MapElsewhere:
    """Return ``values`` on ``target``; 0 where ``source`` does not reach.

    Args:
        values: Voxels on ``source``.
        source: Where they are.
        target: Where they are wanted.
        transform: Position in target space to position in source space, mm. Identity if None.
        order: 0 nearest neighbour (masks), 1 linear (maps), 3 cubic (images).

    Undoing a preparation is the same call with the grids exchanged and the transform inverted.
    """
    to_source = np.eye(4) if transform is None else transform
    matrix = np.linalg.inv(source.affine) @ to_source @ target.affine  # target ijk -> source ijk
    matrix = matrix.round(BELOW_A_VOXEL)  # or the last voxel lies a rounding error outside
    moved: MapElsewhere = affine_transform(
        values, matrix, output_shape=target.shape, order=order, output=np.float32
    )
    return moved


def resample_mask(
    mask: Mask, source: Grid, target: Grid, *, transform: Affine | None = None
) -> MaskElsewhere:
    """Return ``mask`` on ``target`` by nearest neighbour; outside ``source`` is False."""
    moved = resample(mask.astype(np.float32), source, target, transform=transform, order=0)
    return moved > 0.5
