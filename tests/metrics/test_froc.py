import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label

from hale.metrics import lesion
from hale.metrics.froc import REACH, froc, interval, profile
from hale.metrics.lesion import SizeBin


def scan(seed, shape=(9, 10, 11), levels=3):
    """A score with ties, lesions, and where to look."""
    rng = np.random.default_rng(seed)
    truth = gaussian_filter(rng.normal(size=shape), 1.2) > 0.35
    score = np.round(rng.normal(size=shape) * levels + truth).astype(np.float32)
    return score, truth, rng.random(shape) < 0.9


def counted(parts, threshold):
    """The counts at one threshold by labelling components."""
    score, truth, region = parts
    return lesion.count((score >= threshold) & region, truth, voxel_ml=0.5)


def profile_of(parts):
    return profile(parts[0], parts[1], voxel_ml=0.5, region=parts[2])


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("levels", [2, 200])
def test_a_curve_is_that_of_labelling_at_every_threshold(seed, levels):
    scans = [scan(10 * seed + n, levels=levels) for n in range(3)]
    curve = froc([profile_of(parts) for parts in scans])
    assert len(curve.threshold) > 2
    for at, threshold in enumerate(curve.threshold):
        counts = [counted(parts, threshold) for parts in scans]
        assert curve.false_per_scan[at] == np.mean([one.false for one in counts])
        found = sum(sum(one.detected) for one in counts)
        assert curve.recall[at] == found / curve.lesions
    assert curve.lesions == sum(len(one.detected) for one in counts)


def test_nothing_changes_between_the_thresholds_of_a_curve():
    parts = scan(0, levels=200)
    curve = froc([profile_of(parts)])
    for threshold in np.unique(parts[0]):
        if threshold >= curve.threshold[-1]:
            at = int((curve.threshold >= threshold).sum()) - 1
            counts = counted(parts, threshold)
            assert (0 if at < 0 else curve.false_per_scan[at]) == counts.false


def test_a_row_of_voxels_by_hand():
    score = np.zeros((30, 1, 1), np.float32)
    truth = np.zeros(score.shape, bool)
    truth[0:2] = truth[10] = True
    score[[0, 4, 6, 10, 14], 0, 0] = [9, 8, 7, 6, 4]
    score[5] = 5  # joins the findings at 4 and 6
    region = np.ones(score.shape, bool)
    one = profile(score, truth, voxel_ml=2.0, region=region)
    assert one.floor == 5  # 2 of 27 normal voxels are at most 10 %
    assert list(one.lesions) == [9, 6]
    assert list(one.volumes_ml) == [4, 2]
    many = np.zeros((300, 1, 1), np.float32)  # more room, so that all may be tried
    many[:30] = score
    healthy = np.zeros(many.shape, bool)
    ill = healthy.copy()
    ill[:30] = truth
    curve = froc([profile(many, ill, voxel_ml=1.0)])
    assert list(curve.threshold) == [9, 8, 7, 6, 5, 4]
    assert list(curve.false_per_scan) == [0, 1, 2, 2, 1, 2]
    assert list(curve.recall) == [0.5, 0.5, 0.5, 1, 1, 1]
    assert [curve.recall_at(x) for x in (0, 1, 1.9, 2, 4)] == [0.5, 0.5, 0.5, 1, 1]
    both = froc([profile(many, ill, voxel_ml=1.0), profile(0 * many, healthy, voxel_ml=1.0)])
    assert list(both.false_per_scan) == [0, 0.5, 1, 1, 0.5, 1]
    assert both.recall_at(0.5) == 0.5
    assert both.recall_at(1) == 1


def test_lesions_of_a_size_have_a_curve_of_their_own():
    parts = [scan(n) for n in range(4)]
    profiles = [profile(s, t, voxel_ml=0.2, region=r) for s, t, r in parts]
    curves = {size: froc(profiles, size) for size in SizeBin}
    whole = froc(profiles)
    assert sum(curve.lesions for curve in curves.values()) == whole.lesions
    assert sum(curve.lesions > 0 for curve in curves.values()) > 1
    for threshold in whole.threshold[::5]:
        counts = [lesion.count((s >= threshold) & r, t, voxel_ml=0.2) for s, t, r in parts]
        for size, curve in curves.items():
            hits = [
                hit
                for one in counts
                for hit, volume in zip(one.detected, one.volumes_ml, strict=True)
                if SizeBin.of(volume) is size
            ]
            at = int((curve.threshold >= threshold).sum()) - 1
            assert len(hits) == curve.lesions
            if hits and at >= 0:
                assert curve.recall[at] == np.mean(hits)


