"""A smooth, invertible displacement of space."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from scipy.ndimage import map_coordinates

from hale.core.grid import Grid

Displacement = Float32[np.ndarray, "3 i j k"]
"""mm along x, y, z (RAS+), per voxel."""
Positions = Float[np.ndarray, "n 3"]
"""mm, RAS+."""


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
