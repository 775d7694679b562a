from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.data.lesions import TABLE, LesionSpec, local_tissue, plant


def ball_brain(spacing=(2.0, 2.0, 2.0), radius_mm=45.0, *, turned=False):
    """A ball of noise about the origin, the grid as wide as it needs to be."""
    shape = tuple(int(2 * radius_mm / s) + 5 for s in spacing)
    affine = np.diag([*spacing, 1.0])
    if turned:
        c, s = np.cos(0.3), np.sin(0.3)
        affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ affine[:3, [2, 0, 1]]
        shape = (shape[2], shape[0], shape[1])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    grid = Grid(shape=shape, affine=affine)
    where = grid.positions(np.indices(shape).reshape(3, -1).T)
    brain = (np.linalg.norm(where, axis=1) <= radius_mm).reshape(shape)
    noise = np.random.default_rng(0).normal(100, 5, shape)
    noise[tuple(np.argwhere(brain)[0])] = 1  # so that no lesion is darker than the darkest
    return np.where(brain, noise, 0).astype(np.float32), brain, grid


GRIDS = {
    "isotropic": ball_brain(),
    "thick slices": ball_brain((1.5, 1.5, 5.0)),
    "turned": ball_brain((1.6, 2.0, 3.0), turned=True),
}


@pytest.mark.parametrize("lesion", TABLE, ids=str)
def test_every_cell_of_the_table_has_its_volume_and_contrast(lesion):
    image, brain, grid = GRIDS["isotropic"]
    changed, mask = plant(image, brain, grid, lesion, 1)
    spread = image[local_tissue(mask, brain, grid)].std()
    change = (changed - image) / spread
    assert mask.sum() * grid.voxel_ml == pytest.approx(lesion.volume_ml, abs=grid.voxel_ml)
    assert np.sign(lesion.contrast_sd) * change[mask] == pytest.approx(
        np.abs(change[mask]), abs=1e-5
    )
    assert np.abs(change).max() == pytest.approx(abs(lesion.contrast_sd), rel=1e-3)


@pytest.mark.parametrize("kind", GRIDS)
@given(
    volume_ml=st.floats(0.3, 20),
    contrast_sd=st.floats(-3, 3).filter(lambda sd: abs(sd) > 0.1),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=15, deadline=None)
def test_a_lesion_is_inside_the_brain_and_changes_only_what_it_says(
    kind, volume_ml, contrast_sd, seed
):
    image, brain, grid = GRIDS[kind]
    lesion = LesionSpec(volume_ml=volume_ml, contrast_sd=contrast_sd)
    changed, mask = plant(image, brain, grid, lesion, seed)
    assert not (mask & ~brain).any()
    assert np.array_equal(changed[~brain], image[~brain])
    assert mask.sum() * grid.voxel_ml == pytest.approx(volume_ml, abs=grid.voxel_ml)
    spread = image[local_tissue(mask, brain, grid)].std()
    change = (changed - image) / spread / contrast_sd
    assert change.max() <= 1.001
    unlimited = mask & (changed > image[brain].min())
    assert (change[unlimited] >= 0.499).all()  # the mask is where at least half is added ...
    assert (change[~mask] <= 0.501).all()  # ... and nowhere else
    assert label(mask, np.ones((3, 3, 3)))[1] == 1


def test_the_same_seed_plants_the_same_lesion_and_another_seed_another():
    image, brain, grid = GRIDS["isotropic"]
    first, mask = plant(image, brain, grid, TABLE[6], 5)
    again, same = plant(image, brain, grid, TABLE[6], 5)
    assert np.array_equal(first, again)
    assert np.array_equal(mask, same)
    assert not np.array_equal(mask, plant(image, brain, grid, TABLE[6], 6)[1])


def test_contrast_does_not_move_the_lesion():
    image, brain, grid = GRIDS["isotropic"]
    masks = [plant(image, brain, grid, spec, 5)[1] for spec in TABLE[:6]]
    assert all(np.array_equal(mask, masks[0]) for mask in masks)


def test_the_input_is_left_alone():
    image, brain, grid = GRIDS["isotropic"]
    before = image.copy()
    plant(image, brain, grid, TABLE[0], 0)
    assert np.array_equal(image, before)


def test_a_sphere_is_round_in_mm_on_thick_turned_slices():
    image, brain, grid = GRIDS["turned"]
    _, mask = plant(image, brain, grid, LesionSpec(volume_ml=15.0, contrast_sd=2.0), 3)
    at = grid.positions(np.argwhere(mask))
    distance = np.linalg.norm(at - at.mean(axis=0), axis=1)
    assert distance.max() == pytest.approx((15000 * 3 / 4 / np.pi) ** (1 / 3), abs=2)


def test_places_spread_over_the_brain():
    image, brain, grid = GRIDS["isotropic"]
    small = LesionSpec(volume_ml=0.5, contrast_sd=2.0)
    centres = [
        grid.positions(np.argwhere(plant(image, brain, grid, small, seed)[1])).mean(axis=0)
        for seed in range(60)
    ]
    assert np.abs(np.mean(centres, axis=0)).max() < 10  # of a ball of 45 mm about the origin
    assert np.std(centres, axis=0).min() > 12


def test_no_voxel_becomes_darker_than_the_darkest_of_the_brain():
    image, brain, grid = GRIDS["isotropic"]
    dim = np.where(brain, np.maximum(image - 90, 1), 0).astype(np.float32)
    changed, _ = plant(dim, brain, grid, LesionSpec(volume_ml=4.0, contrast_sd=-3.0), 0)
    assert changed[brain].min() == dim[brain].min() == 1


