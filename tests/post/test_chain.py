import numpy as np
import pytest

from hale.core.anomaly import AnomalyMap
from hale.core.grid import Grid
from hale.post.chain import processed
from hale.post.edges import eroded, median
from hale.post.settings import Order, PostProcessing
from hale.post.smooth import smoothed

GRID = Grid(shape=(20, 24, 16), affine=np.diag([2.0, 2, 3, 1]))
INDEX = np.indices(GRID.shape)
BRAIN = ((INDEX - np.reshape((9.5, 11.5, 7.5), (3, 1, 1, 1))) ** 2).sum(0) < 49
NOISE = np.where(BRAIN, np.random.default_rng(0).uniform(0, 5, GRID.shape), 0).astype(np.float32)


def test_smoothing_keeps_a_constant_up_to_the_border():
    flat = np.where(BRAIN, np.float32(3), np.float32(0))
    smooth = smoothed(flat, BRAIN, GRID, fwhm_mm=8.0)
    assert np.allclose(smooth[BRAIN], 3, atol=1e-5)
    assert (smooth[~BRAIN] == 0).all()


def test_smoothing_takes_nothing_from_outside():
    wild = np.where(BRAIN, NOISE, np.float32(1e6))
    assert np.array_equal(
        smoothed(wild, BRAIN, GRID, fwhm_mm=6.0), smoothed(NOISE, BRAIN, GRID, fwhm_mm=6.0)
    )


def test_the_width_of_the_smoothing_is_in_millimetres():
    point = np.zeros(GRID.shape, np.float32)
    point[10, 12, 8] = 1
    everywhere = np.ones(GRID.shape, bool)
    smooth = smoothed(point, everywhere, GRID, fwhm_mm=6.0)
    along_i, along_k = smooth[:, 12, 8], smooth[10, 12, :]
    middle = smooth[10, 12, 8]
    # Half the width at half maximum is 3 mm: one voxel of 3 mm along k, one and a half along i.
    assert along_k[9] / middle == pytest.approx(0.5, abs=0.01)
    assert along_i[11] / middle == pytest.approx(2 ** -((2 / 3) ** 2), abs=0.01)


def test_one_slice_is_smoothed_within_itself():
    grid = Grid(shape=(20, 24, 1), affine=GRID.affine)
    brain = BRAIN[:, :, 8:9]
    flat = np.where(brain, np.float32(2), np.float32(0))
    assert np.allclose(smoothed(flat, brain, grid, fwhm_mm=6.0)[brain], 2, atol=1e-5)


def test_erosion_is_per_slice_and_never_takes_a_whole_slice():
    thin = BRAIN & (INDEX[2] < 8)
    inner = eroded(thin, times=1)
    assert inner[:, :, 7].any()
    assert (inner <= thin).all()
    dot = np.zeros(GRID.shape, bool)
    dot[5, 5, 5] = True
    assert np.array_equal(eroded(dot, times=3), dot)
    assert eroded(BRAIN, times=2).sum() < inner.sum() + BRAIN.sum()
    assert np.array_equal(eroded(BRAIN, times=0), BRAIN)


def test_two_erosions_are_one_after_the_other():
    whole = np.zeros((15, 15, 2), bool)
    whole[2:13, 2:13] = True
    assert np.array_equal(eroded(whole, times=2), eroded(eroded(whole, times=1), times=1))


def test_the_median_drops_single_hot_voxels_and_keeps_a_plateau():
    values = np.where(BRAIN, np.float32(1), np.float32(0))
    values[10, 12, 8] = 100
    cleaned = median(values, BRAIN, width=3)
    assert cleaned[10, 12, 8] == 1
    assert (cleaned[~BRAIN] == 0).all()
    assert np.array_equal(median(values, BRAIN, width=1), values)


def test_the_median_equals_the_one_voxel_by_voxel():
    cleaned = median(NOISE, BRAIN, width=3)
    for i, j, k in ((10, 12, 8), (9, 9, 7), (12, 14, 9)):
        around = NOISE[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2]
        assert cleaned[i, j, k] == np.median(around)


def test_the_median_of_one_slice_stays_in_it():
    slice_, brain = NOISE[:, :, 8:9], BRAIN[:, :, 8:9]
    cleaned = median(slice_, brain, width=3)
    assert cleaned[10, 12, 0] == np.median(slice_[9:12, 11:14, 0])


def test_no_settings_change_nothing():
    anomaly = AnomalyMap(values=NOISE, brain=BRAIN)
    assert np.array_equal(processed(anomaly, GRID, PostProcessing()).values, NOISE)


@pytest.mark.parametrize(
    "settings",
    [
        PostProcessing(erode=2),
        PostProcessing(smooth_mm=5.0),
        PostProcessing(median=5),
        PostProcessing(erode=1, smooth_mm=4.0, median=3),
    ],
    ids=str,
)
def test_any_post_processing_keeps_the_contract_and_repeats(settings):
    anomaly = AnomalyMap(values=NOISE, brain=BRAIN)
    one, two = processed(anomaly, GRID, settings), processed(anomaly, GRID, settings)
    assert np.array_equal(one.values, two.values)
    assert one.values.max() <= NOISE.max() + 1e-5
    assert one.brain is BRAIN


def square(width: int) -> np.ndarray:
    """Return a brain that is a square of ``width`` in the middle of 15 slices of 25 x 25."""
    brain = np.zeros((25, 25, 15), bool)
    first = (25 - width) // 2
    brain[first : first + width, first : first + width, 2:13] = True
    return brain


# Check 8 of the shared protocol
def test_three_erosions_leave_the_middle_of_a_square_and_a_mask_of_one_slice():
    brain = square(11)
    assert np.array_equal(eroded(brain, times=3), square(5))
    thin = brain & (np.arange(15) == 7)
    assert np.array_equal(eroded(thin, times=3), square(5) & (np.arange(15) == 7))


# Check 9
def test_a_median_of_five_drops_a_voxel_and_keeps_a_constant_up_to_the_border():
    everywhere = np.ones((9, 9, 9), bool)
    lone = np.zeros(everywhere.shape, np.float32)
    lone[4, 4, 4] = 7
    assert not median(lone, everywhere, width=5).any()
    flat = np.full(everywhere.shape, np.float32(3))
    assert np.array_equal(median(flat, everywhere, width=5), flat)


@pytest.mark.parametrize("order", Order)
def test_erosion_and_median_come_in_the_order_asked_for(order):
    brain = square(11)
    values = np.where(brain & ~square(5), np.float32(9), np.float32(0))  # a bright rim
    values[square(5)] = 1
    grid = Grid(shape=brain.shape, affine=GRID.affine)
    found = processed(
        AnomalyMap(values=values, brain=brain),
        grid,
        PostProcessing(order=order, erode=3, median=5),
    ).values
    inner = square(5)
    if order is Order.ERODE_FIRST:  # the corner of the inner square sees 3 x 3 of it in 5 x 5
        assert np.array_equal(found, median(values * inner, brain, width=5))
        assert found[10, 10, 7] == 0
    else:
        assert np.array_equal(found, median(values, brain, width=5) * inner)
        assert found[10, 10, 7] == 9
        assert not found[~inner].any()
    assert found[12, 12, 7] == 1
