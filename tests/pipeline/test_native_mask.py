"""From components on the model grid to numbered lesions on the scan's own grid."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hale.calibration import components
from hale.core.grid import Grid
from hale.core.trace import Trace
from hale.pipeline.detect import REACH, native_mask

Z0 = 3.0


def model_grid(n: int = 40, mm: float = 2.0) -> Grid:
    affine = np.diag([mm, mm, mm, 1.0])
    affine[:3, 3] = -mm * (n - 1) / 2
    return Grid(shape=(n, n, n), affine=affine)


def tilted(spacing: tuple[float, float, float], shape: tuple[int, int, int], degrees: float):
    """A native grid about the same middle, turned about x."""
    turn = np.radians(degrees)
    rotation = np.eye(4)
    rotation[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine = rotation @ np.diag([*spacing, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape=shape, affine=affine)


def trace(native: Grid, to_native: np.ndarray | None = None) -> Trace:
    there = np.eye(4) if to_native is None else to_native
    brain = np.ones(native.shape, bool)
    return Trace(native=native, model=model_grid(), to_native=there, brain=brain)


def ball(centre_mm, radius_mm: float, height: float) -> np.ndarray:
    """z on the model grid: a cone that crosses z0 at the radius."""
    grid = model_grid()
    positions = grid.positions(np.argwhere(np.ones(grid.shape)))
    distance = np.linalg.norm(positions - np.array(centre_mm), axis=1).reshape(grid.shape)
    return (Z0 + height * (1 - distance / radius_mm)).clip(0).astype(np.float32)


def native(z: np.ndarray, kept: int, way: Trace) -> np.ndarray:
    labels, _ = components(z, np.ones(z.shape, bool), way.model, z0=Z0)
    return native_mask(labels, kept, way.undo(z), way, z0=Z0)


@pytest.mark.parametrize(
    "grid",
    [
        tilted((1.0, 1.0, 1.0), (72, 72, 72), 0),
        tilted((1.0, 1.0, 1.0), (80, 80, 80), 17),
        tilted((0.9, 0.9, 3.0), (80, 80, 26), 11),
    ],
)
def test_a_ball_keeps_its_volume_and_place(grid: Grid):
    mask = native(ball((6, -8, 4), 9.0, 4.0), 1, trace(grid))
    ml = (mask > 0).sum() * grid.voxel_ml
    assert ml == pytest.approx(4 / 3 * np.pi * 0.9**3, rel=0.06)
    centre = grid.positions(np.argwhere(mask).mean(0)[None])[0]
    np.testing.assert_allclose(centre, (6, -8, 4), atol=0.6)


def test_each_lesion_keeps_its_number_and_what_is_not_kept_stays_away():
    heavy, middle, light = ball((-16, 0, 0), 9, 6), ball((14, 0, 0), 8, 4), ball((0, 20, 0), 5, 2)
    way = trace(tilted((1.0, 1.0, 1.0), (78, 78, 78), 5))
    mask = native(np.maximum(np.maximum(heavy, middle), light), 2, way)
    assert sorted(np.unique(mask)) == [0, 1, 2]
    for number, centre in ((1, (-16, 0, 0)), (2, (14, 0, 0))):
        found = way.native.positions(np.argwhere(mask == number).mean(0)[None])[0]
        np.testing.assert_allclose(found, centre, atol=0.7)


def test_nothing_kept_is_an_empty_mask():
    assert not native(ball((0, 0, 0), 8, 4), 0, trace(tilted((1, 1, 1), (70, 70, 70), 0))).any()


@given(
    centre=st.tuples(*[st.floats(-22, 22)] * 3),
    radius=st.floats(1.6, 5.0),
    thickness=st.sampled_from([1.0, 5.5, 12.0]),
    degrees=st.floats(-30, 30),
)
@settings(max_examples=25, deadline=None)
def test_what_is_flagged_is_never_invisible(centre, radius, thickness, degrees):
    """However thick the slices, a component of the model grid has a voxel to show for itself."""
    grid = tilted((2.0, 2.0, thickness), (44, 44, max(3, round(88 / thickness))), degrees)
    z = ball(np.round(np.array(centre) / 2 - 0.5) * 2 + 1, radius, 3.0)
    assert (z > Z0).any()
    mask = native(z, 1, trace(grid))
    assert mask.max() == 1


def test_a_shifted_registration_shifts_the_lesion():
    move = np.eye(4)
    move[:3, 3] = (5, -3, 2)  # model position + this = native position
    way = trace(tilted((1.0, 1.0, 1.0), (78, 78, 78), 0), move)
    mask = native(ball((4, 4, 4), 7, 4), 1, way)
    centre = way.native.positions(np.argwhere(mask).mean(0)[None])[0]
    np.testing.assert_allclose(centre, (9, 1, 6), atol=0.6)


def test_two_lesions_smaller_than_a_voxel_do_not_share_one():
    grid = tilted((10.0, 10.0, 10.0), (8, 8, 8), 0)
    way = trace(grid)
    labels = np.zeros(way.model.shape, np.int32)
    labels[19, 20, 21], labels[21, 20, 19] = 1, 2
    mask = native_mask(labels, 2, np.zeros(grid.shape, np.float32), way, z0=Z0)
    assert sorted(np.unique(mask)) == [0, 1, 2]


# Where the mask lies, to the voxel


@st.composite
def places(draw) -> tuple[Grid, np.ndarray]:
    """Oblique, anisotropic native grids, half of them left-handed, and any affine to them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spacing = np.array(draw(st.tuples(*[st.sampled_from([1.0, 2.0, 5.5])] * 3)))
    signs = np.array(draw(st.tuples(*[st.sampled_from([1.0, -1.0])] * 3)))
    affine, to_native = np.eye(4), np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(rng.uniform(-0.6, 0.6, 3)).as_matrix() * signs * spacing
    i, j, k = (int(56 / mm) + int(rng.integers(3)) for mm in spacing)
    affine[:3, 3] = rng.uniform(-2, 2, 3) - affine[:3, :3] @ ((np.array([i, j, k]) - 1) / 2)
    to_native[:3, :3] += rng.uniform(-0.1, 0.1, (3, 3))
    to_native[:3, 3] = rng.uniform(-4, 4, 3)
    return Grid(shape=(i, j, k), affine=affine), to_native


