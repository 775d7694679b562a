import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hale.core.anomaly import AnomalyMap, top_mean
from hale.core.errors import Refused
from hale.core.grid import Grid, resample, resample_mask
from hale.core.scan import Contrast, Scan, Space, Volume
from hale.core.trace import Trace


def grid(shape=(20, 22, 24), spacing=2.0, turn=(0, 0, 0)) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() * spacing
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape=shape, affine=affine)


def blob(at: Grid) -> np.ndarray:
    """A smooth ball about the origin, off-centre so that a flip would show."""
    index = np.indices(at.shape).reshape(3, -1).T
    distance = np.linalg.norm(at.positions(index) - (4, -3, 2), axis=1)
    return np.exp(-((distance / 8) ** 2)).reshape(at.shape).astype(np.float32)


def test_spacing_and_volume_are_those_of_the_affine():
    turned = grid(spacing=1.5, turn=(10, 20, 30))
    assert turned.spacing == pytest.approx((1.5, 1.5, 1.5))
    assert turned.voxel_ml == pytest.approx(1.5**3 / 1000)


def test_the_same_grid_to_a_micrometre():
    one, two = grid(), grid()
    two.affine[0, 3] += 5e-4
    assert one.is_the_same_as(two)
    two.affine[0, 3] += 1e-2
    assert not one.is_the_same_as(two)
    assert not one.is_the_same_as(grid(shape=(20, 22, 25)))


@given(st.tuples(*[st.floats(-40, 40)] * 3), st.floats(1.0, 3.0))
def test_resampling_puts_values_where_they_are_in_space(turn, spacing):
    target = grid(spacing=spacing, turn=turn)
    moved = resample(blob(grid()), grid(), target)
    reach = resample(np.ones(grid().shape, np.float32), grid(), target, order=0) > 0
    inner = reach & (resample(np.ones(grid().shape, np.float32), grid(), target) > 0.999)
    assert np.abs(moved - blob(target))[inner].max() < 0.06
    assert (moved[~reach] == 0).all()


def test_resampling_onto_the_same_grid_changes_nothing():
    assert np.allclose(resample(blob(grid()), grid(), grid()), blob(grid()), atol=1e-6)


def test_there_and_back_is_where_it_was():
    """A transform, then its inverse with the grids exchanged."""
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_euler("z", 12, degrees=True).as_matrix() @ np.diag(
        [1.1, 0.9, 1.0]
    )
    transform[:3, 3] = 3, -2, 1
    model = grid(shape=(30, 30, 30), spacing=1.5)
    there = resample(blob(grid()), grid(), model, transform=transform)
    brain = blob(grid()) > 0.1
    trace = Trace(native=grid(), model=model, to_native=transform, brain=brain)
    back = trace.undo(there)
    assert np.abs(back - blob(grid()))[brain].max() < 0.08
    assert (back[~brain] == 0).all()


def test_undoing_within_the_box_of_the_brain_is_undoing_everywhere():
    transform = np.eye(4)
    transform[:3, 3] = 3, -2, 1
    brain = blob(grid()) > 0.1
    trace = Trace(native=grid(), model=grid(spacing=3), to_native=transform, brain=brain)
    values = blob(grid(spacing=3))
    there = np.linalg.inv(transform)
    whole = resample(values, trace.model, trace.native, transform=there)
    deep = blob(grid()) > 0.4  # as far from the brain's border as a voxel of the model
    assert np.allclose(trace.undo(values)[deep], whole[deep], atol=1e-5)
    assert not trace.undo(values)[~brain].any()


def test_a_mask_comes_back_as_a_mask():
    model = grid(spacing=1.0, shape=(40, 44, 48))
    mask = blob(grid()) > 0.3
    there = resample_mask(mask, grid(), model)
    assert there.sum() * model.voxel_ml == pytest.approx(mask.sum() * grid().voxel_ml, rel=0.05)
    assert np.array_equal(resample_mask(there, model, grid()), mask)


def test_an_empty_brain_has_nothing_to_undo():
    empty = np.zeros(grid().shape, bool)
    trace = Trace(native=grid(), model=grid(), to_native=np.eye(4), brain=empty)
    assert not trace.undo(blob(grid())).any()


def test_a_volume_fills_its_grid():
    with pytest.raises(ValueError, match="the grid says"):
        Volume(values=np.zeros((2, 2, 2), np.float32), grid=grid())


def test_a_scan_fits_its_space():
    space = Space(slots=((Contrast.T1W,),), grid=grid())
    image, brain = np.zeros((1, *grid().shape), np.float32), np.ones(grid().shape, bool)
    scan = Scan(id="a", space=space, image=image, brain=brain)
    assert scan.content == Scan(id="b", space=space, image=image, brain=brain).content
    assert scan.content != Scan(id="a", space=space, image=image + 1, brain=brain).content
    with pytest.raises(ValueError, match="the space says"):
        Scan(id="a", space=space, image=np.concatenate([image, image]), brain=brain)


def test_a_space_accepts_its_contrasts_in_order():
    space = Space(slots=((Contrast.T1W, Contrast.T1W_CE), (Contrast.FLAIR,)), grid=grid())
    assert space.accepts((Contrast.T1W_CE, Contrast.FLAIR))
    assert not space.accepts((Contrast.FLAIR, Contrast.T1W))
    assert not space.accepts((Contrast.T1W,))


def test_an_anomaly_map_keeps_its_contract():
    brain = np.zeros((4, 4, 4), bool)
    brain[1:3] = True
    good = np.where(brain, np.float32(2), np.float32(0))
    assert AnomalyMap(values=good, brain=brain).score == 2
    for bad, said in (
        (good - 1, "0 or more"),
        (np.full_like(good, np.nan), "finite"),
        (good + 1, "0 outside the brain"),
    ):
        with pytest.raises(ValueError, match=said):
            AnomalyMap(values=bad, brain=brain)


@pytest.mark.parametrize(("count", "expected"), [(1, 0.0), (100, 99.0), (200, 198.5), (299, 297.5)])
def test_the_score_is_the_mean_of_the_top_percent(count, expected):
    assert top_mean(np.random.default_rng(0).permutation(count).astype(float)) == expected


def test_a_refusal_says_what_why_and_what_to_do():
    assert str(Refused("x.nii", "is empty", "copy it again")) == "x.nii: is empty; copy it again"


@pytest.mark.parametrize("seed", range(20))
def test_an_oblique_slice_stays_on_its_own_grid_to_the_last_voxel(seed):
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * (0.9, 0.9, 5.5), rng.uniform(-90, 90, 3)
    grid = Grid(shape=(20, 21, 1), affine=affine)
    nearly = affine.copy()
    nearly[:3, 3] += 1e-7
    values = rng.uniform(1, 2, grid.shape).astype(np.float32)
    for target in (grid, Grid(shape=grid.shape, affine=nearly)):
        np.testing.assert_allclose(resample(values, grid, target), values, rtol=1e-5)
