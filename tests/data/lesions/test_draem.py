import numpy as np
import pytest

from hale.data.lesions import Kind, corrupted, draem
from hale.data.lesions.draem import LEAST, brain_anomaly, overlaid, slice_anomaly

DISC = ((np.indices((96, 96)) - 47.5) ** 2).sum(0) < 38**2


@pytest.fixture
def x():
    return np.random.default_rng(0).random((2, 96, 96)).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_only_the_mask_changes_and_opaque_texture_replaces_it(x, seed):  # SADM's check 8
    mask, texture = brain_anomaly(DISC, 2, np.random.default_rng(seed))
    opaque = overlaid(x, mask, texture, 1.0)
    np.testing.assert_array_equal(opaque[:, ~mask], x[:, ~mask])
    np.testing.assert_array_equal(opaque[:, mask], texture[:, mask])
    half = overlaid(x, mask, texture, 0.5)
    np.testing.assert_allclose(half[:, mask], (x + texture)[:, mask] / 2, rtol=1e-6)


def test_the_default_has_eight_pixels_or_more_and_all_in_the_brain():  # SADM's check 8
    rng = np.random.default_rng(0)
    for _ in range(200):
        mask, texture = brain_anomaly(DISC, 1, rng)
        assert mask.sum() >= LEAST == 8
        assert not (mask & ~DISC).any()
        assert texture.min() >= 0
        assert texture.max() <= 1


def test_published_masks_lie_anywhere_and_may_be_empty():
    rng = np.random.default_rng(0)
    masks = np.array([slice_anomaly((96, 96), 1, rng)[0] for _ in range(300)])
    empty = ~masks.any((1, 2))
    assert 0.02 < empty.mean() < 0.12
    assert masks[:, ~DISC].any(axis=1).mean() > 0.3
    assert masks.mean(0)[10:-10, 10:-10].min() > 0  # everywhere but in the corners


def test_the_published_texture_is_the_noise_of_its_mask(monkeypatch):
    given = []
    monkeypatch.setattr(
        draem, "textured", lambda grey, rng: given.append(grey) or grey.astype(np.float32) / 255
    )
    for seed in range(20):
        mask, texture = slice_anomaly((96, 96), 2, np.random.default_rng(seed))
        noise = draem.turned_perlin((96, 96), np.random.default_rng(seed))
        np.testing.assert_array_equal(mask, noise > 0.5)
        assert (given[-1] == given[-2]).all()  # both contrasts
        assert (given[-1][mask] >= 127).all()
        positive = noise >= 0
        np.testing.assert_allclose(texture[0][positive], noise[positive], atol=1 / 255)
        dark = noise < -1 / 255  # -0.1 is -25 of 255, which wraps to 231
        np.testing.assert_allclose(texture[0][dark], 256 / 255 + noise[dark], atol=1.01 / 255)


def test_the_default_texture_is_another_noise_that_fills_zero_to_one(monkeypatch):
    monkeypatch.setattr(draem, "textured", lambda grey, rng: grey.astype(np.float32) / 255)
    for seed in range(20):
        mask, (texture,) = brain_anomaly(DISC, 1, np.random.default_rng(seed))
        assert texture.min() == 0
        assert texture.max() == pytest.approx(1, abs=1 / 255)
        assert texture[mask].min() < 0.9  # of the mask's own noise it would be the brightest part


def test_opacity_is_drawn_once_a_slice(monkeypatch):
    monkeypatch.setattr(draem, "textured", lambda grey, rng: np.ones(grey.shape, np.float32))
    image, brain = np.zeros((2, 96, 96, 1), np.float32), DISC[..., None]
    seen = []
    for seed in range(60):
        changed, mask = corrupted(image, brain, Kind.DRAEM, rng=np.random.default_rng(seed))
        values = np.unique(changed[:, mask])
        assert len(values) == 1
        seen.append(values[0])
    assert min(seen) == pytest.approx(0.2, abs=0.06)
    assert max(seen) == pytest.approx(1.0, abs=0.06)


def test_a_slice_with_little_brain_is_left_as_it_is(x):
    few = np.zeros((96, 96, 1), bool)
    few[40:47, 40] = True
    changed, mask = corrupted(x[..., None], few, Kind.DRAEM, rng=np.random.default_rng(0))
    assert not mask.any()
    np.testing.assert_array_equal(changed, x[..., None])


def test_eight_pixels_of_brain_are_all_hit_or_none():
    few = np.zeros((96, 96), bool)
    few[40:42, 40:44] = True
    hits = {int(brain_anomaly(few, 1, np.random.default_rng(seed))[0].sum()) for seed in range(10)}
    assert hits <= {0, 8}
    assert 8 in hits


def test_each_slice_of_a_volume_has_an_anomaly_of_its_own():
    brain = np.stack([DISC] * 4, -1)
    image = np.zeros((1, *brain.shape), np.float32)
    _, mask = corrupted(image, brain, Kind.DRAEM, rng=np.random.default_rng(0))
    assert (mask.sum((0, 1)) >= 8).all()
    assert (mask[..., 0] != mask[..., 1]).any()
