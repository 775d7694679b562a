"""Structural similarity in the windows, borders and weights that were published."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from hale.core.grid import Grid
from hale.post.settings import DataRange, Weights
from hale.post.ssim import SIGMAS, ensemble, range_of, shares, similarity, together, window

GRID = Grid(shape=(32, 32, 32), affine=np.diag([2.0, 2, 2, 1]))
RNG = np.random.default_rng(3)
X = RNG.random(GRID.shape, np.float32)
X_HAT = np.clip(X + 0.2 * RNG.standard_normal(GRID.shape), 0, 1).astype(np.float32)
MAPS = np.stack([similarity(X, X_HAT, GRID, sigma=sigma) for sigma in SIGMAS])


def test_windows_have_the_published_taps_and_sum_to_one():
    assert [len(window(sigma)) for sigma in SIGMAS] == [3, 5, 5, 7, 9, 11, 11, 13]
    assert len(window(1.0)) == 9
    for sigma in SIGMAS:
        assert window(sigma).sum() == pytest.approx(1)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_an_image_is_like_itself_everywhere(sigma):
    assert np.abs(similarity(X, X, GRID, sigma=sigma) - 1).max() < 1e-6


@pytest.mark.parametrize("other", [X_HAT, 1 - X, np.zeros_like(X)], ids=["near", "negative", "0"])
def test_it_is_symmetric_and_bounded(other):
    there, back = similarity(X, other, GRID), similarity(other, X, GRID)
    assert np.array_equal(there, back)
    assert there.min() >= -1
    assert there.max() <= 1
    assert similarity(X, 1 - X, GRID).min() < -0.5


@pytest.mark.parametrize("sigma", [0.9, 1.5])
def test_it_agrees_with_scikit_image(sigma):
    _, reference = structural_similarity(
        X,
        X_HAT,
        data_range=1.0,
        gaussian_weights=True,
        sigma=sigma,
        use_sample_covariance=False,
        full=True,
    )
    assert np.abs(similarity(X, X_HAT, GRID, sigma=sigma) - reference).max() < 1e-4


def test_a_flat_bright_image_loses_nothing_to_rounding():
    flat = np.full(GRID.shape, 0.9, np.float32)
    bent = flat.copy()
    bent[16, 16, 16] += 1e-3
    alike = similarity(flat, bent, GRID)
    assert np.allclose(alike[:5], 1, atol=1e-9)
    assert 0 < 1 - alike[16, 16, 16] < 1e-3


def test_widths_are_in_units_of_2_mm():
    fine = Grid(shape=GRID.shape, affine=np.diag([1.0, 1, 1, 1]))
    assert np.array_equal(
        similarity(X, X_HAT, fine, sigma=0.5), similarity(X, X_HAT, GRID, sigma=1.0)
    )


def test_one_slice_has_a_window_in_its_plane():
    slice_ = Grid(shape=(32, 32, 1), affine=GRID.affine)
    x, x_hat = X[:, :, :1], X_HAT[:, :, :1]
    _, reference = structural_similarity(
        x[..., 0],
        x_hat[..., 0],
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.1,
        use_sample_covariance=False,
        full=True,
    )
    assert np.abs(similarity(x, x_hat, slice_, sigma=1.1)[..., 0] - reference).max() < 1e-4


def test_weights_are_positive_sum_to_one_and_are_equal_for_equal_maps():
    weights = shares(MAPS)
    assert weights.min() > 0
    assert np.allclose(weights.sum(0), 1)
    assert np.allclose(shares(np.repeat(MAPS[:1], 8, axis=0)), 1 / 8)


def test_the_ensemble_never_exceeds_the_plain_mean():
    mixed, plain = together(MAPS, Weights.EXPONENTIAL), together(MAPS, Weights.UNIFORM)
    assert (mixed <= plain + 1e-12).all()
    assert mixed.mean() < plain.mean() - 1e-3
    assert np.allclose(plain, MAPS.mean(0))
    assert np.array_equal(ensemble(X, X_HAT, GRID, weights=Weights.EXPONENTIAL), mixed)


def test_the_range_is_one_or_the_wider_of_the_two():
    hot = X.copy()
    hot[3, 3, 3] = 5
    assert range_of(hot, X_HAT, DataRange.ONE) == 1
    assert range_of(X_HAT, hot, DataRange.VOLUME) == pytest.approx(5 - X.min())
    assert range_of(np.zeros_like(X), np.zeros_like(X), DataRange.VOLUME) == 1


def test_one_hot_voxel_changes_the_whole_map_only_with_a_range_per_volume():
    hot = X.copy()
    hot[3, 3, 3] = 5
    far = np.s_[16:, 16:, 16:]
    for choice, same in ((DataRange.ONE, True), (DataRange.VOLUME, False)):
        maps = [
            similarity(x, X_HAT, GRID, data_range=range_of(x, X_HAT, choice))[far] for x in (X, hot)
        ]
        assert np.allclose(*maps, atol=1e-9) == same
