"""Small components of a mask go, large ones stay as they are."""

import numpy as np
import pytest
import SimpleITK as sitk

from hale.core.grid import Grid
from hale.post.components import SMALLEST_IN_TEXT_MM3, without_small

SHAPE = (12, 12, 12)
GRID = Grid(shape=SHAPE, affine=np.diag([2.0, 2.0, 2.0, 1.0]))


def row(count: int) -> np.ndarray:
    """Return a diagonal of ``count`` voxels, which touch at corners alone."""
    found = np.zeros(SHAPE, bool)
    at = np.arange(count)
    found[at, at, at] = True
    return found


# Check 10 of the shared protocol
@pytest.mark.parametrize(("count", "stays"), [(1, False), (6, False), (7, False), (8, True)])
def test_up_to_seven_voxels_of_two_millimetres_are_dropped(count, stays):
    assert np.array_equal(without_small(row(count), GRID), row(count) & stays)


@pytest.mark.parametrize(("count", "stays"), [(6, False), (7, True)])
def test_the_text_drops_fewer_than_seven(count, stays):
    kept = without_small(row(count), GRID, smallest_mm3=SMALLEST_IN_TEXT_MM3)
    assert np.array_equal(kept, row(count) & stays)


@pytest.mark.parametrize(("edge", "fewest"), [(1.0, 64), (1.5, 19), (2.0, 8), (5.0, 1)])
def test_the_limit_is_a_volume(edge, fewest):
    grid = Grid(shape=(80, 3, 3), affine=np.diag([-edge, edge, edge, 1.0]))
    for count in (fewest - 1, fewest):
        found = np.zeros(grid.shape, bool)
        found[:count, 1, 1] = True
        assert without_small(found, grid).sum() == (count if count == fewest else 0)


def test_a_component_is_as_large_as_what_it_encloses_and_stays_hollow():
    shell = np.zeros(SHAPE, bool)
    shell[2:6, 2:6, 2:6] = True
    shell[3:5, 3:5, 3:5] = False  # 56 voxels around 8
    grid = Grid(shape=SHAPE, affine=np.eye(4))
    assert np.array_equal(without_small(shell, grid), shell)
    shell[2, 3:5, 3:5] = False  # open: 52
    assert not without_small(shell, grid).any()


@pytest.mark.parametrize("seed", range(3))
def test_the_rest_agrees_with_simpleitk(seed):
    found = np.random.default_rng(seed).random((20, 20, 20)) < 0.05
    image = sitk.GetImageFromArray(found.astype(np.uint8))
    connect = sitk.ConnectedComponentImageFilter()
    connect.FullyConnectedOn()
    large = sitk.RelabelComponent(connect.Execute(image), 8)
    grid = Grid(shape=found.shape, affine=GRID.affine)
    before = found.copy()
    kept = without_small(found, grid)
    assert np.array_equal(kept, sitk.GetArrayFromImage(large) > 0)
    assert 0 < kept.sum() < found.sum()
    assert np.array_equal(found, before)
