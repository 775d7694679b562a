import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from hale.metrics.surface import hausdorff95


def blobs(seed, shape=(18, 20, 16)):
    rng = np.random.default_rng(seed)
    inner = np.zeros(shape, bool)
    inner[2:-2, 2:-2, 2:-2] = True
    return [(gaussian_filter(rng.normal(size=shape), 1.5) > 0.1) & inner for _ in range(2)]


def surface_mm(mask, spacing):
    """Centres of surface voxels, mm; voxel by voxel."""
    padded, points = np.pad(mask, 1), []
    for i, j, k in np.argwhere(padded):
        sides = (
            padded[i - 1 : i + 2, j, k],
            padded[i, j - 1 : j + 2, k],
            padded[i, j, k - 1 : k + 2],
        )
        if not np.concatenate(sides).all():
            points.append((i, j, k))
    return np.array(points) * spacing


def by_brute_force(found, truth, spacing):
    one, other = surface_mm(found, spacing), surface_mm(truth, spacing)
    apart = np.linalg.norm(one[:, None] - other[None], axis=-1)
    return max(np.percentile(apart.min(1), 95), np.percentile(apart.min(0), 95))


def by_simpleitk(found, truth, spacing):
    """Distance maps of ITK's own contours."""

    def image(mask):
        picture = sitk.GetImageFromArray(mask.astype(np.uint8).T)  # ITK's x is the first axis
        picture.SetSpacing(spacing)
        return picture

    contours = [sitk.BinaryContour(image(mask), fullyConnected=False) for mask in (found, truth)]
    here = [sitk.GetArrayFromImage(contour).astype(bool) for contour in contours]
    away = [
        np.abs(
            sitk.GetArrayFromImage(
                sitk.SignedMaurerDistanceMap(
                    contour, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
                )
            )
        )
        for contour in contours
    ]
    return max(np.percentile(away[1][here[0]], 95), np.percentile(away[0][here[1]], 95))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 1.0, 6.0)])
def test_agrees_with_brute_force_and_simpleitk(seed, spacing):
    found, truth = blobs(seed)
    ours = hausdorff95(found, truth, spacing)
    assert ours == pytest.approx(by_brute_force(found, truth, spacing))
    assert ours == pytest.approx(by_simpleitk(found, truth, spacing), rel=1e-5)


def test_two_voxels_by_hand():
    found, truth = np.zeros((2, 8, 8, 8), bool)
    found[1, 2, 3] = truth[4, 2, 3] = True
    assert hausdorff95(found, truth, (2.0, 1.0, 1.0)) == 6
    truth[1, 2, 3] = True
    # there: 0; back: 0 and 6, whose 95th percentile is 5.7
    assert hausdorff95(found, truth, (2.0, 1.0, 1.0)) == pytest.approx(5.7)
    assert hausdorff95(truth, truth, (2.0, 1.0, 1.0)) == 0


def test_the_larger_way_counts_and_a_far_speck_does_not():
    found, truth = np.zeros((2, 40, 12, 12), bool)
    truth[2:10, 2:10, 2:10] = found[2:10, 2:10, 2:10] = True
    found[39, 5, 5] = True  # 1 of 297 surface voxels
    assert hausdorff95(found, truth, (1.0, 1.0, 1.0)) == 0
    found[20:30, 2:10, 2:10] = True
    assert hausdorff95(found, truth, (1.0, 1.0, 1.0)) == 20
    assert hausdorff95(truth, found, (1.0, 1.0, 1.0)) == 20


def test_the_edge_of_the_grid_is_a_surface():
    whole, speck = np.ones((5, 5, 5), bool), np.zeros((5, 5, 5), bool)
    speck[0, 0, 0] = True
    assert hausdorff95(speck, whole, (1.0, 1.0, 1.0)) == pytest.approx(
        by_brute_force(speck, whole, np.ones(3))
    )


def test_an_empty_mask_has_no_distance():
    some = np.ones((2, 2, 2), bool)
    assert np.isnan(hausdorff95(some, ~some, (1.0, 1.0, 1.0)))
    assert np.isnan(hausdorff95(~some, some, (1.0, 1.0, 1.0)))
    with pytest.raises(ValueError, match="needs a volume"):
        hausdorff95(some, some[0], (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="one shape"):
        hausdorff95(some, some[:1], (1.0, 1.0, 1.0))


@pytest.mark.parametrize("spacing", [(0.0, 1.0, 1.0), (-1.0, 1.0, 1.0), (np.nan, 1.0, 1.0)])
def test_edges_that_are_no_lengths_are_refused(spacing):
    ball = np.ones((3, 3, 3), bool)
    with pytest.raises(ValueError, match="not three lengths in mm"):
        hausdorff95(ball, ball, spacing)


def test_a_mask_that_is_none_is_refused():
    ball = np.ones((3, 3, 3))
    for truth in (ball * 0.5, ball * 255, ball * np.nan):
        with pytest.raises(ValueError, match="a mask holds values other than 0"):
            hausdorff95(ball, truth, (1.0, 1.0, 1.0))