def on_model(way: Trace) -> np.ndarray:
    """Voxel of the model grid under each native voxel, by nibabel: (i, j, k, 3)."""
    index = np.moveaxis(np.indices(way.native.shape), 0, -1)
    native = apply_affine(way.native.affine, index)
    return apply_affine(np.linalg.inv(way.to_native @ way.model.affine), native)


def expected_mask(labels: np.ndarray, way: Trace, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mask, each voxel by itself; and where no rounding decides."""
    at = on_model(way)
    voxel = np.rint(at).astype(int)
    held = ((voxel >= 0) & (voxel < way.model.shape)).all(-1)
    inside = np.argwhere(labels > 0)
    apart, which = cKDTree(inside).query(voxel)
    number = labels[tuple(inside[which.ravel()].T)].reshape(which.shape)
    wanted = np.where(held & (apart <= REACH) & (z > Z0), number, 0)
    sure = (np.abs(at - np.floor(at) - 0.5) > 1e-6).all(-1)
    return wanted, sure


def two_boxes() -> np.ndarray:
    """Far from each other, unlike, and off the middle: shifts and flips show."""
    labels = np.zeros(model_grid().shape, np.int32)
    labels[9:14, 12:19, 20:24] = 1
    labels[24:30, 23:26, 11:18] = 2
    return labels


@given(places())
@settings(derandomize=True, max_examples=20, deadline=None)
def test_the_mask_lies_to_the_voxel_where_nibabel_says(place):
    way = trace(*place)
    z = np.full(way.native.shape, Z0 + 1, np.float32)
    mask = native_mask(two_boxes(), 2, z, way, z0=Z0)
    wanted, sure = expected_mask(two_boxes(), way, z)
    assert set(np.unique(wanted)) == {0, 1, 2}
    assert np.array_equal(mask[sure], wanted[sure])


@pytest.mark.parametrize("how", ["one voxel", "half a voxel", "flip"])
@given(place=places(), axis=st.integers(0, 2))
@settings(derandomize=True, max_examples=5, deadline=None)
def test_a_mask_in_a_wrong_place_would_show(how, place, axis):
    way, wrong = trace(*place), np.eye(4)
    if how == "flip":
        wrong[axis, axis], wrong[axis, 3] = -1, way.native.shape[axis] - 1
    else:
        wrong[axis, 3] = {"one voxel": 1.0, "half a voxel": 0.5}[how]
    z = np.full(way.native.shape, Z0 + 1, np.float32)
    grid = Grid(shape=way.native.shape, affine=way.native.affine @ wrong)
    mask = native_mask(two_boxes(), 2, z, replace(way, native=grid), z0=Z0)
    wanted, sure = expected_mask(two_boxes(), way, z)
    assert (mask != wanted)[sure].sum() > 0.05 * (wanted > 0).sum()


@given(places())
@settings(derandomize=True, max_examples=10, deadline=None)
def test_the_mask_is_the_resampled_map_thresholded_and_no_resampled_mask(place):
    way = trace(*place)
    z = np.maximum(ball((-6, 5, 3), 9.0, 4.0), ball((12, -6, -4), 6.0, 4.0))
    labels, masses = components(z, np.ones(z.shape, bool), way.model, z0=Z0)
    assert len(masses) == 2
    back = way.undo(z)
    mask = native_mask(labels, 2, back, way, z0=Z0)
    assert np.array_equal(mask > 0, back > Z0)
    labelled = (labels > 0).astype(np.float32)
    resampled = way.way.take_back(labelled, way.model, way.native, order=0) > 0.5
    assert not np.array_equal(mask > 0, resampled)
    first = native_mask(labels, 1, back, way, z0=Z0)
    assert np.array_equal(first == 1, mask == 1)
    assert not (first == 2).any()
