import numpy as np
import pytest

from hale.metrics import levels, voxel
from hale.metrics.bootstrap import bootstrap
from hale.metrics.compare import paired_pooled
from hale.metrics.levels import at_levels, interval, mixed, outline
from hale.metrics.pooled import Pool

FIGURES = [
    (levels.average_precision, "average_precision"),
    (levels.auroc, "auroc"),
    (levels.best_dice, "best_dice"),
]
SHAPES = {
    "z": lambda z: z,
    "likelihood": np.exp,
    "zeros": lambda z: np.maximum(z, 0),
    "steps": np.round,
}


def scans(count=8, size=20_000, shape=lambda z: z, seed=0, skill=2.0):
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(count):
        truth = rng.random(size) < rng.uniform(0.002, 0.04)
        score = rng.normal(size=size) * rng.uniform(0.7, 1.3) + skill * truth
        parts.append((shape(score).astype(np.float32), truth))
    return parts


def exact(parts, at):
    return voxel.curve(*(np.concatenate([parts[i][part] for i in at]) for part in (0, 1)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("figure", "name"), FIGURES)
def test_figures_of_any_resample_are_close_to_those_of_its_voxels(shape, figure, name):
    parts = scans(shape=SHAPES[shape])
    counts = at_levels([outline(*part) for part in parts])
    for at in (np.arange(8), np.array([3, 3, 1, 7, 0, 3, 2, 2]), np.array([5])):
        expected = getattr(exact(parts, at), name)
        assert figure(counts.of(at)) == pytest.approx(expected, abs=3e-3)


@pytest.mark.parametrize("skill", [1.0, 3.0])
def test_outlines_of_scans_of_usual_size_are_good_to_a_ten_thousandth(skill):
    parts = scans(count=4, size=400_000, skill=skill)
    counts = at_levels([outline(*part) for part in parts]).of(np.arange(4))
    expected = exact(parts, np.arange(4)).average_precision
    assert levels.average_precision(counts) == pytest.approx(expected, abs=1e-4)


def test_an_interval_is_that_of_resampling_voxels():
    parts = scans(size=4000)
    pool = Pool()
    for score, truth in parts:
        pool.add(score, truth)
    value = pool.curve().average_precision
    people = ["a", "a", "b", "c", "d", "e", "f", "g"]
    counts = at_levels([outline(*part) for part in parts])
    ours = interval(counts, levels.average_precision, people, value=value, draws=300)
    slow = bootstrap(lambda at: exact(parts, at).average_precision, people, draws=300)
    assert ours.value == value == pytest.approx(slow.value, abs=1e-5)
    assert (ours.low, ours.high) == pytest.approx((slow.low, slow.high), abs=0.01)
    assert ours.n == 8


def test_an_outline_is_small():
    score, truth = scans(count=1, size=300_000)[0]
    kept = outline(score, truth)
    held = sum(
        array.nbytes
        for steps in (kept.lesion, kept.normal)
        for array in (steps.score, steps.at_least, steps.more)
    )
    assert held < 35_000


def test_counts_at_kept_scores_are_exact_even_in_ties():
    score = np.repeat(np.array([0, 1, 5], np.float32), [900, 90, 10])
    steps = outline(score, np.zeros(1000, bool)).normal
    assert list(steps.above(np.array([5.0, 1.0, 0.0]))) == [10, 100, 1000]
    assert steps.above(np.array([0.5]))[0] == 100  # not of the 900 zeros
    assert list(steps.above(np.array([-1.0, 6.0, np.inf]))) == [1000, 0, 0]


def test_perfect_and_useless_scores():
    truth = np.arange(1000) < 50
    perfect = at_levels([outline(truth.astype(np.float32), truth)] * 3)
    useless = at_levels([outline(np.ones(1000), truth)] * 3)
    everybody = np.arange(3)
    for figure, _ in FIGURES:
        assert figure(perfect.of(everybody)) == 1
    assert levels.average_precision(useless.of(everybody)) == pytest.approx(0.05)
    assert levels.auroc(useless.of(everybody)) == pytest.approx(0.5)


def test_without_lesions_figures_are_undefined():
    counts = at_levels([outline(np.arange(5.0), np.zeros(5, bool))])
    assert np.isnan([figure(counts.of(np.array([0]))) for figure, _ in FIGURES]).all()
    assert np.isnan(levels.auroc(at_levels([outline([1.0], [1])]).of(np.array([0]))))
    assert at_levels([]).true.shape[0] == 0


def test_a_method_is_not_told_apart_from_itself_on_another_scale():
    parts = scans(count=7)
    first = at_levels([outline(*part) for part in parts])
    second = at_levels([outline(np.exp(3 * score), truth) for score, truth in parts])
    people = list(range(7))
    found = paired_pooled(mixed(first, second, levels.average_precision), people, draws=200)
    assert found.difference == pytest.approx(0, abs=1e-3)
    assert abs(found.high - found.low) < 5e-3
    worse = at_levels([outline(*part) for part in scans(count=7, skill=0.5)])
    better = paired_pooled(mixed(first, worse, levels.average_precision), people, draws=200)
    assert better.p == 2 / 128
    assert better.low > 0.1