def test_local_tissue_is_ten_mm_around_and_brain_only():
    _, brain, grid = GRIDS["thick slices"]
    mask = np.zeros_like(brain)
    centre = np.argwhere(brain).mean(axis=0).round().astype(int)
    mask[tuple(centre)] = True
    near = local_tissue(mask, brain, grid)
    offset = grid.positions(np.argwhere(brain)) - grid.positions(centre[None])
    expected = np.linalg.norm(offset, axis=1) <= 10
    assert np.array_equal(near[brain], expected)


@pytest.mark.parametrize(("volume_ml", "why"), [(2000.0, "fits nowhere"), (0.001, "a voxel is")])
def test_what_cannot_be_planted_is_refused(volume_ml, why):
    image, brain, grid = GRIDS["isotropic"]
    with pytest.raises(Refused, match=why):
        plant(image, brain, grid, LesionSpec(volume_ml=volume_ml, contrast_sd=1.0), 0)


def test_an_empty_brain_a_uniform_image_and_no_size_are_refused():
    image, brain, grid = GRIDS["isotropic"]
    with pytest.raises(Refused, match="fits nowhere"):
        plant(image, np.zeros_like(brain), grid, TABLE[0], 0)
    with pytest.raises(Refused, match="uniform"):
        plant(np.ones_like(image), brain, grid, TABLE[0], 0)
    with pytest.raises(Refused, match="no size"):
        LesionSpec(volume_ml=0.0, contrast_sd=1.0)


def test_a_sphere_does_not_fit_a_single_slice():
    image, brain, grid = GRIDS["isotropic"]
    middle = brain.shape[2] // 2
    one = np.ascontiguousarray(brain[:, :, middle : middle + 1])
    flat = Grid(shape=one.shape, affine=grid.affine)
    with pytest.raises(Refused, match="fits nowhere"):
        plant(image[:, :, middle : middle + 1], one, flat, TABLE[-1], 0)


@pytest.fixture
def shapes(tmp_path) -> Path:
    """Two masks: a bar with a crumb beside it, and a plate on thick slices."""
    bar = np.zeros((40, 30, 30), np.uint8)
    bar[5:30, 10:16, 10:16] = 1
    bar[36, 25, 25] = 1
    nib.save(nib.Nifti1Image(bar, np.diag([-1.0, 1, 1, 1])), tmp_path / "bar.nii.gz")
    plate = np.zeros((30, 30, 8), np.uint8)
    plate[8:20, 8:20, 3:5] = 1
    nib.save(nib.Nifti1Image(plate, np.diag([1.0, 1, 3, 1])), tmp_path / "plate.nii.gz")
    return tmp_path


def test_a_bar_stays_a_bar(shapes):
    image, brain, grid = GRIDS["turned"]
    lesion = LesionSpec(volume_ml=4.0, contrast_sd=2.0, shape=shapes / "bar.nii.gz")
    _, mask = plant(image, brain, grid, lesion, 0)
    at = grid.positions(np.argwhere(mask))
    extent = np.ptp(at, axis=0)
    scale = (4000 / 900) ** (1 / 3)  # the bar is 25 x 6 x 6 mm, its crumb left out
    assert extent == pytest.approx(np.array([25, 6, 6]) * scale, abs=4)
    assert mask.sum() * grid.voxel_ml == pytest.approx(4, abs=grid.voxel_ml)
    assert not (mask & ~brain).any()


def test_the_seed_picks_the_shape(shapes):
    image, brain, grid = GRIDS["isotropic"]
    lesion = LesionSpec(volume_ml=1.0, contrast_sd=2.0, shape=shapes)
    extents = {
        tuple(np.ptp(np.argwhere(plant(image, brain, grid, lesion, seed)[1]), axis=0).argsort())
        for seed in range(8)
    }
    assert len(extents) > 1


def test_a_folder_without_masks_and_an_empty_mask_are_refused(tmp_path):
    image, brain, grid = GRIDS["isotropic"]
    lesion = LesionSpec(volume_ml=1.0, contrast_sd=2.0, shape=tmp_path)
    with pytest.raises(Refused, match="no lesion mask"):
        plant(image, brain, grid, lesion, 0)
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(Refused, match="empty"):
        plant(image, brain, grid, lesion, 0)


@pytest.mark.parametrize("spec", TABLE[4::6], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_real_shapes_in_a_real_brain(shared_data, spec, seed):
    anat = shared_data / "ixi/sub-IXI012/anat"
    scan = nib.load(anat / "sub-IXI012_T1w.nii.gz")
    brain = np.asarray(nib.load(anat / "sub-IXI012_desc-brain_mask.nii.gz").dataobj) > 0
    image = scan.get_fdata(dtype=np.float32)
    grid = Grid(shape=image.shape, affine=np.asarray(scan.affine, np.float64))
    lesion = replace(spec, shape=shared_data / "lesion_shapes")
    changed, mask = plant(image, brain, grid, lesion, seed)
    assert mask.sum() * grid.voxel_ml == pytest.approx(spec.volume_ml, abs=grid.voxel_ml)
    assert not (mask & ~brain).any()
    assert np.array_equal(changed[~brain], image[~brain])
    spread = image[local_tissue(mask, brain, grid)].std()
    change = (changed - image) / spread
    assert change.max() == pytest.approx(spec.contrast_sd, rel=0.01) or change.max() >= 1
    assert (change[mask] >= spec.contrast_sd / 2 - 1e-3).all()
