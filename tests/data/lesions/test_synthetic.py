"""What holds for every kind of anomaly."""

import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from hale.core.grid import Grid
from hale.data.lesions import Kind, Material, corrupted
from hale.data.lesions.mass import RADIUS_MM
from hale.data.lesions.synthetic import MAKERS

SHAPES = {
    "slice": ((48, 40, 1), (2.0, 2.0, 2.0)),
    "volume": ((30, 32, 16), (2.0, 1.5, 4.0)),
    "sagittal slice": ((1, 40, 36), (2.0, 2.0, 2.0)),
}
INSIDE = [kind for kind in Kind if kind is not Kind.DRAEM_RELEASED]


def disc(shape):
    """An ellipsoid that touches no border of the image."""
    sides = np.array(shape)[:, None, None, None]
    offset = (np.indices(shape) - (sides - 1) / 2) / (sides * 0.4)
    return (offset**2 * (sides > 1)).sum(0) < 1


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    mask = ((np.indices((20, 20, 20)) - 9.5) ** 2 / [[[[30]]], [[[60]]], [[[15]]]]).sum(0) < 1
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), np.eye(4)), folder / "egg.nii.gz")
    return folder


@pytest.fixture(params=SHAPES)
def scan(request, material):
    """Image, brain, grid and material: two contrasts of noise."""
    shape, spacing = SHAPES[request.param]
    brain = disc(shape)
    x, y = np.random.default_rng(0).uniform(0.2, 0.8, (2, 2, *shape)).astype(np.float32) * brain
    grid = Grid(shape=shape, affine=np.diag([*spacing, 1.0]))
    return x, brain, grid, Material(donor=y, shapes=material)


def made(scan, kind, seed):
    x, brain, grid, material = scan
    rng = np.random.default_rng(seed)
    return corrupted(x, brain, kind, rng=rng, grid=grid, material=material)


def test_every_kind_has_its_maker():
    assert set(MAKERS) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_the_seed_is_the_anomaly(scan, kind):
    first, mask = made(scan, kind, 5)
    again, same = made(scan, kind, 5)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(mask, same)
    others = [made(scan, kind, seed) for seed in range(6, 10)]
    assert all((first != other).any() for other, _ in others)
    assert any((mask != other).any() for _, other in others)


@pytest.mark.parametrize("kind", Kind)
def test_nothing_changes_outside_the_mask_which_is_brain(scan, kind):
    x, brain, grid, _ = scan
    for seed in range(4):
        changed, mask = made(scan, kind, seed)
        assert changed.dtype == np.float32
        assert changed.shape == x.shape
        assert mask.dtype == bool
        moved = (changed != x).any(axis=0)
        if kind is not Kind.DRAEM_RELEASED:
            assert not (mask & ~brain).any()
            assert not (moved & ~brain).any()
        if kind is not Kind.MASS:
            assert not (moved & ~mask).any()
            continue
        at = np.argwhere(moved) * grid.spacing  # all of it within a ball
        assert (np.ptp(at, axis=0) <= 2 * RADIUS_MM[1]).all()


@pytest.mark.parametrize("kind", Kind)
def test_what_is_marked_is_changed_in_every_contrast(scan, kind):
    x, brain, _, _ = scan
    for seed in range(4):
        changed, mask = made(scan, kind, seed)
        if kind is not Kind.DRAEM_RELEASED:
            assert mask.any()
        if mask.any():
            assert (changed != x)[:, mask].any(axis=1).all()
            inside = (changed != x)[:, mask & brain]
            assert inside.size == 0 or inside.mean() > 0.75


@pytest.mark.parametrize("kind", Kind)
def test_what_was_given_is_left_alone(scan, kind):
    x, brain, _, material = scan
    assert material.donor is not None
    before = x.copy(), brain.copy(), material.donor.copy()
    changed, mask = made(scan, kind, 0)
    changed += 1  # nor is it a view
    mask ^= True
    for given, copy in zip((x, brain, material.donor), before, strict=True):
        np.testing.assert_array_equal(given, copy)


@pytest.mark.parametrize("kind", Kind)
def test_intensities_stay_between_zero_and_one(scan, kind):
    for seed in range(4):
        changed, _ = made(scan, kind, seed)
        assert changed.min() >= 0
        assert changed.max() <= 1


@pytest.mark.parametrize("kind", Kind)
def test_or_between_the_extremes_that_were_there(scan, kind):
    x, brain, grid, material = scan
    assert material.donor is not None
    wide, donor = (x * 6 - 2 * brain).astype(np.float32), material.donor * 4
    low, high = wide.min(), max(wide.max(), donor.max())
    assert low < -0.5
    other = wide, brain, grid, Material(donor=donor, shapes=material.shapes)
    for seed in range(4):
        changed, _ = made(other, kind, seed)
        assert changed.min() >= low - 1e-6
        assert changed.max() <= high + 1e-6


