"""What is promised to clinicians: p-values and the share of healthy scans that are flagged."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from hale.calibration import (
    STEP,
    Calibrating,
    Calibration,
    Norm,
    calibrated,
    components,
    flagged_range,
    from_arrays,
    normative,
    rate_interval,
    settings_of,
)
from hale.core.anomaly import AnomalyMap
from hale.core.errors import Refused
from hale.core.grid import Grid

GRID = Grid(shape=(7, 7, 7), affine=np.diag([2.0, 2.0, 2.0, 1.0]))
BRAIN = np.ones(GRID.shape, bool)
IDENTITY = Norm(mean=np.zeros(GRID.shape, np.float32), spread=np.ones(GRID.shape, np.float32))
ML = 0.008  # of a voxel


def healthy_map(rng: np.random.Generator) -> AnomalyMap:
    """A smooth random field with a heavy tail: blobs of all sizes above z0."""
    field = ndimage.gaussian_filter(rng.standard_t(4, GRID.shape), 0.7)
    return AnomalyMap(values=np.abs(6 * field).astype(np.float32), brain=BRAIN)


def calibration(maps, persons=None, *, alpha=0.1, z0=3.0) -> Calibration:
    return calibrated(
        maps,
        persons or [f"sub-{i}" for i in range(len(maps))],
        norm=IDENTITY,
        grid=GRID,
        settings=Calibrating(alpha=alpha, z0=z0),
        domain={},
    )


def is_flagged(model: Calibration, anomaly: AnomalyMap) -> bool:
    _, found = model.components(model.norm.z(anomaly), anomaly.brain, GRID)
    return any(component.p <= model.settings.alpha for component in found)


def test_healthy_scans_are_flagged_no_more_often_than_promised_over_calibration_sets():
    rng = np.random.default_rng(0)
    n, alpha, sets, tests = 21, 0.1, 120, 10
    flagged = 0
    for _ in range(sets):
        model = calibration([healthy_map(rng) for _ in range(n)], alpha=alpha)
        flagged += sum(is_flagged(model, healthy_map(rng)) for _ in range(tests))
    # k = 2 of 22 without ties: the rate is 2/22, and no upward excess beyond 4 standard errors
    k = 2
    rate, expected = flagged / (sets * tests), k / (n + 1)
    spread = np.sqrt(stats.beta(k, n + 1 - k).var() / sets + expected / (sets * tests))
    assert rate <= alpha + 4 * spread
    assert rate == pytest.approx(expected, abs=4 * spread)


def test_the_realised_rate_of_one_set_follows_the_stated_beta():
    rng = np.random.default_rng(1)
    n, alpha = 21, 0.1
    settings_ = Calibrating(alpha=alpha)
    rates = []
    for _ in range(800):  # scans are exchangeable maxima; uniform without loss of generality
        model = Calibration(
            settings=settings_,
            norm=IDENTITY,
            tail=np.ones(1, np.int64),
            maxima=rng.random(n),
            ladder={},
            domain={},
        )
        smallest_flagged = next(
            m for m in np.sort(model.maxima) if model.p_mass(m + 1e-12) <= alpha
        )
        rates.append(1 - smallest_flagged)
    assert stats.kstest(rates, stats.beta(2, 20).cdf).pvalue > 0.001
    low, high = rate_interval(alpha, n)
    inside = np.mean([low <= rate <= high for rate in rates])
    assert inside == pytest.approx(0.95, abs=0.03)


def test_the_published_figures_of_the_evaluation_plan():
    low, high = rate_interval(0.1, 21)
    assert (round(100 * low), round(100 * high)) == (1, 24)
    assert flagged_range(0.1, 21, 21) == (0, 5)
    assert Calibrating(alpha=0.1).scans_needed == 9
    assert Calibrating(alpha=1 / 22).scans_needed == 21


@pytest.mark.parametrize(("n", "alpha"), [(21, 1 / 23), (8, 0.1), (0, 0.5)])
def test_an_alpha_too_small_for_the_scans_is_refused_by_name(n: int, alpha: float):
    rng = np.random.default_rng(2)
    with pytest.raises(Refused, match=r"alpha = .*can promise no less than"):
        calibration([healthy_map(rng) for _ in range(n)], alpha=alpha)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_an_alpha_that_is_no_share_is_refused(alpha: float):
    rng = np.random.default_rng(2)
    with pytest.raises(Refused, match="no share"):
        calibration([healthy_map(rng) for _ in range(9)], alpha=alpha)


def test_voxel_p_is_the_counted_share_of_healthy_voxels():
    rng = np.random.default_rng(3)
    maps = [healthy_map(rng) for _ in range(9)]
    model = calibration(maps)
    healthy = np.concatenate([m.values[m.brain] for m in maps])
    z = np.concatenate([healthy[:200], rng.uniform(-20, 40, 200)]).astype(np.float32)
    z = z.reshape(20, 20, 1)
    rounded = np.floor(z / STEP) * STEP
    counted = (1 + (healthy >= rounded[..., None]).sum(-1)) / (1 + healthy.size)
    np.testing.assert_allclose(model.p_voxel(z), counted, rtol=1e-6)
    exact = (1 + (healthy >= z[..., None]).sum(-1)) / (1 + healthy.size)
    assert (model.p_voxel(z) >= exact * (1 - 1e-6)).all()  # rounding never flatters


def test_voxel_p_of_a_fresh_healthy_scan_is_uniform_or_larger():
    rng = np.random.default_rng(4)
    model = calibration([healthy_map(rng) for _ in range(60)])
    p = np.concatenate([model.p_voxel(healthy_map(rng).values).ravel() for _ in range(60)])
    for level in (0.01, 0.05, 0.2):
        assert np.mean(p <= level) == pytest.approx(level, rel=0.25)


def test_masses_by_hand():
    z = np.zeros(GRID.shape, np.float32)
    z[0, 0, 0], z[1, 1, 1] = 4.0, 5.5  # touch at a corner: one component
    z[5, 5, 5] = 3.25
    z[3, 3, 6] = 3.0  # not above z0
    labels, masses = components(z, BRAIN, GRID, z0=3.0)
    assert masses == pytest.approx([3.5 * ML, 0.25 * ML])
    assert labels[0, 0, 0] == labels[1, 1, 1] == 1
    assert labels[5, 5, 5] == 2
    assert labels.max() == 2
    assert (labels > 0).sum() == 3


def test_what_lies_outside_the_brain_forms_no_component():
    z = np.full(GRID.shape, 9.0, np.float32)
    assert components(z, ~BRAIN, GRID, z0=3.0)[1] == []


def test_components_agree_with_scikit_image():
    from skimage.measure import label

    z = healthy_map(np.random.default_rng(5)).values
    labels, masses = components(z, BRAIN, GRID, z0=5.0)
    reference = label(z > 5.0, connectivity=3)
    assert labels.max() == reference.max() > 1
    sums = sorted((z[reference == i] - 5.0).sum() * ML for i in range(1, reference.max() + 1))
    np.testing.assert_allclose(sorted(masses), sums, rtol=1e-4)


def test_p_of_a_lesion_by_hand():
    rng = np.random.default_rng(6)
    model = calibration([healthy_map(rng) for _ in range(9)])
    heaviest = np.sort(model.maxima)
    assert model.p_mass(heaviest[-1] + 1) == 1 / 10
    assert model.p_mass(heaviest[-1]) == 2 / 10  # as heavy counts
    assert model.p_mass(heaviest[-3]) == 4 / 10
    assert model.p_mass(-1.0) == 1.0


def test_visits_of_one_person_count_as_one_and_by_the_heaviest():
    rng = np.random.default_rng(7)
    maps = [healthy_map(rng) for _ in range(12)]
    persons = [*(f"sub-{i}" for i in range(9)), "sub-0", "sub-0", "sub-1"]
    model = calibration(maps, persons)
    alone = calibration(maps, [f"sub-{i}" for i in range(12)])
    assert model.n_scans == 9
    assert model.maxima.max() == alone.maxima.max()
    np.testing.assert_array_equal(model.tail, alone.tail)  # voxels are all counted
    with pytest.raises(Refused, match="alpha"):
        calibration(maps[:9], ["sub-0"] * 9)


def test_norm_is_mean_and_spread_where_they_are_smooth():
    rng = np.random.default_rng(8)
    shape = (12, 12, 12)
    grid = Grid(shape=shape, affine=np.diag([2.0, 2, 2, 1]))
    brain = np.ones(shape, bool)
    maps = [
        AnomalyMap(values=np.abs(5 + rng.standard_normal(shape)).astype(np.float32), brain=brain)
        for _ in range(40)
    ]
    norm = normative(maps, grid, Calibrating())
    assert norm.mean.mean() == pytest.approx(5, abs=0.02)
    assert norm.spread.mean() == pytest.approx(1, abs=0.05)
    z = np.stack([norm.z(m) for m in maps])
    assert z.std() == pytest.approx(1, abs=0.05)


def test_constant_maps_have_the_floor_for_a_spread_and_no_infinite_z():
    maps = [AnomalyMap(values=np.full(GRID.shape, 2, np.float32), brain=BRAIN)] * 4
    norm = normative(maps, GRID, Calibrating())
    np.testing.assert_allclose(norm.mean, 2, rtol=1e-5)
    assert np.isfinite(norm.z(maps[0])).all()
    np.testing.assert_allclose(norm.z(maps[0]), 0, atol=2)


def test_a_rim_that_is_always_bad_is_not_an_anomaly():
    rng = np.random.default_rng(9)
    rim = np.zeros((14, 14, 14), np.float32)
    rim[:3] = 10
    grid = Grid(shape=rim.shape, affine=np.diag([2.0, 2, 2, 1]))
    brain = np.ones(rim.shape, bool)

    def scan() -> AnomalyMap:
        noise = np.abs(rng.standard_normal(rim.shape)) * (1 + rim)
        return AnomalyMap(values=(rim + noise).astype(np.float32), brain=brain)

    norm = normative([scan() for _ in range(20)], grid, Calibrating(smooth_mm=2.0))
    z = norm.z(scan())
    assert abs(z[:2].mean()) < 0.5
    assert abs(z[6:].mean()) < 0.5


def test_survives_its_arrays():
    rng = np.random.default_rng(10)
    model = calibration([healthy_map(rng) for _ in range(9)])
    again = from_arrays(model.arrays(), model.settings, model.domain)
    probe = healthy_map(rng)
    np.testing.assert_array_equal(again.p_voxel(probe.values), model.p_voxel(probe.values))
    assert again.p_mass(0.05) == model.p_mass(0.05)
    assert list(again.ladder) == list(model.ladder)
    for z0, scans in model.ladder.items():
        assert [m.tolist() for m in again.ladder[z0]] == [m.tolist() for m in scans]
    assert settings_of(again) == settings_of(model)


def test_the_ladder_counts_the_components_of_every_healthy_scan():
    rng = np.random.default_rng(11)
    maps = [healthy_map(rng) for _ in range(9)]
    model = calibration(maps)
    for z0 in (2.0, 4.0):
        expected = [ndimage.label(m.values > z0, np.ones((3, 3, 3)))[1] for m in maps]
        assert [len(masses) for masses in model.ladder[z0]] == expected


@given(st.floats(0.02, 0.5), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_flagging_is_possible_exactly_when_alpha_is_promised(alpha: float, n: int):
    model = Calibration(
        settings=Calibrating(alpha=alpha),
        norm=IDENTITY,
        tail=np.ones(1, np.int64),
        maxima=np.linspace(0, 1, n),
        ladder={},
        domain={},
    )
    assert (model.p_mass(2.0) <= alpha + 1e-12) == (n >= Calibrating(alpha=alpha).scans_needed)
