"""Each figure of quality control is right where the answer is known, and grows with the harm."""

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, gaussian_filter
from scipy.spatial.transform import Rotation

from hale.core.grid import Grid
from hale.core.scan import Volume
from hale.io.nifti import read_volume
from hale.prep.artefacts import artefacts, ghosting, neighbourhood, stripes
from hale.prep.measures import Registered, coverage, likeness, measures, native_voxels, placement
from hale.prep.template import template_on

RADIUS = 60.0
GRID = Grid(shape=(80, 80, 80), affine=np.diag([2.0, 2, 2, 1]))
GRID.affine[:3, 3] = -79
POSITION = GRID.positions(np.indices(GRID.shape).reshape(3, -1).T).reshape(*GRID.shape, 3)
BALL = (POSITION**2).sum(-1) < RADIUS**2
RNG = np.random.default_rng(0)
TEXTURE = RNG.normal(size=GRID.shape).astype("f4")
IMAGE = np.where(BALL, 100 + TEXTURE, 0).astype("f4")


def registered(to_native: np.ndarray | None = None, image: np.ndarray = IMAGE) -> Registered:
    return Registered(
        image=image,
        inside=BALL,
        template=BALL.astype("f4"),
        grid=GRID,
        to_native=np.eye(4) if to_native is None else to_native,
    )


def volume(values: np.ndarray, grid: Grid = GRID) -> Volume:
    return Volume(values=values.astype("f4"), grid=grid)


def core() -> np.ndarray:
    return np.argwhere(BALL)


# The field of view


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("depth_mm", [20, 40, 60, 80])
def test_a_ball_loses_the_cap_that_the_field_of_view_cuts(depth_mm, zeros):
    first = int((depth_mm - RADIUS + 80) / 2)  # of the slices that remain, along z
    values, brain = IMAGE + 5, BALL.copy()
    brain[:, :, :first] = False
    if zeros:
        values[:, :, :first], grid = 0, GRID
    else:
        shift = np.eye(4)
        shift[2, 3] = first
        values, brain = np.ascontiguousarray(values[:, :, first:]), brain[:, :, first:]
        grid = Grid(shape=values.shape, affine=GRID.affine @ shift)
    found = coverage(volume(values, grid), brain, registered())
    cap = depth_mm**2 * (3 * RADIUS - depth_mm) / (4 * RADIUS**3)
    assert found["outside_share"] == pytest.approx(cap, abs=0.01)
    widest = min(1.0, 1 - ((RADIUS - depth_mm) / RADIUS) ** 2) if depth_mm < RADIUS else 1.0
    assert found["brain_cut"] == pytest.approx(widest, abs=0.05)


def test_a_whole_ball_is_not_cut_and_nan_at_the_ends_is_no_field_of_view():
    found = coverage(volume(IMAGE + TEXTURE), BALL, registered())
    assert found == {"brain_cut": 0.0, "outside_share": 0.0}
    values = IMAGE + TEXTURE
    values[:40] = np.nan
    half = BALL.copy()
    half[:40] = False
    found = coverage(volume(values), half, registered())
    assert found["brain_cut"] == pytest.approx(1.0, abs=0.01)
    assert found["outside_share"] == pytest.approx(0.5, abs=0.01)


# The place


