"""A detector that learns from each scan: afresh, in slabs, the same each time."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import nn

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Contrast, Scan, Space
from hale.methods.anogan_scan import AnoGANScan
from hale.methods.convae_scan import ConvAEScan
from hale.train.exercise import exercise
from hale.train.per_scan import PerScan, drawn, restoration, standardised
from hale.train.single_scan import ScanLessons, Which

torch.set_num_threads(1)
GRID = Grid(shape=(22, 26, 30), affine=np.diag([4.0, 4.0, 4.0, 1.0]))
SPACE = Space(slots=((Contrast.T1W,),), grid=GRID)
BRIEF = {"size": 64, "batch": 4, "epoch_slices": 12, "check_every": 4}


def phantom(seed: int) -> tuple[Scan, np.ndarray]:
    """A smooth column with little noise, and a brighter sphere within the third slab of five."""
    rng = np.random.default_rng(seed)
    i, j, k = np.indices(GRID.shape)
    brain = ((i - 10.5) / 9) ** 2 + ((j - 12.5) / 11) ** 2 < 1
    sphere = (i - 13) ** 2 + (j - 15) ** 2 + (k - 14.5) ** 2 < 6.0
    smooth = 0.45 + 0.1 * np.sin(i / 6) + 0.1 * np.cos(j / 7) + 0.05 * np.sin(k / 9)
    image = np.where(brain, smooth + 0.01 * rng.standard_normal(GRID.shape) + 0.4 * sphere, 0)
    scan = Scan(id=f"p{seed}", space=SPACE, image=image[None].astype("f4"), brain=brain)
    return scan, sphere


@pytest.fixture(scope="module")
def brief() -> PerScan:
    return PerScan(lessons=ConvAEScan(**BRIEF, epochs=1, lr=3e-3))


def maps(detector: PerScan, *scans: Scan) -> list[np.ndarray]:
    restoration.cache_clear()
    return [detector.score(scan).values for scan in scans]


@pytest.mark.parametrize(
    "lessons",
    [
        ConvAEScan(**BRIEF, epochs=16, lr=3e-3),
        AnoGANScan(
            **{**BRIEF, "patience": 0},
            epochs=8,
            lr=1e-3,
            search_steps=20,
            search_lr=0.2,
            restarts=1,
        ),
    ],
    ids=["convae", "anogan"],
)
def test_a_sphere_within_one_slab_stands_out(lessons):
    scan, sphere = phantom(0)
    values = PerScan(lessons=lessons).score(scan).values
    outside = values[scan.brain & ~sphere]
    assert values[sphere].mean() > np.percentile(outside, 99)


def test_every_scan_begins_with_fresh_weights(brief):
    (a, _), (b, _) = phantom(1), phantom(2)
    one, other = maps(brief, a, b)
    other_again, one_again = maps(brief, b, a)
    np.testing.assert_array_equal(one, one_again)
    np.testing.assert_array_equal(other, other_again)


def test_a_seed_settles_the_map_and_another_gives_another(brief):
    scan, _ = phantom(1)
    (first,), (again,) = maps(brief, scan), maps(brief, scan)
    np.testing.assert_array_equal(first, again)
    (other,) = maps(replace(brief, seed=1), scan)
    assert not np.array_equal(first, other)


def test_the_global_generator_is_left_alone(brief):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    maps(brief, phantom(1)[0])
    torch.testing.assert_close(torch.rand(3), wanted, rtol=0, atol=0)


def test_the_picture_is_draw_0_and_other_draws_are_others(brief):
    scan, _ = phantom(1)
    shown = brief.score(scan).pseudo_healthy
    np.testing.assert_array_equal(brief.reconstruct(scan), shown)
    assert not np.array_equal(brief.reconstruct(scan, draw=1), shown)


class Recording:
    """A pupil that restores nothing, and writes down which slices it was shown: k / 100 each."""

    def __init__(self, net: nn.Module, book: list[tuple[set[int], set[int]]]) -> None:
        self.net, self.seen, self.book = net, set[int](), book

    def learn(self, x, draw) -> None:
        self.seen |= numbers(x)

    def look(self, x) -> float:
        self.seen |= numbers(x)
        return 1.0

    def restored(self, x, draw):
        self.book.append((self.seen, numbers(x)))
        return torch.zeros_like(x)

    def seconds_to_restore(self, x) -> float:
        return 0.0


@dataclass(frozen=True, kw_only=True)
class RecordingLessons(ScanLessons):
    book: list[tuple[set[int], set[int]]] = field(default_factory=list, hash=False)

    def pupil(self, contrasts, place) -> Recording:
        return Recording(nn.Linear(1, 1), self.book)


def numbers(x: torch.Tensor) -> set[int]:
    return {round(100 * float(value)) for value in x.flatten(1).max(1).values}


def numbered() -> Scan:
    brain = np.zeros(GRID.shape, bool)
    brain[5:15, 5:15] = True
    brain[4, 4, 20] = True
    image = brain * (np.arange(GRID.shape[2]) / 100)
    return Scan(id="n", space=SPACE, image=image[None].astype("f4"), brain=brain)


def test_no_slab_is_restored_by_a_pupil_that_saw_it_or_its_neighbourhood():
    lessons = RecordingLessons(**BRIEF, epochs=8, rotate_deg=0.0, flip=False, gain=0.0)
    PerScan(lessons=lessons).score(numbered())
    assert len(lessons.book) == 5
    assert sorted(k for _, scored in lessons.book for k in scored) == list(range(30))
    for seen, scored in lessons.book:
        apart = min(abs(a - b) for a in seen for b in scored) * 4.0
        assert apart > 10.0


def test_the_slice_with_most_brain_can_be_scored_alone():
    quiet = {"rotate_deg": 0.0, "flip": False, "gain": 0.0}
    for slabs, learnt in ((1, {20}), (5, set(range(16)) | set(range(26, 30)))):
        lessons = RecordingLessons(
            **BRIEF, **quiet, epochs=20, slabs=slabs, slices=Which.MOST_BRAIN
        )
        detector = PerScan(lessons=lessons)
        values = detector.score(numbered()).values
        ((seen, scored),) = lessons.book
        assert scored == {20}
        assert seen == learnt
        assert not values[..., np.arange(30) != 20].any()
        said = " ".join(detector.remarks(numbered()))
        assert "1 of 30 slices scored" in said
        assert ("no cross-fitting" in said) == (slabs == 1)


def test_one_slice_along_any_axis_is_learnt_from_itself():
    flat = np.zeros((1, 22, 26), np.float32)
    flat[:, 4:18, 5:20] = np.random.default_rng(0).random((1, 14, 15))
    for axis in range(3):
        image = np.moveaxis(flat, 0, axis)
        grid = Grid(shape=image.shape, affine=np.eye(4))
        space = Space(slots=((Contrast.CT,),), grid=grid)
        scan = Scan(id="one", space=space, image=image[None].copy(), brain=image > 0)
        detector = PerScan(lessons=ConvAEScan(**BRIEF, epochs=1))
        found = detector.score(scan)
        assert found.values.any()
        assert "no cross-fitting" in detector.remarks(scan)[0]
        assert exercise(scan, detector.lessons).x.shape == (1, 1, 64, 64)


def test_training_stops_when_the_watched_slices_get_no_better():
    steps = []

    class Counting(Recording):
        def learn(self, x, draw) -> None:
            steps.append(len(x))

    class Lessons(RecordingLessons):
        def pupil(self, contrasts, place) -> Recording:
            return Counting(nn.Linear(1, 1), [])

    PerScan(lessons=Lessons(**BRIEF, slabs=1, epochs=100, patience=2)).score(numbered())
    assert (
        len(steps) == 12 * 3
    )  # epochs 1 to 12: the first look is the best, two more see no better
    assert set(steps) == {4}


def test_the_estimate_grows_with_the_work(brief):
    scan, _ = phantom(1)
    short = brief.estimate(scan)
    long = replace(brief, lessons=replace(brief.lessons, epochs=200)).estimate(scan)
    assert 0 < 5 * short < long


def test_slices_are_drawn_equally_often():
    draw = torch.Generator().manual_seed(0)
    chosen = drawn(np.arange(3, 10), 16, draw)
    counts = np.bincount(chosen, minlength=10)[3:]
    assert len(chosen) == 16
    assert set(counts) == {2, 3}


def test_errors_are_standardised_by_their_robust_spread():
    error = np.abs(np.random.default_rng(0).standard_normal((20, 20, 20))).astype("f4")
    scored = np.ones(error.shape, bool)
    scored[:3] = False
    z = standardised(error, scored)
    assert not z[~scored].any()
    assert (z[scored] == 0).mean() == pytest.approx(0.5, abs=0.01)
    np.testing.assert_allclose(standardised(7 * error, scored), z, rtol=1e-3, atol=1e-3)
    error[5, 5, 5] = np.nan
    with pytest.raises(Refused, match=r"diverged.*method\.lr"):
        standardised(error, scored)
