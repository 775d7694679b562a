"""Lesions at any threshold: the same as labelling the map anew, and what healthy scans show."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from hale.calibration import Calibrating, Calibration, Norm, components
from hale.core.grid import Grid
from hale.serve.healthy import false_components, figures, p_values
from hale.serve.threshold import at, cut, painted, ready
from hale.serve.volumes import Result

GRID = Grid(shape=(30, 34, 28), affine=np.diag([2.0, 1, 1.5, 1]))


@pytest.fixture(scope="module")
def result() -> Result:
    z = gaussian_filter(np.random.default_rng(0).standard_normal(GRID.shape), 1.2)
    z = (z / z.std() + 1).astype(np.float32)
    brain = np.zeros(GRID.shape, bool)
    brain[2:-2, 3:-3, 2:-2] = True
    return Result(anomaly=np.where(brain, z, np.float32(0)), brain=brain, grid=GRID)


@pytest.mark.parametrize("z0", [2.0, 2.3, 2.75, 3.5, 100.0])
def test_a_cut_is_what_labelling_anew_gives(result, z0):
    labels, masses = components(result.anomaly, result.brain, GRID, z0=z0)
    made = ready(result, calibrated=True)
    found = cut(made, z0)
    np.testing.assert_allclose(found.mass, masses, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(painted(made, found) > 0, labels > 0)
    for n, mass in enumerate(masses, 1):  # the same voxels, by the mass of their component
        mine = painted(made, found)[labels == n]
        assert len(np.unique(mine)) == 1
        assert found.mass[mine[0] - 1] == pytest.approx(mass, abs=1e-5)


def test_a_lesion_is_described_as_by_hand():
    values = np.zeros(GRID.shape, np.float32)
    values[4:7, 5, 6] = [3.0, 5.0, 4.0]  # 3 voxels of 3 mm3
    values[20, 20, 20] = 2.5
    brain = np.ones(GRID.shape, bool)
    shown = at(ready(Result(anomaly=values, brain=brain, grid=GRID), calibrated=True), 2.0)
    big, small = shown["lesions"]
    assert big["mass"] == pytest.approx((1 + 3 + 2) * 0.003)
    assert big["volume_ml"] == pytest.approx(3 * 0.003)
    assert big["peak"] == 5.0
    assert big["peak_mm"] == [10.0, 5.0, 9.0]
    assert big["centre_mm"] == [10.0, 5.0, 9.0]
    assert big["centre_vox"] == [5, 5, 6]
    assert (small["label"], small["peak"]) == (2, 2.5)
    assert shown["count"] == 2


def test_voxels_that_touch_at_a_corner_belong_together_and_no_others():
    values = np.zeros(GRID.shape, np.float32)
    values[5, 5, 5] = values[6, 6, 6] = 4.0
    values[29, 10, 10] = values[0, 11, 10] = 4.0  # neighbours only if rows ran on
    made = ready(
        Result(anomaly=values, brain=np.ones(GRID.shape, bool), grid=GRID), calibrated=True
    )
    assert len(cut(made, 3.0).mass) == 3


def test_two_peaks_part_where_the_saddle_is_cut():
    values = np.zeros(GRID.shape, np.float32)
    values[5:10, 5, 5] = [6, 5, 3, 5, 6]
    made = ready(
        Result(anomaly=values, brain=np.ones(GRID.shape, bool), grid=GRID), calibrated=True
    )
    assert len(cut(made, 2.9).mass) == 1
    assert len(cut(made, 3.0).mass) == 2  # z > z0, strictly


def test_an_uncalibrated_map_is_cut_from_its_own_zero(result):
    made = ready(result, calibrated=False)
    assert made.floor == 0.0
    assert at(made, -5.0)["z"] == 0.0


def test_an_empty_map_shows_nothing():
    nothing = np.zeros(GRID.shape, np.float32)
    made = ready(
        Result(anomaly=nothing, brain=np.ones(GRID.shape, bool), grid=GRID), calibrated=True
    )
    shown = at(made, 3.0)
    assert shown["lesions"] == []
    assert shown["count"] == 0


def calibration() -> Calibration:
    """Four healthy scans, steps 2 and 3."""
    ladder = {
        2.0: [np.array([4.0, 1.0]), np.array([2.0]), np.array([6.0, 1.0, 1.0]), np.array([1.0])],
        3.0: [np.array([2.0]), np.array([]), np.array([3.0]), np.array([])],
    }
    ones = np.ones((2, 2, 2), np.float32)
    return Calibration(
        settings=Calibrating(alpha=0.2),
        norm=Norm(mean=ones, spread=ones),
        tail=np.linspace(1000, 0, 32768).astype(np.int64),
        maxima=np.array([2.0, 0, 3.0, 0]),
        ladder=ladder,
        domain={},
    )


def test_figures_of_healthy_scans_by_hand():
    told = figures(calibration(), 3.0, 2.5)
    assert told["healthy_share"] == 0.25  # one of four has a component as heavy as 2.5 ml
    assert told["healthy_share_any"] == 0.5
    assert told["false_components"] == 0.5
    assert told["ladder_z"] == 3.0
    assert told["healthy_scans"] == 4
    assert figures(calibration(), 3.0, None)["healthy_share"] is None


def test_between_steps_the_lower_one_bounds_p_and_components_are_interpolated():
    assert p_values(calibration(), 2.5, [3.0, 9.0]) == pytest.approx([3 / 5, 1 / 5])  # 4, 6 ml
    assert p_values(calibration(), 3.0, [3.0]) == pytest.approx([(1 + 1) / 5])
    assert false_components(calibration(), 2.5) == pytest.approx((7 / 4 + 2 / 4) / 2)
    assert p_values(calibration(), 1.9, [3.0]) == [None]  # below the ladder nothing is known


def test_off_z0_nothing_is_claimed_where_people_have_several_scans():
    """At z0 a person counts once; the ladder counts scans, and does not say whose they are."""
    several = replace(calibration(), maxima=np.array([2.0, 3.0]))  # two people, two scans each
    told = figures(several, 2.0, 1.0)
    assert (told["healthy_share"], told["healthy_share_any"]) == (None, None)
    assert told["healthy_scans"] == 2
    assert p_values(several, 2.5, [3.0, 9.0]) == [None, None]
    assert p_values(several, 3.0, [2.5]) == pytest.approx([2 / 3])


def test_without_calibration_nothing_is_claimed():
    assert set(figures(None, 3.0, 1.0).values()) == {None}
    assert p_values(None, 3.0, [1.0]) == [None]


def test_the_station_answers_a_threshold(browser, ids):
    at_3 = browser.get(f"/api/results/{ids['ill']}/threshold", params={"z": 3}).json()
    assert at_3["calibrated"] is True
    assert at_3["ladder_z"] == 3.0
    assert at_3["healthy_scans"] == 9
    assert at_3["lesions"][0]["p"] == pytest.approx(1 / 10)
    masses = [lesion["mass"] for lesion in at_3["lesions"]]
    assert masses == sorted(masses, reverse=True)
    plain = browser.get(f"/api/results/{ids['plain']}/threshold", params={"z": 3}).json()
    assert plain["calibrated"] is False
    assert plain["healthy_share"] is None
    assert plain["lesions"][0]["p"] is None
    for z in ("nan", "inf", "x"):
        assert browser.get(f"/api/results/{ids['ill']}/threshold", params={"z": z}).status_code in (
            400,
            422,
        )


def test_lesions_at_z0_are_those_of_the_mask(browser, ids):
    shown = browser.get(f"/api/results/{ids['ill']}/threshold", params={"z": 3}).json()
    kept = [lesion for lesion in shown["lesions"] if lesion["p"] <= 0.1]
    told = browser.get(f"/api/results/{ids['ill']}").json()["detection"]["lesions"]
    assert [lesion["volume_ml"] for lesion in kept] == pytest.approx(
        [lesion["volume_ml"] for lesion in told], abs=1e-3
    )
    for one, other in zip(kept, told, strict=True):
        assert one["centre_mm"] == pytest.approx(other["centre_mm"], abs=0.11)
        assert one["mass"] == pytest.approx(other["mass"], abs=1e-3)