def test_turn_scale_and_mirror_come_out_of_the_affine():
    turn = Rotation.from_rotvec(np.radians(37) * np.array([0.6, 0, 0.8])).as_matrix()
    stretch = Rotation.from_euler("x", 20, degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ stretch @ np.diag([0.8, 1.0, 1.2]) @ stretch.T
    found = placement(GRID, BALL, registered(affine))
    assert found["rotation_deg"] == pytest.approx(37)
    assert (found["scale_min"], found["scale_max"]) == pytest.approx((0.8, 1.2))
    assert found["stretch"] == pytest.approx(1.5)
    assert found["volume_factor"] == pytest.approx(0.96)
    mirrored = affine @ np.diag([-1.0, 1, 1, 1])
    assert placement(GRID, BALL, registered(mirrored))["volume_factor"] == pytest.approx(-0.96)
    assert found["overlap_dice"] == 1


@pytest.mark.parametrize("mm", [0, 10, 30])
def test_a_shift_is_seen_in_mm(mm):
    affine = np.eye(4)
    affine[1, 3] = mm
    assert placement(GRID, BALL, registered(affine))["centre_off_mm"] == pytest.approx(mm, abs=0.1)


def test_points_of_the_model_land_on_their_native_voxels():
    turned = np.array([[0, -1.5, 0, 9], [1.5, 0, 0, -4], [0, 0, 3.0, 2], [0, 0, 0, 1]])
    native = Grid(shape=(100, 100, 60), affine=turned)
    index = native_voxels(BALL, registered(), native)
    assert 20_000 <= len(index) < 40_000
    assert np.linalg.norm(native.positions(index).mean(0)) < 0.5
    apart = np.linalg.norm(native.positions(index), axis=1).max()
    assert apart == pytest.approx(RADIUS, abs=2)


# Likeness


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    return template_on(MNI)


MNI = Grid(shape=(96, 112, 96), affine=np.diag([2.0, 2, 2, 1]))
MNI.affine[:3, 3] = -95, -128, -78


def like(image: np.ndarray, template: np.ndarray) -> dict[str, float]:
    inside = template > 0.05
    one = Registered(
        image=image.astype("f4"), inside=inside, template=template, grid=MNI, to_native=np.eye(4)
    )
    return likeness(one)


def test_the_template_is_like_itself_and_nearly_symmetric(head):
    found = like(head, head)
    assert found["correlation"] == pytest.approx(1)
    assert found["resemblance"] > 0.95
    assert found["symmetry"] > 0.95


def test_asymmetry_and_blur_are_seen_by_degrees(head):
    one_side = np.zeros(MNI.shape)
    one_side[20:35, 50:65, 40:60] = 1
    symmetry = [like(head + a * one_side, head)["symmetry"] for a in (0, 0.2, 0.5)]
    assert symmetry[0] > symmetry[1] > symmetry[2]
    detail = [like(gaussian_filter(head, sd), head)["detail"] for sd in (0, 1, 2)]
    assert detail[0] > detail[1] > detail[2]


def test_without_contrast_nothing_can_be_compared(head):
    found = like(np.zeros(MNI.shape), head)
    assert set(found) == {"correlation", "resemblance", "symmetry", "detail"}
    assert all(np.isnan(value) for value in found.values())


# The image


@pytest.mark.parametrize("sigma", [1, 5, 20])
def test_noise_is_its_sigma_over_the_range_of_the_brain(sigma):
    ramp = 10 * POSITION[..., 0]
    noisy = ramp + sigma * TEXTURE
    low, high = np.percentile(noisy[BALL], [5, 95])
    found = neighbourhood(volume(noisy), core())
    assert found["noise"] == pytest.approx(sigma / (high - low), rel=0.03)


def test_nothing_but_noise_has_the_noise_of_a_normal_distribution():
    assert neighbourhood(volume(TEXTURE), core())["noise"] == pytest.approx(1 / 3.29, rel=0.02)


def test_thick_slices_are_no_neighbours():
    thick = Grid(shape=GRID.shape, affine=np.diag([1.0, 1, 5, 1]))
    values = 100 * (np.arange(80) % 2) + 0.1 * TEXTURE  # every other slice is brighter
    assert neighbourhood(volume(values, thick), core())["noise"] < 0.01


def test_spikes_flat_saturated_and_grey_levels_are_counted():
    ramp = 10 * POSITION[..., 0] + TEXTURE
    spiked = np.where(RNG.random(GRID.shape) < 0.02, 5000, ramp)
    assert neighbourhood(volume(spiked), core())["spikes"] == pytest.approx(0.02, abs=0.003)
    assert neighbourhood(volume(ramp), core())["spikes"] == 0
    clipped = np.minimum(ramp, 0)
    found = neighbourhood(volume(clipped), core())
    assert found["saturated"] == pytest.approx(0.5, abs=0.02)
    assert found["flat"] == pytest.approx(0.5, abs=0.03)
    coarse = np.floor(RNG.random(GRID.shape) * 7)
    found = neighbourhood(volume(coarse), core())
    assert found["grey_levels"] == 7
    assert found["flat"] < 0.001


def test_too_few_points_measure_nothing():
    found = neighbourhood(volume(IMAGE), core()[:50])
    assert all(np.isnan(value) for value in found.values())
    assert np.isnan(ghosting(np.zeros((20, 20, 20)), np.full(3, 5.0)))
    assert np.isnan(stripes(np.zeros((20, 20, 20))))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("strength", [0.1, 0.3, 0.5])
def test_a_ghost_is_as_high_as_its_strength_says(axis, strength):
    detail = TEXTURE * BALL
    shifted = detail + strength * np.roll(detail, 20, axis)
    found = ghosting(shifted, np.full(3, 2.0))
    assert found == pytest.approx(strength / (1 + strength**2), abs=0.02)
    assert ghosting(detail, np.full(3, 2.0)) < 0.03


@pytest.mark.parametrize("wave", [(7, 0, 0), (7, 5, 0), (3, 4, 11)])
def test_a_wave_makes_up_its_share_of_the_power(wave):
    phase = 2 * np.pi * (np.indices(GRID.shape) * np.array(wave)[:, None, None, None]).sum(0) / 80
    found = stripes(TEXTURE + np.cos(phase))
    assert found == pytest.approx(0.5 / (0.5 + TEXTURE.var()), rel=0.02)
    assert stripes(TEXTURE) < 1e-3


def test_voxels_that_are_not_finite_do_not_spoil_the_figures():
    values = 10 * POSITION[..., 0] + TEXTURE
    holed = np.where(BALL, values, np.nan)
    inner = np.argwhere(binary_erosion(BALL, iterations=2))
    one, other = (artefacts(volume(v), inner) for v in (holed, np.where(BALL, values, 0)))
    assert one == other
    assert all(np.isfinite(list(one.values())))


# All together


def test_all_figures_come_at_once_and_are_numbers():
    found = measures(volume(IMAGE + TEXTURE), BALL, registered())
    assert found["brain_ml"] == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.01)
    assert found["spacing_max_mm"] == 2
    assert found["spacing_ratio"] == 1
    assert found["overlap_dice"] == 1
    assert found["rotation_deg"] == pytest.approx(0)
    assert set(found) >= {"noise", "ghosting", "stripes", "symmetry", "brain_cut", "flat"}


@pytest.mark.parametrize("number", ["012", "034"])
def test_a_real_scan_is_clean_until_a_ghost_is_laid_over_it(number, shared_data):
    folder = shared_data / f"ixi/sub-IXI{number}/anat"
    scan = read_volume(folder / f"sub-IXI{number}_T1w.nii.gz").volume
    brain = read_volume(folder / f"sub-IXI{number}_desc-brain_mask.nii.gz").volume.values > 0
    inner = np.argwhere(binary_erosion(brain, iterations=3))
    clean = artefacts(scan, inner)
    assert clean["ghosting"] < 0.02
    assert clean["stripes"] < 0.002
    assert 0.02 < clean["noise"] < 0.1
    assert clean["spikes"] + clean["flat"] + clean["saturated"] < 0.001
    for axis in (0, 1):
        copy = np.roll(scan.values, scan.grid.shape[axis] // 4, axis)
        ghost = artefacts(volume(scan.values + 0.3 * copy, scan.grid), inner)
        assert ghost["ghosting"] > 0.2
