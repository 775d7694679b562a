import numpy as np
import pytest

from hale.core.grid import Grid
from hale.core.scan import Contrast, Scan, Space
from hale.train.classes import PUBLISHED, Palette, centres_of, classes_of, k_means, mode, nearest

BOUNDARIES = [0.0847, 0.2088, 0.2944, 0.3671, 0.4379, 0.5167, 0.6105, 0.7272, 0.8790]
CENTRES = np.array(PUBLISHED, np.float32)


def block(size: int, low: int, high: int) -> np.ndarray:
    """Class 5 in a cube, 0 about it."""
    classes = np.zeros((size,) * 3, np.uint8)
    classes[low:high, low:high, low:high] = 5
    return classes


def half_space() -> np.ndarray:
    classes = np.zeros((8, 8, 8), np.uint8)
    classes[2:] = 5
    return classes


def scan(seed: int = 0) -> Scan:
    grid = Grid(shape=(12, 12, 12), affine=np.eye(4))
    brain = np.zeros(grid.shape, bool)
    brain[2:10, 2:10, 2:10] = True
    image = np.random.default_rng(seed).random((2, *grid.shape), np.float32) * brain
    space = Space(slots=((Contrast.T2W,), (Contrast.T1W,)), grid=grid)
    return Scan(id="x", space=space, image=image, brain=brain)


def test_boundaries_of_the_published_classes():
    either_side = np.array([[[b - 1e-4, b + 1e-4] for b in BOUNDARIES]], np.float32)
    expected = [[[n, n + 1] for n in range(9)]]
    np.testing.assert_array_equal(nearest(either_side, CENTRES), expected)
    np.testing.assert_array_equal(nearest(np.array([[[0, 1]]], np.float32), CENTRES), [[[0, 9]]])


def test_mode_of_two_voxels_removes_an_isolated_one():
    assert not mode(block(8, 4, 5), width=2).any()


def test_mode_of_two_voxels_leaves_the_high_corner_of_a_small_cube():
    found = mode(block(8, 3, 5), width=2)
    assert np.argwhere(found).tolist() == [[4, 4, 4]]
    assert found[4, 4, 4] == 5


def test_mode_of_two_voxels_takes_one_off_the_low_side_of_a_half_space():
    expected = half_space()
    expected[2] = 0
    found = mode(half_space(), width=2)
    np.testing.assert_array_equal(found[:, 1:, 1:], expected[:, 1:, 1:])


def test_mode_of_three_voxels_leaves_a_half_space_and_takes_a_small_cube():
    inner = np.s_[1:-1, 1:-1, 1:-1]
    found = mode(half_space(), width=3)
    np.testing.assert_array_equal(found[inner], half_space()[inner])
    assert not mode(block(8, 3, 5), width=3).any()


def test_mode_equals_counting_by_hand():
    classes = np.random.default_rng(0).integers(0, 10, (5, 6, 7), np.uint8)
    found = mode(classes, width=3)
    padded = np.pad(classes, 1)
    for i, j, k in np.ndindex(classes.shape):
        votes = np.bincount(padded[i : i + 3, j : j + 3, k : k + 3].ravel(), minlength=10)
        assert found[i, j, k] == votes.argmax()


def test_mode_of_a_slice_looks_within_it():
    classes = block(8, 2, 6)[:, :, 4:5]
    np.testing.assert_array_equal(mode(classes, width=3)[3:5, 3:5], 5)


def test_k_means_finds_clusters_that_are_apart():
    rng = np.random.default_rng(0)
    truth = np.array([0.1, 0.4, 0.9])
    values = (rng.choice(truth, 3000, p=[0.2, 0.5, 0.3]) + 0.01 * rng.standard_normal(3000)).astype(
        "f4"
    )
    np.testing.assert_allclose(k_means(values, 3), truth, atol=0.005)


def test_k_means_is_stable_where_lloyd_ends():
    values = np.random.default_rng(0).beta(2, 5, 20_000).astype(np.float32)
    centres = k_means(values, 9)
    owner = nearest(values.reshape(-1, 1, 1), centres).ravel()
    means = [values[owner == n].mean() for n in range(9)]
    np.testing.assert_allclose(centres, means, atol=1e-3)
    assert (np.diff(centres) > 0).all()


def test_k_means_of_one_value_has_its_centres_there():
    np.testing.assert_allclose(k_means(np.full(50, 0.5, np.float32), 9), 0.5)


def test_cohort_classes_are_1_to_9_in_the_brain_and_0_elsewhere():
    scans = [scan(seed) for seed in range(3)]
    centres = centres_of(scans, Palette.COHORT)
    assert centres.shape == (2, 10)
    assert not centres[:, 0].any()
    found = classes_of(scans[0], centres, Palette.COHORT, width=3)
    for classes in found:
        np.testing.assert_array_equal(classes > 0, scans[0].brain)
    assert found.max() == 9


def test_published_classes_know_no_brain():
    one = scan()
    centres = centres_of([one], Palette.PUBLISHED)
    assert centres == pytest.approx(np.tile(CENTRES, (2, 1)))
    found = classes_of(one, centres, Palette.PUBLISHED, width=1)
    dark = one.brain & (one.image[0] < 0.08)
    assert dark.any()
    assert not found[0][dark].any()