@pytest.mark.parametrize("kind", Kind)
def test_one_contrast_and_three_share_their_mask(kind, material):
    brain = disc((40, 40, 1))
    for contrasts in (1, 3):
        x, y = np.random.default_rng(0).random((2, contrasts, 40, 40, 1), np.float32)
        given = Material(donor=y, shapes=material)
        changed, mask = corrupted(x, brain, kind, rng=np.random.default_rng(3), material=given)
        assert mask.shape == brain.shape
        assert (changed != x)[:, mask].any(axis=1).all()


@pytest.mark.parametrize("kind", INSIDE)
def test_without_a_brain_nothing_happens(scan, kind):
    x, brain, grid, material = scan
    empty = x, np.zeros_like(brain), grid, material
    changed, mask = made(empty, kind, 0)
    assert not mask.any()
    assert changed is not x
    np.testing.assert_array_equal(changed, x)


def test_the_published_textures_mind_no_brain(scan):
    x, brain, grid, material = scan
    for seed in range(5):
        with_brain = made(scan, Kind.DRAEM_RELEASED, seed)
        without = made((x, np.zeros_like(brain), grid, material), Kind.DRAEM_RELEASED, seed)
        np.testing.assert_array_equal(with_brain[0], without[0])


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_constant_image_gives_finite_results(kind, level, material):
    brain = disc((40, 40, 1))
    x = np.full((1, 40, 40, 1), level, np.float32)
    for seed in range(4):
        changed, mask = corrupted(
            x, brain, kind, rng=np.random.default_rng(seed),
            material=Material(donor=np.full_like(x, 0.25), shapes=material),
        )  # fmt: skip
        assert np.isfinite(changed).all()
        assert changed.min() >= 0
        assert changed.max() <= 1
        constant = kind in (Kind.MASS, Kind.PII) or (kind is Kind.BIAS and level == 0)
        if constant:
            np.testing.assert_allclose(changed, x, atol=1e-6)
        elif mask.any():
            assert (changed != x).any()


@pytest.mark.parametrize("kind", Kind)
def test_a_brain_of_one_voxel_is_enough_not_to_fail(kind, material):
    x, y = np.random.default_rng(0).random((2, 1, 9, 9, 3), np.float32)
    brain = np.zeros((9, 9, 3), bool)
    brain[4, 0, 1] = True
    changed, mask = corrupted(
        x, brain, kind, rng=np.random.default_rng(0), material=Material(donor=y, shapes=material)
    )
    if kind is not Kind.DRAEM_RELEASED:
        assert mask.sum() == (0 if kind in (Kind.DRAEM, Kind.MASS) else 1)
        np.testing.assert_array_equal(changed[:, ~brain], x[:, ~brain])


@pytest.mark.parametrize("kind", Kind)
def test_an_image_of_one_voxel(kind, material):
    x, brain = np.full((1, 1, 1, 1), 0.5, np.float32), np.ones((1, 1, 1), bool)
    changed, _ = corrupted(
        x, brain, kind, rng=np.random.default_rng(0), material=Material(donor=x, shapes=material)
    )
    assert np.isfinite(changed).all()


@pytest.mark.parametrize("kind", [Kind.SPOT, Kind.BIAS, Kind.SHAPE, Kind.MASS])
def test_without_a_grid_a_voxel_is_a_millimetre(kind, material):
    brain = disc((40, 40, 12))
    x = np.random.default_rng(0).random((1, *brain.shape), np.float32)
    one, three = (Grid(shape=brain.shape, affine=np.diag([s, s, s, 1])) for s in (1.0, 3.0))
    given = Material(shapes=material)
    results = [
        corrupted(x, brain, kind, rng=np.random.default_rng(2), grid=grid, material=given)[0]
        for grid in (None, one, three)
    ]
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != x).sum() > 3 * (results[2] != x).sum()


def test_parts_that_do_not_fit_are_a_defect_of_the_caller():
    image, brain = np.zeros((1, 8, 8, 1), np.float32), np.ones((8, 8, 1), bool)
    elsewhere = Grid(shape=(8, 8, 2), affine=np.eye(4))
    with pytest.raises(ValueError, match="the grid says"):
        corrupted(image, brain, Kind.SPOT, rng=np.random.default_rng(0), grid=elsewhere)


def test_global_random_states_are_left_alone():  # SADM's check 10
    program = """
import random, pickle
import numpy as np, torch
def state():
    return pickle.dumps((random.getstate(), np.random.get_state(), torch.get_rng_state().numpy()))
random.seed(7), np.random.seed(7), torch.manual_seed(7)
before = state()
import hale.data.lesions
from hale.data.lesions import Kind, Material, corrupted
assert state() == before, "importing"
image, brain = np.full((1, 32, 32, 1), 0.5, np.float32), np.ones((32, 32, 1), bool)
for kind in Kind:
    if kind is not Kind.SHAPE:
        rng = np.random.default_rng(0)
        corrupted(image, brain, kind, rng=rng, material=Material(donor=image))
        assert state() == before, kind
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)
