import numpy as np
import pytest

from hale.core.grid import Grid
from hale.post.pool import mean, mean_with_zeros, minimum, widths

EVERYWHERE = np.ones((20, 20, 20), bool)
SIZE = (15, 15, 15)


def grid(spacing: float, shape: tuple[int, int, int] = (20, 20, 20)) -> Grid:
    return Grid(shape=shape, affine=np.diag([spacing, spacing, spacing, 1.0]))


def test_a_constant_of_one_in_a_corner():
    one = EVERYWHERE.astype(np.float32)
    released = mean_with_zeros(one, SIZE)
    assert released.shape == one.shape
    assert (
        released[0, 0, 0]
        == pytest.approx((8 / 15) ** 3, abs=1e-4)
        == pytest.approx(0.1517, abs=1e-4)
    )
    assert released[10, 10, 10] == pytest.approx(1)
    brain = EVERYWHERE.copy()
    brain[5:] = False
    inside = mean(one, brain, SIZE)
    assert inside.shape == one.shape
    np.testing.assert_allclose(inside[brain], 1, rtol=1e-6)
    assert not inside[~brain].any()


def test_means_equal_those_by_hand():
    rng = np.random.default_rng(0)
    values, brain = rng.random((7, 8, 9), np.float32), rng.random((7, 8, 9)) > 0.4
    found, i, j, k = mean(values, brain, (3, 5, 1)), 3, 0, 8
    box = np.s_[i - 1 : i + 2, 0 : j + 3, k : k + 1]
    expected = values[box][brain[box]].mean() if brain[i, j, k] else 0
    assert found[i, j, k] == pytest.approx(expected, rel=1e-5)
    zeros = mean_with_zeros(values, (3, 5, 1))
    assert zeros[i, j, k] == pytest.approx(values[box].sum() / 15, rel=1e-5)


def test_an_isolated_hot_voxel_goes():
    values = np.zeros(EVERYWHERE.shape, np.float32)
    values[9, 9, 9] = 5
    assert not minimum(values, EVERYWHERE, (3, 3, 3)).any()


def test_what_lies_outside_the_brain_does_not_count():
    values, brain = np.full(EVERYWHERE.shape, 2, np.float32), EVERYWHERE.copy()
    brain[:, :, :4] = False
    values[~brain] = 0
    low = minimum(values, brain, (3, 3, 3))
    np.testing.assert_array_equal(low[brain], 2)
    assert not low[~brain].any()


def test_the_border_of_the_volume_does_not_count():
    assert (minimum(EVERYWHERE.astype("f4"), EVERYWHERE, (3, 3, 3)) == 1).all()


def test_a_hot_block_is_eroded_by_a_voxel():
    values = np.zeros(EVERYWHERE.shape, np.float32)
    values[8:11, 8:11, 8:11] = 5
    assert minimum(values, EVERYWHERE, (3, 3, 3)).sum() == 5


@pytest.mark.parametrize(
    ("spacing", "mm", "expected"),
    [(1.5, 4.5, 3), (1.5, 22.5, 15), (2.0, 22.5, 11), (2.0, 4.5, 3), (9.0, 4.0, 1)],
)
def test_sizes_in_mm(spacing, mm, expected):
    assert widths(grid(spacing), mm) == (expected,) * 3


def test_an_axis_of_one_voxel_is_not_filtered():
    assert widths(grid(1.5, (20, 20, 1)), 4.5) == (3, 3, 1)
