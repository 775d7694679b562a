"""Ways from one space to another: an affine, and where wanted a smooth displacement before it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from scipy.ndimage import map_coordinates, spline_filter

from hale.core.grid import Grid, resample
from hale.core.types import Affine, Map, MapElsewhere, Mask, MaskElsewhere

Displacement = Float32[np.ndarray, "3 i j k"]
"""mm along x, y, z (RAS+), per voxel."""
Positions = Float[np.ndarray, "n 3"]
"""mm, RAS+."""


SLAB = 2_000_000
"""Voxels whose positions are held at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Warp:
    """Where positions of a template lie in a brain that an affine has laid on it, and back."""

    grid: Grid
    """Of both fields."""
    forward: Displacement
    """Added to a position of the template."""
    inverse: Displacement
    """Added to a position of the brain."""

    def __post_init__(self) -> None:
        """Refuse fields that do not fill their grid."""
        for field in (self.forward, self.inverse):
            if field.shape != (3, *self.grid.shape):
                msg = f"displacements are {field.shape}, the grid says {self.grid.shape}"
                raise ValueError(msg)

    def points(self, positions: Positions, *, inverse: bool = False) -> Positions:
        """Return where positions go; beyond the grid they move as its border does.

        Args:
            positions: mm, in the template; with ``inverse`` in the brain.
            inverse: Go back.
        """
        back = np.linalg.inv(self.grid.affine)
        index = back[:3, :3] @ positions.T + back[:3, 3:]
        field = self.inverse if inverse else self.forward
        moved = [map_coordinates(axis, index, order=1, mode="nearest") for axis in field]
        found: np.ndarray = positions + np.stack(moved, axis=1)
        return found

    def jacobian(self) -> np.ndarray:
        """Return the local change of volume of the forward direction, ``(i, j, k)``.

        1 leaves a volume as it is, 2 doubles it; 0 or less is a fold.
        """
        to_index = np.linalg.inv(self.grid.affine)[:3, :3]
        slopes = np.stack(
            np.gradient(self.forward, axis=(1, 2, 3)), axis=1
        )  # x ijk -> d mm / d ijk
        gradient = np.einsum("xi...,iy->...xy", slopes, to_index)
        determinant: np.ndarray = np.linalg.det(gradient + np.eye(3))
        return determinant


@dataclass(frozen=True, kw_only=True, eq=False)
class Way:
    """From positions in the template to positions in a scan: ``affine @ warp.points(p)``, mm."""

    affine: Affine
    warp: Warp | None = None
    """None: the affine is all."""

    def there(self, positions: Positions) -> Positions:
        """Return where positions of the template lie in the scan."""
        moved = positions if self.warp is None else self.warp.points(positions)
        found: np.ndarray = moved @ self.affine[:3, :3].T + self.affine[:3, 3]
        return found

    def back(self, positions: Positions) -> Positions:
        """Return where positions of the scan lie in the template."""
        inverse = np.linalg.inv(self.affine)
        moved: np.ndarray = positions @ inverse[:3, :3].T + inverse[:3, 3]
        return moved if self.warp is None else self.warp.points(moved, inverse=True)

    def then(self, affine: Affine) -> "Way":
        """Return the way on to another scan, by an affine of positions."""
        return Way(affine=affine @ self.affine, warp=self.warp)

    def bring(self, values: Map, scan: Grid, template: Grid, *, order: int = 1) -> MapElsewhere:
        """Return values of the scan on a grid in the template, 0 where the scan does not reach."""
        if self.warp is None:
            return resample(values, scan, template, transform=self.affine, order=order)
        return _sampled(values, scan, template, self.there, order)

    def bring_mask(self, mask: Mask, scan: Grid, template: Grid) -> MaskElsewhere:
        """Return a mask of the scan on a grid in the template, by nearest neighbour."""
        return self.bring(mask.astype(np.float32), scan, template, order=0) > 0.5

    def take_back(self, values: Map, template: Grid, scan: Grid, *, order: int = 1) -> MapElsewhere:
        """Return values of a grid in the template on a grid of the scan, 0 beyond it."""
        if self.warp is None:
            inverse = np.linalg.inv(self.affine)
            return resample(values, template, scan, transform=inverse, order=order)
        return _sampled(values, template, scan, self.back, order)


def _sampled(
    values: Map, source: Grid, target: Grid, move: Callable[[Positions], Positions], order: int
) -> MapElsewhere:
    """Return for each voxel of ``target`` the value at where ``move`` takes it."""
    known = spline_filter(values, order) if order > 1 else values
    to_index = np.linalg.inv(source.affine)
    rows = max(1, SLAB // (target.shape[1] * target.shape[2]))
    moved = np.empty(target.shape, np.float32)
    for first in range(0, target.shape[0], rows):
        part = moved[first : first + rows]
        index = np.indices(part.shape).reshape(3, -1).T + np.array([first, 0, 0])
        at = move(target.positions(index)) @ to_index[:3, :3].T + to_index[:3, 3]
        part[...] = map_coordinates(known, at.T, order=order, prefilter=False).reshape(part.shape)
    return moved
