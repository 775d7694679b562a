"""Any score of any method that reconstructs, and the refusals of the others."""

from dataclasses import dataclass

import numpy as np
import pytest

from hale.core.anomaly import AnomalyMap
from hale.core.errors import Refused
from hale.core.method import Detector
from hale.core.scan import Contrast, Scan, Space
from hale.post.normative import normative_residual
from hale.post.score import drawn, refuse_score, scored
from hale.post.settings import DataRange, PostProcessing, Rescaling, Score, Weights

REPLACING = [score for score in Score if score not in (Score.OWN, Score.NORMATIVE)]


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Scores, and shows nothing."""

    def score(self, scan: Scan) -> AnomalyMap:
        return AnomalyMap(values=scan.brain.astype(np.float32), brain=scan.brain)

    def state(self):
        return {}


@dataclass(frozen=True, kw_only=True)
class Flat(Plain):
    """Holds 0.5 everywhere for healthy, outside the brain too."""

    def reconstruct(self, scan: Scan, *, draw: int = 0, level: int | None = None):
        return np.full_like(scan.image, 0.5)


@dataclass(frozen=True, kw_only=True)
class Perfect(Plain):
    def reconstruct(self, scan: Scan, *, draw: int = 0, level: int | None = None):
        return scan.image.copy()


@dataclass(frozen=True, kw_only=True)
class Drawing(Plain):
    """0.5 with noise; draw 0 without. Level is the share of noise, in thousandths."""

    seed: int = 0

    def reconstruct(self, scan: Scan, *, draw: int = 0, level: int | None = None):
        rng = np.random.default_rng([self.seed, int(scan.content[:8], 16), draw])
        noise = rng.standard_normal(scan.image.shape) * (draw > 0) * 1e-4 * (level or 499)
        return ((0.5 + noise) * scan.brain).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Same(Flat):
    """Has a seed that changes nothing."""

    seed: int = 0


def settings(score: Score, **others) -> PostProcessing:
    return PostProcessing(score=score, **others)


@pytest.mark.parametrize("score", [s for s in REPLACING if s is not Score.DARKER])
@pytest.mark.parametrize("contrasts", [1, 2])
def test_every_score_sees_the_lesion_and_nothing_outside(ill, score, contrasts):
    scan = ill.scan
    slots = ((Contrast.FLAIR,), (Contrast.T1W,))[:contrasts]
    both = Scan(
        id=scan.id,
        space=Space(slots=slots, grid=scan.space.grid),
        image=np.repeat(scan.image, contrasts, axis=0),
        brain=scan.brain,
    )
    found = scored(Drawing(), both, settings(score))
    inside = ill.lesion & scan.brain
    assert not found.values[~scan.brain].any()
    healthy = found.values[scan.brain & ~ill.lesion]
    assert np.median(found.values[inside]) > 3 * np.median(healthy)
    assert found.pseudo_healthy.shape == both.image.shape


@pytest.mark.parametrize("score", [s for s in REPLACING if s is not Score.MHD])
def test_a_picture_that_leaks_out_of_the_brain_scores_nothing_there(ill, score):
    found = scored(Flat(), ill.scan, settings(score))
    assert not found.values[~ill.scan.brain].any()


@pytest.mark.parametrize("score", [s for s in REPLACING if s is not Score.MHD])
def test_a_scan_that_is_its_own_picture_scores_zero(ill, score):
    assert scored(Perfect(), ill.scan, settings(score)).values.max() < 1e-6


def test_a_scan_that_is_the_mean_of_its_samples_scores_zero(healthy):
    @dataclass(frozen=True, kw_only=True)
    class Around(Drawing):
        def reconstruct(self, scan, *, draw=0, level=None):
            side = 1 if draw % 2 else -1
            return (scan.image + np.float32(side / 64)) * scan.brain

    scan = healthy[0]
    found = scored(Around(), scan, settings(Score.MHD))
    assert found.values.max() < 1e-6


def test_the_own_score_is_the_detectors(ill):
    found = scored(Plain(), ill.scan, settings(Score.OWN))
    assert np.array_equal(found.values, ill.scan.brain)


def test_l1_and_l2_are_what_they_say(ill):
    scan = ill.scan
    residual = np.abs(scan.image[0] - 0.5) * scan.brain
    assert np.allclose(scored(Flat(), scan, settings(Score.L1)).values, residual)
    assert np.allclose(scored(Flat(), scan, settings(Score.L2)).values, residual**2)


def test_each_side_of_the_residual_is_zero_where_the_other_is_not(ill):
    scan = ill.scan
    brighter, darker = (
        scored(Flat(), scan, settings(score)).values for score in (Score.BRIGHTER, Score.DARKER)
    )
    assert (brighter > 0).any()
    assert (darker > 0).any()
    np.testing.assert_allclose(brighter - darker, (scan.image[0] - 0.5) * scan.brain, atol=1e-6)
    assert not (brighter * darker).any()


def test_seeded_samples_repeat_and_their_order_is_nothing(ill):
    mhd = settings(Score.MHD)
    first, again = (scored(Drawing(seed=4), ill.scan, mhd).values for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(scored(Drawing(seed=5), ill.scan, mhd).values, first)

    @dataclass(frozen=True, kw_only=True)
    class Backwards(Drawing):
        def reconstruct(self, scan, *, draw=0, level=None):
            return super().reconstruct(scan, draw=11 - draw, level=level)

    assert np.allclose(scored(Backwards(seed=4), ill.scan, mhd).values, first, rtol=1e-4, atol=1e-6)


def test_samples_are_draws_one_to_n_at_the_level(ill):
    scan = ill.scan
    pictures = drawn(Drawing(), scan, settings(Score.MHD, samples=3, level=498))
    expected = [Drawing().reconstruct(scan, draw=draw, level=498) for draw in (1, 2, 3)]
    assert np.array_equal(pictures, expected)


def test_other_scores_are_of_draw_zero(ill):
    found = scored(Drawing(), ill.scan, settings(Score.L1))
    assert np.array_equal(found.pseudo_healthy, Drawing().reconstruct(ill.scan, draw=0))


def test_the_level_of_the_middle_is_what_mhd_takes():
    assert settings(Score.MHD).level == 499
    assert settings(Score.MHD, level=498).level == 498
    assert settings(Score.SSIM_ENS).level is None


@pytest.mark.parametrize("score", [s for s in Score if s is not Score.OWN])
def test_a_method_without_a_picture_is_refused(ill, score):
    with pytest.raises(Refused, match=rf"post.score = '{score}': this method makes no pseudo"):
        scored(Plain(), ill.scan, settings(score))
    with pytest.raises(Refused, match="sees makes no pseudo-healthy picture"):
        refuse_score(score, Plain, "sees")
    refuse_score(Score.OWN, Plain, "sees")


@pytest.mark.parametrize("detector", [Flat(), Same()], ids=["no seed", "idle seed"])
def test_samples_of_a_method_that_draws_nothing_are_refused(ill, detector):
    with pytest.raises(Refused, match="all its pictures of a scan are the same"):
        scored(detector, ill.scan, settings(Score.MHD))


def test_what_a_detectors_class_tells_is_refused_before_it_learns():
    with pytest.raises(Refused, match="ae draws nothing"):
        refuse_score(Score.MHD, Flat, "ae")
    refuse_score(Score.MHD, Drawing, "vae")
    refuse_score(Score.SSIM, Flat, "ae")
    refuse_score(Score.MHD, Detector, "one that does not say what it returns")


def test_the_normative_score_needs_healthy_residuals(ill):
    with pytest.raises(Refused, match="the model knows no healthy residual: it is not calibrated"):
        scored(Flat(), ill.scan, settings(Score.NORMATIVE))


def test_a_bias_that_every_healthy_scan_has_is_taken_off_with_its_sign(ill):
    """A ramp of residual from -0.4 to 0.4, and a lesion of less than the ramp is high."""
    grid, brain = ill.scan.space.grid, np.ones(ill.scan.brain.shape, bool)
    ramp = np.broadcast_to(np.linspace(-0.4, 0.4, 16, dtype=np.float32), (1, 16, 16, 16))
    rng = np.random.default_rng(0)

    def residual() -> np.ndarray:
        return (ramp + 0.02 * rng.standard_normal(ramp.shape)).astype(np.float32)

    healthy = [residual() for _ in range(20)]
    norm = normative_residual(healthy, [brain] * 20, grid, smooth_mm=0.0, floor=0.5)
    new = residual()
    lesion = np.zeros(brain.shape, bool)
    lesion[7:10, 7:10, 1:4] = True  # where the ramp is negative: |residual| falls in the lesion
    new[0, lesion] += 0.3
    values = norm.magnitude(new, brain)
    assert np.abs(new[0])[lesion].mean() < np.abs(new[0])[~lesion].mean()
    assert values[lesion].min() > values[~lesion].max()
    by_place = [values[~lesion & (np.indices(brain.shape)[2] == k)].mean() for k in range(16)]
    assert max(by_place) < 1.4 * min(by_place)
    assert np.mean(by_place) == pytest.approx(np.sqrt(2 / np.pi), rel=0.1)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"samples": 5}, "samples: does nothing with score 'own'; leave it out, or take mhd"),
        ({"score": Score.L1, "weights": Weights.UNIFORM}, "take ssim_ens"),
        ({"score": Score.SSIM, "normalise": Rescaling.MINMAX}, "take mhd"),
        ({"score": Score.L1, "data_range": DataRange.VOLUME}, "take mhd, ssim, ssim_ens"),
        ({"level": 3}, "level: does nothing with score 'own'"),
    ],
)
def test_a_setting_of_another_score_is_refused(values, why):
    with pytest.raises(ValueError, match=why):
        PostProcessing(**values)
