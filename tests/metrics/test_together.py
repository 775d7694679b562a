import tracemalloc

import numpy as np
import pytest

from hale.metrics import lesion, voxel
from hale.metrics.evaluation import Kind, Maps, score_case
from hale.metrics.together import FALSE_PER_SCAN, POOLED, Together

SHAPE = (20, 22, 18)


def case(seed, *, ill=True, shape=SHAPE):
    rng = np.random.default_rng(seed)
    brain, truth = np.zeros((2, *shape), bool)
    brain[2:-2, 2:-2, 2:-2] = True
    if ill:
        for corner in rng.integers(3, 12, (3, 3)):
            truth[tuple(slice(c, c + 3) for c in corner)] = True
    anomaly = (rng.normal(size=shape) * 0.6 + 1.5 * truth) * brain
    maps = Maps(
        anomaly=anomaly.astype(np.float32),
        brain=brain,
        pvalue=None,
        mask=None,
        voxel_ml=0.001,
        spacing=(1.0, 1.0, 1.0),
    )
    return maps, truth


def added(count=6):
    together, parts = Together(), []
    for n in range(count):
        ill = n % 3 != 2
        maps, truth = case(n, ill=ill)
        together.add(f"sub-{n}", Kind.LESION if ill else Kind.HEALTHY, maps, truth)
        parts.append((maps, truth))
    return together, parts


def test_pooled_figures_are_those_of_all_voxels_of_ill_scans():
    together, parts = added()
    figures = together.figures(draws=200)
    ill = [(maps.anomaly[maps.brain], truth[maps.brain]) for maps, truth in parts if truth.any()]
    counts = voxel.curve(*(np.concatenate(part) for part in zip(*ill, strict=True)))
    error = together.pool.error + 1e-9
    assert figures["auprc_pooled"].value == pytest.approx(counts.average_precision, abs=error)
    assert figures["auroc_pooled"].value == pytest.approx(counts.auroc, abs=1e-5)
    assert figures["best_dice_pooled_oracle"].value == pytest.approx(counts.best_dice, abs=1e-4)
    for name in POOLED:
        assert figures[name].low < figures[name].value < figures[name].high
        assert figures[name].n == 4
    assert set(figures) == {*POOLED, *FALSE_PER_SCAN}


def test_the_free_response_curve_is_over_ill_and_healthy_scans():
    together, parts = added()
    figures = together.figures(draws=100)
    best = dict.fromkeys(FALSE_PER_SCAN, 0.0)
    exceeded = set()
    for threshold in np.unique([maps.anomaly[maps.brain] for maps, _ in parts])[::-1][:3000]:
        counts = [
            lesion.count((maps.anomaly >= threshold) & maps.brain, truth, voxel_ml=1.0)
            for maps, truth in parts
        ]
        false = sum(one.false for one in counts) / len(parts)
        hits = [hit for one in counts for hit in one.detected]
        for name, allowed in FALSE_PER_SCAN.items():
            if false > allowed:
                exceeded.add(name)
            elif name not in exceeded:
                best[name] = np.mean(hits)
        if len(exceeded) == len(best):
            break
    assert exceeded == set(best)
    for name, value in best.items():
        assert figures[name].value == pytest.approx(value)
        assert figures[name].n == 6
        assert figures[name].low <= value <= figures[name].high


def test_an_unexplained_empty_mask_says_nothing():
    together, _ = added()
    expected = together.figures(draws=20)
    together.add("sub-9", Kind.EMPTY, *case(9, ill=False))
    assert together.figures(draws=20) == expected


def test_without_a_lesion_there_are_no_figures():
    together = Together()
    together.add("sub-0", Kind.HEALTHY, *case(0, ill=False))
    assert together.figures() == {}


def peak(count):
    tracemalloc.start()
    together = Together()
    for n in range(count):
        maps, truth = case(n, shape=(60, 60, 60))
        score_case(f"sub-{n}", f"sub-{n}", Kind.LESION, maps, truth)
        together.add(f"sub-{n}", Kind.LESION, maps, truth)
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return highest


def test_what_is_kept_of_a_scan_is_small():
    few, many = peak(3), peak(18)
    assert many - few < 15 * 150_000  # 15 more scans of 1 MB each


def test_names_of_figures_say_what_is_an_oracle():
    assert [name for name in POOLED if "dice" in name] == ["best_dice_pooled_oracle"]
