import numpy as np
import pytest

from hale.core.grid import Grid
from hale.data.lesions import Kind, corrupted, mass
from hale.data.lesions.mass import MOVED_MM, RADIUS_MM, STRENGTH, shrink

SHAPES = {"slice": (60, 40, 1), "volume": (40, 30, 16)}


def placed(monkeypatch, shape, *, radius_mm=15.0, strength=0.8):
    """A grid of 1 x 1.5 x 2 mm, and a push from its middle that is known."""
    grid = Grid(shape=shape, affine=np.diag([1.0, 1.5, 2.0, 1.0]))
    at = np.array(shape) // 2
    monkeypatch.setattr(mass, "RADIUS_MM", (radius_mm, radius_mm))
    monkeypatch.setattr(mass, "STRENGTH", (strength, strength))
    monkeypatch.setattr(mass.Host, "centre", lambda host, rng: at)
    offset = np.moveaxis(np.indices(shape), 0, -1) - at
    return grid, offset * grid.spacing, np.linalg.norm(offset * grid.spacing, axis=-1)


@pytest.mark.parametrize("strength", STRENGTH)
def test_the_map_of_distances_never_turns_back(strength):
    t = np.linspace(0, 1, 10_001)
    source = t * (1 - shrink(t, strength))
    assert (np.diff(source) > 0).all()
    slope = np.gradient(source, t)
    formula = 1 - strength * (1 - t**2) * (1 - 5 * t**2)
    np.testing.assert_allclose(slope[1:-1], formula[1:-1], atol=1e-5)
    assert formula.min() == pytest.approx(1 - strength)
    assert (t * shrink(t, strength)).max() == pytest.approx(16 / 25 / 5**0.5 * strength)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("strength", STRENGTH)
def test_the_jacobian_of_the_displacement_is_above_zero(shape, strength):
    """By differences of the field itself, on a lattice ten times finer than the radius."""
    count = sum(n > 1 for n in shape)
    line = np.linspace(-1.1 * RADIUS_MM[0], 1.1 * RADIUS_MM[0], 45)
    lines = [line] * count
    where = np.stack(np.meshgrid(*lines, indexing="ij"), -1)
    share = shrink(np.linalg.norm(where, axis=-1) / RADIUS_MM[0], strength)
    source = where * (1 - share)[..., None]
    rows = [np.stack(np.gradient(source[..., axis], *lines), -1) for axis in range(count)]
    jacobian = np.stack(rows, -2)
    assert np.linalg.det(jacobian).min() > 0


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_linear_picture_shows_how_far_each_voxel_moved(monkeypatch, shape):
    """Intensity = position along an axis, so that the change is the displacement, in mm."""
    grid, offset, r = placed(monkeypatch, shape)
    brain = np.ones(shape, bool)
    image = np.moveaxis(offset, -1, 0).astype(np.float32)
    changed, mask = corrupted(image, brain, Kind.MASS, rng=np.random.default_rng(0), grid=grid)
    moved = np.moveaxis(image - changed, 0, -1)
    t = (r / 15).clip(max=1)
    expected = offset * (0.8 * (1 - t**2) ** 2)[..., None]
    np.testing.assert_allclose(moved, expected, atol=1e-4)
    length = np.linalg.norm(moved, axis=-1)
    np.testing.assert_array_equal(mask, length > MOVED_MM)
    assert length.max() == pytest.approx(0.286 * 0.8 * 15, abs=0.1)
    assert (length[r >= 15] == 0).all()


def test_a_slice_moves_in_its_plane(monkeypatch):
    grid, offset, _ = placed(monkeypatch, SHAPES["slice"])
    image = offset[None, ..., 0].astype(np.float32)
    brain = np.ones(grid.shape, bool)
    one, mask = corrupted(image, brain, Kind.MASS, rng=np.random.default_rng(0), grid=grid)
    deep = Grid(shape=(60, 40, 9), affine=grid.affine)
    monkeypatch.setattr(mass.Host, "centre", lambda host, rng: np.array([30, 20, 4]))
    thick, masks = corrupted(
        np.repeat(image, 9, axis=3), np.repeat(brain, 9, axis=2), Kind.MASS,
        rng=np.random.default_rng(0), grid=deep,
    )  # fmt: skip
    np.testing.assert_allclose(one[..., 0], thick[..., 4], atol=1e-5)
    np.testing.assert_array_equal(mask[..., 0], masks[..., 4])


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_nothing_changes_outside_the_radius_or_the_brain(monkeypatch, shape):
    grid, _, r = placed(monkeypatch, shape)
    rng = np.random.default_rng(0)
    image, brain = rng.random((2, *shape), np.float32), rng.random(shape) < 0.7
    brain[tuple(n // 2 for n in shape)] = True
    changed, mask = corrupted(image, brain, Kind.MASS, rng=rng, grid=grid)
    still = (r >= 15) | ~brain
    np.testing.assert_array_equal(changed[:, still], image[:, still])
    assert not (mask & still).any()
    assert mask.any()


def test_tissue_moves_outward(monkeypatch):
    grid, _, r = placed(monkeypatch, SHAPES["slice"])
    image = ((r > 4) & (r < 6)).astype(np.float32)[None]  # a ring
    brain = np.ones(grid.shape, bool)
    changed, _ = corrupted(image, brain, Kind.MASS, rng=np.random.default_rng(0), grid=grid)
    before, after = ((x[0] * r).sum() / x[0].sum() for x in (image, changed))
    assert after > before + 2


def test_the_mask_is_never_empty_in_a_whole_brain():
    image, brain = np.zeros((1, 64, 64, 1), np.float32), np.ones((64, 64, 1), bool)
    for seed in range(50):
        _, mask = corrupted(image, brain, Kind.MASS, rng=np.random.default_rng(seed))
        assert mask.any()
