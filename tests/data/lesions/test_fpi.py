import numpy as np
import pytest

from hale.core.errors import Refused
from hale.data.lesions import Kind, Material, corrupted
from hale.data.lesions.fpi import interpolated


@pytest.fixture
def pair():
    x, y = np.random.default_rng(0).random((2, 2, 30, 40, 20)).astype(np.float32)
    brain = np.zeros(x.shape[1:], bool)
    brain[5:25, 5:35, 4:14] = True  # sides of 20, 30 and 10
    return x, y, brain


def test_the_formula_by_hand():
    out = interpolated(np.array([0.0, 1.0, 0.4]), np.array([1.0, 0.0, 0.4]), 0.25)
    np.testing.assert_allclose(out, [0.25, 0.75, 0.4])


@pytest.mark.parametrize("seed", range(10))
def test_inside_the_patch_is_one_interpolation_of_scan_and_donor(pair, seed):
    x, y, brain = pair
    changed, mask = corrupted(
        x, brain, Kind.FPI, rng=np.random.default_rng(seed), material=Material(donor=y)
    )
    share = (changed - x)[:, mask] / (y - x)[:, mask]
    certain = np.abs(y - x)[:, mask] > 0.05
    factor = np.median(share[certain])
    np.testing.assert_allclose(
        changed[:, mask], ((1 - factor) * x + factor * y)[:, mask], atol=1e-5
    )
    assert 0.05 <= factor <= 0.95


def test_patches_are_blocks_of_a_tenth_to_four_tenths_of_the_brain(pair):
    x, y, brain = pair
    sides = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        _, mask = corrupted(x, brain, Kind.FPI, rng=rng, material=Material(donor=y))
        where = np.argwhere(mask)
        side = np.ptp(where, axis=0) + 1
        assert mask.sum() == side.prod()  # of this brain, which is a block
        sides.append(side)
    np.testing.assert_array_equal(np.max(sides, axis=0), [8, 12, 4])
    assert (np.min(sides, axis=0) <= [2, 3, 1]).all()


def test_the_same_scan_as_donor_changes_nothing(pair):
    x, _, brain = pair
    changed, mask = corrupted(
        x, brain, Kind.FPI, rng=np.random.default_rng(0), material=Material(donor=x)
    )
    assert mask.any()
    np.testing.assert_allclose(changed, x, atol=1e-7)


@pytest.mark.parametrize("kind", [Kind.FPI, Kind.PII])
def test_no_donor_and_a_donor_of_another_shape_are_refused(pair, kind):
    x, y, brain = pair
    rng = np.random.default_rng(0)
    with pytest.raises(Refused, match="no donor"):
        corrupted(x, brain, kind, rng=rng)
    with pytest.raises(Refused, match="the scan is"):
        corrupted(x, brain, kind, rng=rng, material=Material(donor=y[:1]))
