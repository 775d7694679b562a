"""A displacement is read in mm, whatever the grid's axes are."""

import numpy as np
import pytest

from hale.core.grid import Grid
from hale.core.warp import Warp

AFFINE = np.array([[0.0, -2, 0, 20], [2, 0, 0, -30], [0, 0, 3, 5], [0, 0, 0, 1]])
GRID = Grid(shape=(10, 12, 8), affine=AFFINE)


def stretched(share: float) -> np.ndarray:
    """The displacement that stretches x by ``share``."""
    at = GRID.positions(np.indices(GRID.shape).reshape(3, -1).T)
    field = np.zeros((3, *GRID.shape), np.float32)
    field[0] = share * at[:, 0].reshape(GRID.shape)
    return field


def test_points_move_by_mm_and_the_volume_changes_by_the_slope():
    warp = Warp(grid=GRID, forward=stretched(0.25), inverse=stretched(-0.2))
    at = GRID.positions(np.array([[2.5, 3, 4], [7, 6.25, 1]]))
    there = warp.points(at)
    assert np.allclose(there, at * (1.25, 1, 1), atol=1e-4)
    assert np.allclose(warp.points(there, inverse=True), at, atol=1e-3)
    assert np.allclose(warp.jacobian(), 1.25, atol=1e-5)


def test_a_fold_has_a_negative_volume():
    folded = Warp(grid=GRID, forward=stretched(-1.5), inverse=stretched(0))
    assert folded.jacobian().max() < 0


def test_beyond_the_grid_points_move_as_its_border_does():
    field = np.full((3, *GRID.shape), 2, np.float32)
    warp = Warp(grid=GRID, forward=field, inverse=-field)
    assert np.allclose(warp.points(np.array([[900.0, 0, 0]])), [[902, 2, 2]])


def test_fields_that_do_not_fill_the_grid_are_refused():
    field = np.zeros((3, 2, 2, 2), np.float32)
    with pytest.raises(ValueError, match="the grid says"):
        Warp(grid=GRID, forward=field, inverse=field)
