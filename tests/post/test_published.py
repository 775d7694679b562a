"""The public code's mask, step by step."""

import numpy as np
import pytest
from skimage.filters import threshold_otsu
from skimage.morphology import remove_small_objects

from hale.post.published import corrected_mask, opened, otsu, published_mask

ONES = np.ones((40, 40, 3), np.float32)


def blobs(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A mask with boxes (first row, first column, rows, columns) in its middle slice."""
    mask = np.zeros(ONES.shape, bool)
    for i, j, rows, columns in boxes:
        mask[i : i + rows, j : j + columns, 1] = True
    return mask


def test_a_blob_of_256_pixels_survives():
    mask = blobs((2, 2, 16, 16))
    np.testing.assert_array_equal(opened(mask, 256.0), mask)


def test_a_blob_of_240_pixels_does_not():
    assert not opened(blobs((2, 2, 16, 15)), 256.0).any()


def test_blobs_that_touch_at_a_corner_are_two():
    assert not opened(blobs((2, 2, 16, 8), (18, 10, 16, 8)), 256.0).any()


def test_components_end_at_their_slice():
    column = np.ones((10, 10, 3), bool)
    assert opened(column, 100.0).all()
    assert not opened(column, 101.0).any()


def test_opening_is_that_of_scikit_image():
    mask = np.random.default_rng(0).random((40, 40, 4)) > 0.45
    wanted = [remove_small_objects(mask[..., k], max_size=11, connectivity=1) for k in range(4)]
    np.testing.assert_array_equal(opened(mask, 12.0), np.stack(wanted, -1))


def test_no_difference_no_mask_and_no_exception():
    assert otsu(np.zeros(9, np.float32)) == 0
    assert not published_mask(0 * ONES, ONES, min_pixels=1.0).any()
    assert not corrected_mask(0 * ONES, ONES > 0, min_pixels=1.0).any()


def test_a_tenth_at_one_is_exactly_the_mask():
    hot = np.random.default_rng(0).permutation(ONES.size) < ONES.size // 10
    d = hot.reshape(ONES.shape).astype(np.float32)
    np.testing.assert_array_equal(published_mask(d, ONES, min_pixels=1.0), d > 0)


@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_is_that_of_scikit_image(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(1, 0.3, 3000), rng.normal(3, 0.5, 500)]).astype("f4")
    assert otsu(values) == pytest.approx(threshold_otsu(values, nbins=256), rel=1e-5)


def test_what_is_certain_counts_as_one_and_what_is_negative_as_nothing():
    d = np.full(ONES.shape, -5, np.float32)
    d[:20] = 0.188
    d[:10] = 0.21  # 1 after the step, so Otsu's threshold parts it from 0.188
    mask = published_mask(d, ONES, min_pixels=1.0)
    assert mask[:10].all()
    assert not mask[10:].any()
    d[:10] = 0.2  # not above 0.2: kept as it is, on one side with 0.188
    assert published_mask(d, ONES, min_pixels=1.0)[:20].all()


def test_what_is_empty_in_the_image_is_never_abnormal():
    image = ONES.copy()
    image[:, :20] = 0
    d = np.zeros(ONES.shape, np.float32)
    d[10:30] = 1
    mask = published_mask(d, image, min_pixels=1.0)
    assert mask[10:30, 20:].all()
    assert not mask[:, :20].any()


def test_the_corrected_threshold_looks_inside_the_brain_only():
    brain = blobs((5, 5, 30, 30))
    d = np.where(brain, np.float32(0.2), np.float32(9))
    d[10:20, 10:20] = 0.4
    mask = corrected_mask(d, brain, min_pixels=50.0)
    np.testing.assert_array_equal(mask, blobs((10, 10, 10, 10)))
    assert not corrected_mask(d, brain, min_pixels=101.0).any()
