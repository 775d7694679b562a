import numpy as np
import pytest
import SimpleITK as sitk

from hale.metrics.lesion import Counts, SizeBin, count


def volume(*boxes, shape=(12, 12, 12)):
    mask = np.zeros(shape, bool)
    for box in boxes:
        mask[box] = True
    return mask


TEN = np.s_[0:10, 0, 0]
FAR = np.s_[8:11, 8:11, 8:11]


def test_ten_per_cent_of_a_lesion_detect_it():
    truth = volume(TEN)
    assert count(volume(np.s_[0, 0, 0]), truth, voxel_ml=0.1).detected == (True,)
    twenty = volume(np.s_[0:10, 0:2, 0])
    assert count(volume(np.s_[0, 0, 0]), twenty, voxel_ml=0.1).detected == (False,)
    assert count(volume(np.s_[0, 0:2, 0]), twenty, voxel_ml=0.1).detected == (True,)


def test_a_finding_that_touches_no_lesion_is_false():
    counts = count(volume(np.s_[0, 0, 0], FAR), volume(TEN), voxel_ml=0.1)
    assert counts == Counts(volumes_ml=(1.0,), detected=(True,), components=2, false=1)


def test_corners_connect():
    truth = volume(np.s_[0, 0, 0], np.s_[1, 1, 1], np.s_[3, 3, 3])
    assert len(count(truth, truth, voxel_ml=1.0).volumes_ml) == 2


def components(mask):
    connect = sitk.ConnectedComponentImageFilter()
    connect.FullyConnectedOn()
    return sitk.GetArrayFromImage(connect.Execute(sitk.GetImageFromArray(mask.astype(np.uint8))))


@pytest.mark.parametrize("seed", range(3))
def test_components_agree_with_simpleitk(seed):
    rng = np.random.default_rng(seed)
    truth, found = rng.random((2, 20, 20, 20)) < 0.06
    counts = count(found, truth, voxel_ml=0.5)
    labels = components(truth)
    sizes = np.bincount(labels.ravel())[1:]
    assert sorted(counts.volumes_ml) == sorted(sizes * 0.5)
    hits = [(found & (labels == n)).sum() >= 0.1 * (labels == n).sum() for n in np.unique(labels)]
    assert sum(counts.detected) == sum(hits[1:])
    pieces = components(found)
    assert counts.components == pieces.max()
    assert counts.false == pieces.max() - len(set(pieces[truth & found].tolist()))


def test_empty_masks():
    nothing = volume()
    both = count(nothing, nothing, voxel_ml=1.0)
    assert both == Counts(volumes_ml=(), detected=(), components=0, false=0)
    missed = count(nothing, volume(TEN), voxel_ml=1.0)
    assert missed == Counts(volumes_ml=(10.0,), detected=(False,), components=0, false=0)
    invented = count(volume(FAR), nothing, voxel_ml=1.0)
    assert invented == Counts(volumes_ml=(), detected=(), components=1, false=1)


@pytest.mark.parametrize(
    ("volume_ml", "size"),
    [(0.99, "SMALL"), (1.0, "MEDIUM"), (10.0, "MEDIUM"), (10.01, "LARGE")],
)
def test_sizes_of_lesions(volume_ml, size):
    assert SizeBin.of(volume_ml) is SizeBin[size]


def test_labels_count_as_marked_and_shapes_must_agree():
    labels = volume(TEN).astype(np.int32) * 7
    assert count(labels, volume(TEN), voxel_ml=1.0).detected == (True,)
    with pytest.raises(ValueError, match="one shape"):
        count(volume(), volume(shape=(3, 3, 3)), voxel_ml=1.0)


@pytest.mark.parametrize("wrong", [0.5, 255, -1, np.nan])
def test_a_mask_that_is_none_is_refused(wrong):
    truth = np.zeros((4, 4, 4))
    truth[1, 1, 1] = wrong
    with pytest.raises(ValueError, match="a mask holds values other than 0"):
        count(truth > 0, truth, voxel_ml=0.001)
    if wrong != 255:  # a component's number
        with pytest.raises(ValueError, match="a mask holds values other than 0"):
            count(truth, truth > 0, voxel_ml=0.001)


@pytest.mark.parametrize("voxel_ml", [0.0, -1.0, np.nan, np.inf])
def test_a_voxel_without_volume_is_refused(voxel_ml):
    with pytest.raises(ValueError, match="ml is none"):
        count(np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), voxel_ml=voxel_ml)
