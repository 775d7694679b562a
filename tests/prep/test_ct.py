"""The brain of a head CT: found in a phantom whose brain is known; what is no CT is not taken."""

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hale.core.errors import Refused
from hale.core.grid import Grid, resample
from hale.core.scan import Volume
from hale.prep.brain.ct import extract, looks_like_ct

sys.path.insert(0, str(Path(__file__).parent))
from ct_head import Head, head

HEADS = {
    "plain": {},
    "oblique": {"turn": (12.0, -8.0, 10.0)},
    "thick slices": {"spacing": (1.0, 1.0, 5.0)},
    "noise and a wide foramen": {"noise": 12.0, "foramen_mm": 18.0},
}


@pytest.fixture(scope="module")
def plain() -> Head:
    return head()


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def with_values(made: Head, values: np.ndarray) -> Volume:
    return Volume(values=values.astype(np.float32), grid=made.volume.grid)


@pytest.mark.parametrize("options", HEADS.values(), ids=HEADS)
def test_the_brain_is_found_and_does_not_leak_into_the_neck(options):
    made = head(**options)
    assert looks_like_ct(made.volume)
    found = extract(made.volume, "head")
    assert dice(found, made.brain) > 0.96
    assert found[made.blood].all()
    leak_ml = (found & made.canal).sum() * made.volume.grid.voxel_ml
    assert leak_ml < 40


def test_padding_holes_and_dense_spots_change_little(plain):
    values = plain.volume.values.copy()
    before = extract(plain.volume, "head")
    values[:6] = -3024  # beyond the round field of view, as some scanners store it
    values[0, 0, 0] = np.nan
    middle = tuple(np.argwhere(plain.brain).mean(0).astype(int))
    values[tuple(slice(n - 2, n + 3) for n in middle)] = 900  # a clip
    after = extract(with_values(plain, values), "head")
    assert dice(before, after) > 0.99
    assert after[middle]


def test_what_is_cut_by_the_field_of_view_is_still_found(plain):
    """The vertex and the neck lie outside, as a scout was set too low."""
    low, high = 26, 92
    grid = plain.volume.grid
    shift = np.eye(4)
    shift[2, 3] = low
    cut = Grid(shape=(*grid.shape[:2], high - low), affine=grid.affine @ shift)
    values = np.ascontiguousarray(plain.volume.values[:, :, low:high])
    found = extract(Volume(values=values, grid=cut), "head")
    assert dice(found, plain.brain[:, :, low:high]) > 0.95


@pytest.mark.parametrize("plus", [1024, 1000, 200])
def test_a_ct_that_is_not_in_hounsfield_units_is_refused(plain, plus):
    shifted = with_values(plain, plain.volume.values + plus)
    assert not looks_like_ct(shifted)
    with pytest.raises(Refused, match="head: its values are no Hounsfield units"):
        extract(shifted, "head")


def test_without_a_skull_nothing_is_shut_in(plain):
    values = np.full(plain.volume.values.shape, -1000.0)
    values[20:30, 20:30, 20:30] = 40
    values[60:70, 60:70, 60:70] = 1000
    with pytest.raises(Refused, match="head: no soft tissue is shut in by bone"):
        extract(with_values(plain, values), "head")


@pytest.mark.parametrize("kind", ["padded", "padded and turned", "shifted"])
def test_an_mr_scan_with_values_below_zero_is_no_ct(kind, shared_data):
    path = shared_data / "mslub/sub-long12/ses-1/anat/sub-long12_ses-1_FLAIR.nii.gz"
    image = nib.load(path).slicer[::2, ::2]
    values = np.asarray(image.dataobj).astype(np.float32)
    grid = Grid(shape=values.shape, affine=image.affine)
    if kind == "shifted":
        values -= 1024
    else:
        values = np.pad(values, 12, constant_values=-1024)
        grid = Grid(shape=values.shape, affine=grid.affine)
    if kind == "padded and turned":
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_euler("xyz", (5, 9, 12), degrees=True).as_matrix()
        values = resample(values + 1024, grid, grid, transform=turn) - 1024
    assert values.min() == -1024
    assert not looks_like_ct(Volume(values=values, grid=grid))
