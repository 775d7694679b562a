import numpy as np
import pytest

from hale.train.score import Distance, compared, scaled, smoothed_in_plane

BRAIN = np.zeros((12, 12, 3), bool)
BRAIN[2:10, 2:10] = True


def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((2, 12, 12, 3), np.float32), rng.random((2, 12, 12, 3), np.float32)


def test_l1_and_l2_are_means_over_contrasts_inside_the_brain():
    x, x_hat = pair()
    l1 = compared(x, x_hat, BRAIN, Distance.L1)
    np.testing.assert_allclose(l1[5, 5, 1], np.abs(x - x_hat)[:, 5, 5, 1].mean(), rtol=1e-6)
    l2 = compared(x, x_hat, BRAIN, Distance.L2)
    np.testing.assert_allclose(l2[5, 5, 1], ((x - x_hat)[:, 5, 5, 1] ** 2).mean(), rtol=1e-6)
    assert not l1[~BRAIN].any()
    assert not l2[~BRAIN].any()


def test_released_dae_score_drops_the_rim_and_single_pixels():
    x, x_hat = np.zeros((1, 12, 12, 3), "f4"), np.zeros((1, 12, 12, 3), "f4")
    x[0, 5, 5, 0] = 1  # a single pixel
    x[0, 2:10, 2:4, 1] = 1  # the rim, two pixels deep
    x[0, 4:8, 4:8, 2] = 1  # a lesion in the middle
    values = compared(x, x_hat, BRAIN, Distance.KASCENAS)
    assert not values[..., 0].any()
    assert not values[..., 1].any()
    assert values[5:7, 5:7, 2].min() == 1


def test_released_dae_score_keeps_a_pixel_that_lacks_one_of_25_neighbours():
    brain = np.ones((5, 5, 1), bool)
    brain[0, 0] = False
    inside = compared(np.ones((1, 5, 5, 1), "f4"), np.zeros((1, 5, 5, 1), "f4"), brain, Distance.L1)
    assert inside.sum() == 24
    # 24 / 25 = 0.96 > 0.95 in the middle, 20 / 25 or less beside it; the median of one is 0
    lone = compared(
        np.ones((1, 5, 5, 1), "f4"), np.zeros((1, 5, 5, 1), "f4"), brain, Distance("kascenas")
    )
    assert not lone.any()


def test_smoothing_has_seven_taps_of_sigma_three_and_stays_in_its_slice():
    values = np.zeros((15, 15, 3), np.float32)
    values[7, 7, 1] = 1
    blurred = smoothed_in_plane(values)
    taps = np.exp(-0.5 * (np.arange(-3, 4) / 3) ** 2)
    taps /= taps.sum()
    np.testing.assert_allclose(blurred[4:11, 4:11, 1], np.outer(taps, taps), rtol=1e-5)
    assert np.count_nonzero(blurred) == 49


def test_scaled_reaches_from_0_to_1_in_the_brain():
    values = np.random.default_rng(0).normal(size=BRAIN.shape).astype("f4")
    result = scaled(values, BRAIN)
    assert (result[BRAIN].min(), result[BRAIN].max()) == (0, 1)
    assert not result[~BRAIN].any()


@pytest.mark.parametrize("value", [0.0, 0.7])
def test_a_constant_scales_to_0(value):
    assert not scaled(np.full(BRAIN.shape, value, np.float32), BRAIN).any()
