"""Where things are on the way to the model and back: against nibabel, SimpleITK and ramps.

Values are noise, or positions themselves, so that an error of half a voxel is larger than any
tolerance here; that it would show is a test of its own.
"""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from nibabel.processing import resample_from_to
from nibabel.spaces import vox2out_vox
from scipy.spatial.transform import Rotation

from hale.core.grid import Grid, resample, resample_mask
from hale.core.trace import Trace

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SMALL = 1e-3
"""Of a voxel: nearer to a border, or to a tie of two voxels, rounding decides."""
PLACES = settings(
    derandomize=True, max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@st.composite
def grids(draw) -> Grid:
    """Oblique, anisotropic, axes in any order and direction; every other one left-handed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spacing = draw(st.tuples(*[st.sampled_from([0.9, 1.0, 2.0, 3.0, 5.5])] * 3))
    axes = np.eye(3)[list(draw(st.permutations(range(3))))]
    signs = draw(st.tuples(*[st.sampled_from([1.0, -1.0])] * 3))
    affine = np.eye(4)
    turn = Rotation.from_rotvec(rng.uniform(-0.6, 0.6, 3)).as_matrix()
    affine[:3, :3] = turn @ axes * signs * spacing
    i, j, k = (int(40 / mm) + int(rng.integers(4)) for mm in spacing)
    affine[:3, 3] = rng.uniform(-3, 3, 3) - affine[:3, :3] @ ((np.array([i, j, k]) - 1) / 2)
    return Grid(shape=(i, j, k), affine=affine)


@st.composite
def transforms(draw) -> np.ndarray:
    """Position in one space to position in the other, mm: turned, scaled, sheared, moved."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    affine = np.eye(4)
    turn = Rotation.from_rotvec(rng.uniform(-0.3, 0.3, 3)).as_matrix()
    affine[:3, :3] = turn @ (np.diag(rng.uniform(0.8, 1.2, 3)) + rng.uniform(-0.05, 0.05, (3, 3)))
    affine[:3, 3] = rng.uniform(-5, 5, 3)
    return affine


def noise(grid: Grid) -> np.ndarray:
    return np.random.default_rng(0).uniform(1, 2, grid.shape).astype(np.float32)


def indices(grid: Grid) -> np.ndarray:
    return np.argwhere(np.ones(grid.shape, bool))


def itk(grid: Grid, values: np.ndarray | None = None) -> sitk.Image:
    """An ITK image on the grid; ITK's positions are LPS."""
    values = np.zeros(grid.shape, np.float32) if values is None else values
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    lps = LPS @ grid.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def itk_transform(affine: np.ndarray) -> sitk.AffineTransform:
    lps = LPS @ affine @ LPS
    moved = sitk.AffineTransform(3)
    moved.SetMatrix(lps[:3, :3].ravel().tolist())
    moved.SetTranslation(lps[:3, 3].tolist())
    return moved


def settled(source: Grid, target: Grid, transform: np.ndarray, order: int) -> np.ndarray:
    """Voxels of the target that rounding cannot push over the source's border, or to a tie."""
    there = np.linalg.inv(source.affine) @ transform @ target.affine
    at = apply_affine(there, indices(target))
    border = np.minimum(np.abs(at), np.abs(at - (np.array(source.shape) - 1))).min(1)
    tie = np.abs(at - np.floor(at) - 0.5).min(1) if order == 0 else np.inf
    return ((border > SMALL) & (tie > SMALL)).reshape(target.shape)


def by_nibabel(values, source: Grid, target: Grid, transform, order: int) -> np.ndarray:
    there = nib.Nifti1Image(values, np.linalg.inv(transform) @ source.affine)
    return resample_from_to(there, (target.shape, target.affine), order=order).get_fdata()


@given(grids())
@PLACES
def test_a_voxel_is_where_nibabel_and_itk_say(grid):
    index = indices(grid)[::37]
    np.testing.assert_allclose(grid.positions(index), apply_affine(grid.affine, index), atol=1e-9)
    image = itk(grid)
    physical = [image.TransformIndexToPhysicalPoint([int(n) for n in one]) for one in index]
    np.testing.assert_allclose(grid.positions(index), np.array(physical) * (-1, -1, 1), atol=1e-6)


@given(grids(), grids(), transforms(), st.sampled_from([0, 1, 3]))
@PLACES
def test_resampling_is_what_nibabel_does(source, target, transform, order):
    values = noise(source)
    moved = resample(values, source, target, transform=transform, order=order)
    expected = by_nibabel(values, source, target, transform, order)
    sure = settled(source, target, transform, order)
    assert (expected != 0)[sure].mean() > 0.05
    np.testing.assert_allclose(moved[sure], expected[sure], atol=2e-3)


@given(grids())
@PLACES
def test_an_oblique_scan_fills_the_box_that_nibabel_draws_around_it(source):
    shape, affine = vox2out_vox((source.shape, source.affine), voxel_sizes=(2.0, 2.0, 2.0))
    target = Grid(shape=tuple(int(n) for n in shape), affine=affine)
    moved = resample(noise(source), source, target)
    expected = by_nibabel(noise(source), source, target, np.eye(4), 1)
    sure = settled(source, target, np.eye(4), 1)
    np.testing.assert_allclose(moved[sure], expected[sure], atol=2e-3)
    inner = np.prod((np.array(source.shape) - 1) * source.spacing)
    assert (moved > 0).sum() * target.voxel_ml * 1000 == pytest.approx(inner, rel=0.15)


@given(grids(), grids(), transforms())
@PLACES
def test_resampling_is_what_itk_does(source, target, transform):
    """Within the outermost centres: beyond them ITK goes on for half a voxel."""
    values = noise(source)
    moved = resample(values, source, target, transform=transform)
    image = sitk.Resample(
        itk(source, values), itk(target), itk_transform(transform), sitk.sitkLinear
    )
    expected = sitk.GetArrayFromImage(image).T
    inner = (moved > 0) & settled(source, target, transform, 1)
    assert inner.mean() > 0.05
    np.testing.assert_allclose(moved[inner], expected[inner], atol=2e-3)


def mistaken(grid: Grid, how: str, axis: int) -> Grid:
    """The same grid, its affine wrong along one axis."""
    wrong = np.eye(4)
    if how == "flip":
        wrong[axis, axis], wrong[axis, 3] = -1, grid.shape[axis] - 1
    else:
        wrong[axis, 3] = {"one voxel": 1.0, "half a voxel": 0.5}[how]
    return Grid(shape=grid.shape, affine=grid.affine @ wrong)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("how", ["one voxel", "half a voxel", "flip"])
@given(source=grids(), target=grids(), transform=transforms())
@settings(PLACES, max_examples=4)
def test_resampling_from_a_wrong_place_would_show(how, axis, source, target, transform):
    values = noise(source)
    wrong = resample(values, mistaken(source, how, axis), target, transform=transform)
    expected = by_nibabel(values, source, target, transform, 1)
    both = (wrong > 0) & (expected > 0)
    assert np.sqrt(((wrong - expected)[both] ** 2).mean()) > 0.05


# There and back: the model holds the positions of its own voxels


def ball(grid: Grid, radius_mm: float) -> np.ndarray:
    middle = grid.positions((np.array(grid.shape)[None] - 1) * (0.5, 0.55, 0.45))
    apart = np.linalg.norm(grid.positions(indices(grid)) - middle, axis=1)
    return (apart < radius_mm).reshape(grid.shape)


def model_about(native: Grid, to_native: np.ndarray) -> Grid:
    """2 mm, and as large as to hold all of the native grid."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in native.shape])).reshape(3, -1).T
    there = apply_affine(np.linalg.inv(to_native), native.positions(corners))
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = there.min(0) - 5.3
    i, j, k = (int(n) for n in np.ceil((np.ptp(there, axis=0) + 10.6) / 2) + 1)
    return Grid(shape=(i, j, k), affine=affine)


def came_from(trace: Trace, model: Grid) -> np.ndarray:
    """Template position that each native voxel takes its value from, mm: (i, j, k, 3)."""
    where = model.positions(indices(model)).reshape(*model.shape, 3)
    back = [trace.undo(np.ascontiguousarray(where[..., a], np.float32)) for a in range(3)]
    return np.stack(back, axis=-1)


def by_itk(trace: Trace, index: np.ndarray) -> np.ndarray:
    """Template position of native voxels (n, 3), mm, as ITK computes it."""
    image, back = itk(trace.native), itk_transform(trace.to_native).GetInverse()
    points = [
        back.TransformPoint(image.TransformIndexToPhysicalPoint([int(n) for n in one]))
        for one in index
    ]
    return np.array(points) * (-1, -1, 1)


def core(brain: np.ndarray, trace: Trace) -> np.ndarray:
    """Voxels whose neighbours on the model grid are all in the brain."""
    inside = resample_mask(brain, trace.native, trace.model, transform=trace.to_native)
    there = np.linalg.inv(trace.to_native)
    share = resample(inside.astype("f4"), trace.model, trace.native, transform=there)
    return np.argwhere(brain & (share > 1 - 1e-6))


@given(grids(), transforms())
@PLACES
def test_every_voxel_comes_back_to_where_it_was(native, to_native):
    model = model_about(native, to_native)
    brain = ball(native, 16.0)
    trace = Trace(native=native, model=model, to_native=to_native, brain=brain)
    index = core(brain, trace)
    assert len(index) > 50
    found = came_from(trace, model)[tuple(index.T)]
    np.testing.assert_allclose(found, by_itk(trace, index), atol=1e-3)


@pytest.mark.parametrize("whose", ["native", "model"])
@pytest.mark.parametrize("how", ["one voxel", "half a voxel", "flip"])
@given(native=grids(), to_native=transforms(), axis=st.integers(0, 2))
@settings(PLACES, max_examples=4)
def test_coming_back_to_a_wrong_place_would_show(whose, how, native, to_native, axis):
    model = model_about(native, to_native)
    brain = ball(native, 16.0)
    truth = Trace(native=native, model=model, to_native=to_native, brain=brain)
    wrong = replace(truth, **{whose: mistaken(getattr(truth, whose), how, axis)})
    index = core(brain, truth)
    apart = np.linalg.norm(came_from(wrong, model)[tuple(index.T)] - by_itk(truth, index), axis=1)
    assert np.sqrt((apart**2).mean()) > 0.25


@given(grids(), transforms())
@PLACES
def test_a_constant_comes_back_as_a_constant_up_to_the_border_of_the_brain(native, to_native):
    """What a map holds outside the brain, 0 by contract, does not dilute the border."""
    model = model_about(native, to_native)
    brain = ball(native, 16.0)
    trace = Trace(native=native, model=model, to_native=to_native, brain=brain)
    inside = resample_mask(brain, native, model, transform=to_native)
    back = trace.undo(np.where(inside, np.float32(7), np.float32(0)))
    there = np.linalg.inv(to_native)
    share = resample(inside.astype("f4"), model, native, transform=there)
    reached = brain & (share > 1e-6)  # not a tip of the brain that slips through the model's grid
    assert reached.sum() > 0.999 * brain.sum()
    np.testing.assert_allclose(back[reached], 7, rtol=1e-5)
    assert not back[~brain].any()


def test_what_was_not_moved_comes_back_to_the_bit():
    grid = Grid(shape=(20, 21, 1), affine=np.diag([0.9, 0.9, 5.5, 1.0]))
    brain = noise(grid) > 1.5
    trace = Trace(native=grid, model=grid, to_native=np.eye(4), brain=brain)
    assert np.array_equal(trace.undo(noise(grid)), np.where(brain, noise(grid), 0))
