import numpy as np
import pytest

from hale.data.lesions.perlin import perlin, power_of_two, turned, turned_perlin


def one_by_one(shape, cells, rng):
    """Perlin's noise as its definition has it: four corners per voxel, one voxel at a time."""
    angle = rng.uniform(0, 2 * np.pi, (cells[0] + 1, cells[1] + 1))
    gradient = np.stack([np.cos(angle), np.sin(angle)], -1)
    noise = np.zeros(shape)
    for index in np.ndindex(shape):
        at = np.array(index) * cells / np.array([power_of_two(n) for n in shape])
        corner = np.floor(at).astype(int)
        u = at - corner
        fade = 6 * u**5 - 15 * u**4 + 10 * u**3
        for a, b in np.ndindex(2, 2):
            weight = (fade[0] if a else 1 - fade[0]) * (fade[1] if b else 1 - fade[1])
            noise[index] += weight * gradient[corner[0] + a, corner[1] + b] @ (u - [a, b])
    return np.sqrt(2) * noise


@pytest.mark.parametrize(("shape", "cells"), [((24, 20), (4, 8)), ((16, 9), (1, 2))])
def test_two_products_of_matrices_are_perlins_noise(shape, cells):
    fast = perlin(shape, cells, np.random.default_rng(3))
    np.testing.assert_allclose(fast, one_by_one(shape, cells, np.random.default_rng(3)), atol=1e-12)


@pytest.mark.parametrize("cells", [(1, 1), (2, 64), (16, 4), (64, 64)])
def test_the_field_is_within_one_and_exactly_zero_at_lattice_points(cells):  # SADM's check 9
    noise = perlin((128, 128), cells, np.random.default_rng(0))
    assert np.abs(noise).max() <= 1
    assert np.abs(noise).max() > 0.1
    assert (noise[:: 128 // cells[0], :: 128 // cells[1]] == 0).all()


@pytest.mark.slow
def test_masks_have_the_published_statistics():  # SADM's check 7
    rng = np.random.default_rng(0)
    areas = np.array([(turned_perlin((96, 96), rng) > 0.5).mean() for _ in range(5000)])
    assert areas.mean() == pytest.approx(0.041, abs=0.005)
    assert (areas == 0).mean() == pytest.approx(0.07, abs=0.02)
    assert np.median(areas) == pytest.approx(0.036, abs=0.005)
    assert np.percentile(areas, 90) == pytest.approx(0.069, abs=0.007)


def test_no_cell_of_a_small_plane_is_a_voxel():  # the noise would be 0 everywhere
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert np.ptp(turned_perlin((9, 12), rng)) > 0.05


def test_a_quarter_turn_moves_voxels_onto_voxels():
    values = np.random.default_rng(0).random((7, 7))
    np.testing.assert_allclose(turned(values, 90.0)[1:-1, 1:-1], np.rot90(values, -1)[1:-1, 1:-1])
    np.testing.assert_array_equal(turned(values, 0.0), values)


def test_corners_that_turn_in_are_zero():
    assert turned(np.ones((32, 32)), 45.0)[0, 0] == 0
    assert turned(np.ones((32, 32)), 45.0)[16, 16] == pytest.approx(1)
