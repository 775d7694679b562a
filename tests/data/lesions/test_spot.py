import numpy as np
import pytest

from hale.core.grid import Grid
from hale.data.lesions import EDGE_MM, Kind, corrupted, spot
from hale.data.lesions.spot import signs

FINE = Grid(shape=(80, 80, 1), affine=np.diag([0.5, 0.5, 1.0, 1.0]))  # 0.5 mm in the plane


def turned(spacing, shape):
    """A grid of thick slices, oblique to the scanner's axes."""
    c, s = np.cos(0.4), np.sin(0.4)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag(spacing)
    return Grid(shape=shape, affine=affine)


def fixed(monkeypatch, *, radius_mm, at):
    """Leave nothing but the signs and the changes to chance."""
    monkeypatch.setattr(spot, "SPOT_MM", (radius_mm, radius_mm))
    monkeypatch.setattr(spot, "BIAS_MM", (radius_mm, radius_mm))
    monkeypatch.setattr(spot.Host, "centre", lambda host, rng: np.array(at))


@pytest.mark.parametrize("grid", [FINE, turned((1.0, 2.0, 4.0), (60, 40, 20))], ids=["2d", "3d"])
def test_a_spot_is_round_in_mm_with_an_edge_of_its_width(monkeypatch, grid):
    at = np.array(grid.shape) // 2
    fixed(monkeypatch, radius_mm=8.0, at=at)
    image, brain = np.full((1, *grid.shape), 0.5, np.float32), np.ones(grid.shape, bool)
    changed, mask = corrupted(image, brain, Kind.SPOT, rng=np.random.default_rng(0), grid=grid)
    index = np.indices(grid.shape).reshape(3, -1).T
    r = np.linalg.norm(grid.positions(index) - grid.positions(at[None]), axis=1)
    r = r.reshape(grid.shape)
    change = (changed - image)[0]
    full = np.abs(change).max()
    share = np.abs(change) / full
    assert (share[r < 8 - EDGE_MM / 2] > 1 - 1e-5).all()
    assert (share[r > 8 + EDGE_MM / 2] == 0).all()
    np.testing.assert_allclose(share, np.clip(0.5 - (r - 8) / EDGE_MM, 0, 1), atol=1e-5)
    clear = np.abs(r - 8 - EDGE_MM / 2) > 1e-9
    np.testing.assert_array_equal(mask[clear], r[clear] < 8 + EDGE_MM / 2)
    assert 0.1 <= full <= 0.5


@pytest.mark.parametrize("grid", [FINE, turned((1.0, 2.0, 4.0), (60, 40, 20))], ids=["2d", "3d"])
def test_a_bias_is_the_formula_in_mm(monkeypatch, grid):
    at = np.array(grid.shape) // 2
    fixed(monkeypatch, radius_mm=15.0, at=at)
    image = np.random.default_rng(1).uniform(0.3, 0.5, (1, *grid.shape)).astype(np.float32)
    brain = np.ones(grid.shape, bool)
    changed, mask = corrupted(image, brain, Kind.BIAS, rng=np.random.default_rng(0), grid=grid)
    index = np.indices(grid.shape).reshape(3, -1).T
    r = np.linalg.norm(grid.positions(index) - grid.positions(at[None]), axis=1)
    t = r.reshape(grid.shape) / 15
    gain = changed[0] / image[0] - 1
    peak = gain[*at]
    assert 0.2 <= abs(peak) <= 0.6
    np.testing.assert_allclose(gain, np.where(t < 1, peak * (1 - t**2) ** 2, 0), atol=1e-5)
    clear = np.abs(t - 1) > 1e-6
    np.testing.assert_array_equal(mask[clear], t[clear] < 1)


@pytest.mark.parametrize("kind", [Kind.SPOT, Kind.BIAS])
def test_spots_of_either_sign_come_as_often_each_contrast_by_itself(kind):
    image = np.full((2, 24, 24, 1), 0.5, np.float32)
    brain = np.ones((24, 24, 1), bool)
    brighter = []
    for seed in range(200):
        changed, mask = corrupted(image, brain, kind, rng=np.random.default_rng(seed))
        brighter.append((changed - image)[:, mask].mean(axis=1) > 0)
    assert np.mean(brighter, axis=0) == pytest.approx([0.5, 0.5], abs=0.12)
    assert np.corrcoef(np.transpose(brighter))[0, 1] == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_at_the_limits_a_spot_has_its_full_change(level):
    image = np.full((1, 32, 32, 1), level, np.float32)
    brain = np.ones((32, 32, 1), bool)
    for seed in range(20):
        changed, _ = corrupted(image, brain, Kind.SPOT, rng=np.random.default_rng(seed))
        assert np.abs(changed - image).max() >= 0.1
        assert changed.min() >= 0
        assert changed.max() <= 1


def test_a_bias_leaves_zero_at_zero():
    image, brain = np.zeros((1, 32, 32, 1), np.float32), np.ones((32, 32, 1), bool)
    changed, mask = corrupted(image, brain, Kind.BIAS, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(changed, image)
    assert mask.any()


def test_there_is_room_for_the_sign():
    rng = np.random.default_rng(0)
    change, mean = np.array([0.3, 0.3, 0.3]), np.array([0.9, 0.1, 0.5])
    drawn = np.array([signs(change, mean, (0.0, 1.0), rng) for _ in range(40)])
    assert set(drawn[:, 0]) == {-1}
    assert set(drawn[:, 1]) == {1}
    assert set(drawn[:, 2]) == {-1, 1}
