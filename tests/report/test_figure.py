"""Pictures are the right way round, in proportion, and mark what the mask holds."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from hale.core.grid import Grid
from hale.core.scan import Volume
from hale.report.canvas import CONTOUR, Frame, outline, stitch
from hale.report.checks import registration_check
from hale.report.figure import closeup, comparison, mosaic, mosaic_tiles
from hale.report.view import axial_slices, frame_of, heat_scale, nearest_voxel, tilt


def with_bright(detection, voxels):
    """Return ``detection`` with an even brain, one bright place and no overlay."""
    (contrast,), (volume,) = detection.contrasts.keys(), detection.contrasts.values()
    image = detection.brain * np.float32(50)
    image[voxels] = 100
    return replace(
        detection,
        contrasts={contrast: Volume(values=image, grid=volume.grid)},
        anomaly=np.zeros_like(detection.anomaly),
        mask=np.zeros_like(detection.mask),
    )


def brightest(tile):
    """Return the row and column of the middle of the brightest pixels, as shares."""
    grey = tile[..., 0].astype(float)
    rows, columns = np.nonzero(grey == grey.max())
    return rows.mean() / grey.shape[0], columns.mean() / grey.shape[1]


def test_patient_right_is_on_the_left_and_front_is_up(found):
    k = 15
    right = with_bright(found, (slice(30, 33), slice(22, 26), slice(k - 1, k + 2)))
    row, column = brightest(mosaic_tiles(right, [k], width=100)[0])
    assert column < 0.35
    assert 0.35 < row < 0.65
    front = with_bright(found, (slice(18, 22), slice(38, 41), slice(k - 1, k + 2)))
    row, column = brightest(mosaic_tiles(front, [k], width=100)[0])
    assert row < 0.25
    assert 0.35 < column < 0.65


@pytest.mark.parametrize("axis", [0, 1])
def test_upright_planes_have_the_top_up(axis):
    values = np.zeros((10, 12, 8), np.float32)
    values[8:, 10:, 6:] = 1  # right, front, top
    frame = Frame(low=(-0.5,) * 3, high=(9.5, 11.5, 7.5), spacing=(1.0,) * 3, pixel_mm=0.5)
    row, column = brightest(frame.cut(values, axis, values.shape[axis] - 1)[..., None])
    assert row < 0.3
    assert column < 0.3


def test_pixels_are_square_in_mm():
    mask = np.ones((20, 40, 10), bool)
    frame = frame_of((4.0, 1.0, 6.0), mask, cell=(400, 200), margin_mm=0.0)
    rows, columns = frame.size(2)
    assert rows / columns == pytest.approx(40 * 1 / (20 * 4), rel=0.02)
    rows, columns = frame.size(0)
    assert rows / columns == pytest.approx(10 * 6 / (40 * 1), rel=0.02)


def test_cut_at_one_pixel_per_voxel_is_the_plane_itself():
    values = np.random.default_rng(1).random((5, 6, 7)).astype(np.float32)
    frame = Frame(low=(-0.5,) * 3, high=(4.5, 5.5, 6.5), spacing=(2.0,) * 3, pixel_mm=2.0)
    expected = values[:, :, 3].T[::-1, ::-1]
    np.testing.assert_allclose(frame.cut(values, 2, 3), expected, atol=1e-6)


def test_locate_points_at_the_voxel():
    values = np.zeros((9, 9, 9), np.float32)
    values[6, 2, 4] = 1
    frame = Frame(low=(-0.5,) * 3, high=(8.5,) * 3, spacing=(1.0, 2.0, 1.0), pixel_mm=0.25)
    rows, columns = np.nonzero(frame.cut(values, 2, 4, order=0) > 0.5)
    assert frame.locate(2, (6, 2, 4)) == pytest.approx((rows.mean(), columns.mean()), abs=1)


def test_beyond_the_grid_is_black():
    values = np.ones((4, 4, 4), np.float32)
    frame = Frame(low=(-2.5,) * 3, high=(5.5,) * 3, spacing=(1.0,) * 3, pixel_mm=1.0)
    cut = frame.cut(values, 2, 1)
    assert cut.sum() == 16
    assert (cut[2:6, 2:6] == 1).all()


def test_contour_is_where_the_mask_is(found):
    levels = np.flatnonzero(found.mask.any((0, 1)))
    inside, outside = int(levels[1]), int(levels[-1]) + 3
    with_mask, without = mosaic_tiles(found, [inside, outside], width=200)
    drawn = (with_mask == CONTOUR).all(-1)
    rows, columns = np.nonzero(drawn)
    assert drawn.any()
    assert columns.mean() < 100, "the lesion is in the patient's right half"
    assert not (without == CONTOUR).all(-1).any()
    interior = with_mask[round(rows.mean()), round(columns.mean())]
    assert interior[0] > interior[2], "the overlay is warm"


def test_outline_leaves_the_mask_itself_visible():
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    drawn = outline(np.zeros((9, 9, 3), np.uint8), mask, CONTOUR)
    assert (drawn[4, 4] == 0).all()
    assert (drawn == CONTOUR).all(-1).sum() == 4


def test_overlay_is_clear_below_its_threshold(found):
    quiet = replace(found, anomaly=np.minimum(found.anomaly, np.float32(2.9)))
    tile = mosaic_tiles(replace(quiet, mask=np.zeros_like(found.mask)), [16], width=100)[0]
    assert (tile[..., 0] == tile[..., 2]).all(), "grey only"
    assert heat_scale(found)[0] == 3.0


def test_slices_go_through_the_brain_top_first_and_meet_each_peak(found):
    (lesion,) = found.lesions
    levels = axial_slices(found, 7)
    (grid,) = (volume.grid for volume in found.contrasts.values())
    assert levels == sorted(levels, reverse=True)
    assert len(levels) == 7
    assert nearest_voxel(grid, lesion.peak_mm)[2] in levels
    assert all(found.brain[:, :, k].any() for k in levels)


def test_few_slices_are_all_shown(thick):
    assert axial_slices(thick, 24) == [k for k in range(18, -1, -1) if thick.brain[..., k].any()]


def test_pictures_are_images(found, one_slice):
    (lesion,), (flat,) = found.lesions, one_slice.lesions
    for picture in (
        mosaic(found),
        mosaic(one_slice),
        closeup(found, lesion),
        closeup(one_slice, flat),
        comparison(found),
    ):
        pixels = imread(io.BytesIO(picture.data), format="webp")
        assert pixels.shape[:2] == (picture.height, picture.width)


def test_a_lesion_at_the_edge_can_be_seen_close_up(found):
    (lesion,) = found.lesions
    far = replace(lesion, peak_mm=(500.0, -500.0, 500.0))
    assert closeup(found, far).width > 0


def test_no_counterpart_no_comparison(found):
    assert comparison(replace(found, pseudo_healthy=None)) is None


def test_registration_is_shown_plane_by_plane(found):
    image, template = found.template["scan"][0], found.template["template"]
    seen = registration_check(image, template)
    assert seen.data == registration_check(image.copy(), template).data
    assert seen.data != registration_check(np.roll(image, 3, 1), template).data


def test_stitched_tiles_keep_their_order():
    tiles = [np.full((4, 6, 3), n, np.uint8) for n in (1, 2, 3)]
    canvas, corners = stitch(tiles, 2)
    for (row, column), n in zip(corners, (1, 2, 3), strict=True):
        assert canvas[row + 6, column + 7, 0] == n


def test_tilt_is_the_angle_to_the_scanner():
    angle = np.radians(20)
    affine = np.eye(4)
    affine[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, :3] *= [1, 2, 3]
    assert tilt(Grid(shape=(4, 4, 4), affine=affine)) == pytest.approx(20)