def test_what_lies_beyond_too_many_false_findings_does_not_count():
    score = np.zeros((400, 1, 1), np.float32)
    truth = np.zeros(score.shape, bool)
    truth[0] = True
    score[[20, 22, 24], 0, 0] = [9, 8, 7]
    score[[21, 23], 0, 0] = 6  # three findings become one
    score[0] = 5
    curve = froc([profile(score, truth, voxel_ml=1.0)])
    assert list(curve.false_per_scan) == [1, 2, 3, 1, 1]
    assert curve.recall_at(1) == 0  # not 1: three were shown before
    assert curve.recall_at(3) == 1


def test_marking_the_whole_brain_finds_nothing():
    truth = np.zeros((10, 10, 10), bool)
    truth[5, 5, 5] = True
    curve = froc([profile(np.ones(truth.shape), truth, voxel_ml=1.0)])
    assert curve.recall_at(4) == 0


def test_a_lesion_outside_the_region_is_never_found():
    score, truth, region = scan(1)
    curve = froc([profile(score + 100 * truth, truth, voxel_ml=1.0, region=region & ~truth)])
    assert curve.lesions > 0
    assert not curve.recall.any()


def test_without_lesions_recall_is_undefined():
    score, truth, region = scan(1)
    curve = froc([profile(score, truth & False, voxel_ml=1.0, region=region)])
    assert len(curve.threshold)
    assert np.isnan(curve.recall_at(1))
    assert np.isnan(froc([]).recall_at(1))


def test_a_profile_is_small_and_ends_at_its_floor():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(60, 60, 60)).astype(np.float32)
    one = profile(noise, np.zeros(noise.shape, bool), voxel_ml=1.0)
    assert len(one.threshold) <= 4096
    assert one.threshold.nbytes + one.false.nbytes < 50_000
    assert one.threshold.min() > one.floor >= np.quantile(noise, 1 - REACH)
    found = lesion.count(noise > one.floor, np.zeros(noise.shape), voxel_ml=1.0)
    assert abs(one.false[-1] - found.false) <= 1


def test_what_is_no_volume_is_refused():
    with pytest.raises(ValueError, match="needs a volume"):
        profile(np.zeros((2, 2)), np.zeros((2, 2), bool), voxel_ml=1.0)
    with pytest.raises(ValueError, match="one shape"):
        profile(np.zeros((2, 2, 1)), np.zeros((2, 2, 2), bool), voxel_ml=1.0)
    with pytest.raises(ValueError, match="not finite"):
        profile(np.full((2, 2, 2), np.nan), np.zeros((2, 2, 2), bool), voxel_ml=1.0)


def test_the_interval_of_a_size_is_of_the_lesions_of_that_size():
    """Lesions of 1 ml and more are bright, smaller ones are lost in the noise."""
    profiles, people = [], [str(number) for number in range(12)]
    for seed in range(12):
        score, truth, region = scan(seed)
        sizes = np.bincount(label(truth, np.ones((3, 3, 3)))[0][truth])
        large = sizes[label(truth, np.ones((3, 3, 3)))[0]] * truth >= 2
        profiles.append(profile_of((score + 100 * large, truth, region)))
    found = {
        size: interval(profiles, people, 0.0, size, draws=200)
        for size in (None, SizeBin.SMALL, SizeBin.MEDIUM)
    }

    for size, one in found.items():
        assert one.value == froc(profiles, size).recall_at(0)
        assert one.low <= one.value <= one.high
        assert one.n == 12
    assert found[SizeBin.SMALL].value < found[None].value < found[SizeBin.MEDIUM].value


def test_a_mask_that_is_none_is_refused():
    score = np.zeros((3, 3, 3))
    for wrong in (0.5, 255, np.nan):
        with pytest.raises(ValueError, match="a mask holds values other than 0"):
            profile(score, np.full((3, 3, 3), wrong), voxel_ml=0.001)
        with pytest.raises(ValueError, match="a mask holds values other than 0"):
            profile(score, score, voxel_ml=0.001, region=np.full((3, 3, 3), wrong))
