"""The Mahalanobis distance of a slice from samples of it, against the dense formula."""

import numpy as np
import pytest

from hale.core.grid import Grid
from hale.post.mahalanobis import RIDGE, blurred, distance, rescaled, uncertainty, whitened
from hale.post.settings import Rescaling

RNG = np.random.default_rng(5)
N, P = 10, 200
CENTRED = RNG.standard_normal((N, P)) * 0.1
CENTRED -= CENTRED.mean(0)
D = RNG.standard_normal(P) * 0.2
SHAPE = (12, 14, 6)
GRID = Grid(shape=SHAPE, affine=np.diag([2.0, 2, 2, 1]))
BRAIN = np.zeros(SHAPE, bool)
BRAIN[2:10, 3:11, 1:5] = True
X = np.where(BRAIN, RNG.random(SHAPE), 0).astype(np.float32)[None]
SAMPLES = (X + 0.05 * RNG.standard_normal((N, *X.shape)) * BRAIN).astype(np.float32)


def dense(d, centred):
    sigma = centred.T @ centred / (len(centred) - 1) + RIDGE * np.eye(len(d))
    return np.linalg.solve(sigma, d)


def test_the_low_rank_form_is_the_dense_inverse():
    reference = dense(D, CENTRED)
    assert np.abs(whitened(D, CENTRED) - reference).max() < 1e-6 * np.abs(reference).max()


@pytest.mark.parametrize("contrasts", [1, 2])
def test_a_slice_has_the_dense_distance_as_its_sum(contrasts):
    x, samples = np.repeat(X, contrasts, axis=0), np.repeat(SAMPLES, contrasts, axis=1)
    samples = samples + 0.01 * RNG.standard_normal(samples.shape).astype(np.float32)
    inside = BRAIN[:, :, 2]
    mean = samples.mean(0, dtype=np.float64)[..., 2][:, inside]
    d = (x[..., 2][:, inside] - mean).ravel()
    centred = (samples[..., 2][..., inside] - mean).reshape(N, -1)
    q = d * whitened(d, centred)
    assert q.sum() == pytest.approx(d @ dense(d, centred))
    assert q.sum() >= 0
    parts = q.reshape(contrasts, -1).sum(0).clip(0)
    assert np.allclose(distance(x, samples, BRAIN)[inside, 2] ** 2, parts, rtol=1e-5, atol=1e-7)


def test_the_squared_distance_is_never_negative_though_parts_of_it_are():
    direction = CENTRED[0]
    q = direction * whitened(direction + 0.02, CENTRED)
    assert (q < 0).any()
    for _ in range(20):
        d = RNG.standard_normal(P)
        assert (d * whitened(d, CENTRED)).sum() >= 0


def test_samples_that_agree_give_ten_times_the_difference():
    samples = np.repeat(X[None] * 0.5, N, axis=0)
    expected = 10 * np.abs(X[0] * 0.5)
    assert np.allclose(distance(X, samples, BRAIN), expected, rtol=1e-5)


def test_what_the_samples_vary_in_is_nearer_than_what_they_do_not():
    along = CENTRED[3] / np.linalg.norm(CENTRED[3])
    across = D - CENTRED.T @ np.linalg.lstsq(CENTRED.T, D, rcond=None)[0]
    across /= np.linalg.norm(across)
    assert np.abs(CENTRED @ across).max() < 1e-9
    near, far = along @ whitened(along, CENTRED), across @ whitened(across, CENTRED)
    assert near < 0.7 * far
    assert far == pytest.approx(100)


def test_scaling_scan_and_samples_keeps_the_order():
    nothing = np.zeros((N, P))
    q, doubled = D * whitened(D, nothing), 2 * D * whitened(2 * D, nothing)
    assert np.allclose(doubled, 4 * q)
    assert np.array_equal(np.argsort(doubled), np.argsort(q))


def test_the_order_of_the_samples_is_nothing():
    one, other = distance(X, SAMPLES, BRAIN), distance(X, SAMPLES[::-1], BRAIN)
    assert np.allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_constant_is_rescaled_to_nothing():
    flat = np.full(SHAPE, 3, np.float32)
    assert not rescaled(flat, Rescaling.MINMAX).any()
    values = distance(X * 1.5, SAMPLES, BRAIN)
    assert np.array_equal(rescaled(values, Rescaling.NONE), values)
    scaled = rescaled(values, Rescaling.MINMAX)
    assert (scaled.min(), scaled.max()) == (0, 1)


def test_min_max_makes_a_mild_scan_as_bad_as_a_wild_one():
    mild = distance(X, np.repeat(X[None] * 0.9, N, axis=0), BRAIN)
    wild = distance(X, np.repeat(X[None] * 0.5, N, axis=0), BRAIN)
    assert wild.max() > 4 * mild.max()
    assert rescaled(wild, Rescaling.MINMAX).max() == rescaled(mild, Rescaling.MINMAX).max()


def test_nothing_lies_outside_the_brain():
    leaking = SAMPLES + 0.3
    values = distance(X, leaking, BRAIN)
    assert not values[~BRAIN].any()
    assert values[BRAIN].all()
    smooth = blurred(values, BRAIN, GRID)
    assert not smooth[~BRAIN].any()
    assert smooth[BRAIN].all()


def test_the_uncertainty_is_the_spread_of_the_samples():
    assert np.allclose(uncertainty(SAMPLES), np.std(SAMPLES, axis=0, ddof=1), atol=1e-6)
    assert not uncertainty(np.repeat(X[None], N, axis=0)).any()
