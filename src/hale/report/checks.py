"""The pictures that show whether the preparation worked: brain extraction and registration."""

import numpy as np
from scipy.ndimage import gaussian_filter

from hale.core.detection import Detection
from hale.core.types import Map
from hale.report.canvas import (
    BRAIN_EDGE,
    CONTOUR,
    Picture,
    Sheet,
    TileMask,
    grey,
    outline,
    render,
    stitch,
)
from hale.report.view import (
    PLANES,
    box,
    first_volume,
    frame_of,
    grey_window,
    planes,
    tile_labels,
)

CELL = (345, 300)
"""Rows and columns that an axial plane gets."""


def brain_check(detection: Detection) -> Picture:
    """Return the whole head with the edge of the brain mask, three places in each plane."""
    scan = first_volume(detection)
    everything = np.ones(scan.grid.shape, bool)
    frame = frame_of(scan.grid.spacing, everything, cell=CELL, margin_mm=0.0)
    window = grey_window(scan.values, detection.brain)
    low, high = box(detection.brain)
    axes = planes(scan.grid)
    tiles = []
    for share in (0.25, 0.5, 0.75) if len(axes) > 1 else (0.5,):
        for axis in axes:
            index = round(low[axis] + share * (high[axis] - low[axis]))
            edge = frame.cut_mask(detection.brain, axis, index)
            tiles.append(
                outline(
                    grey(frame.cut(scan.values, axis, index), window), edge, BRAIN_EDGE, width=2
                )
            )
    return _picture(tiles, axes, "The scan with the edge of the extracted brain")


def registration_check(scan: Map, atlas: Map) -> Picture:
    """Return scan and template in a checkerboard, and the template's edges on the scan.

    Args:
        scan: One contrast on the isotropic model grid.
        atlas: The template there.
    """
    inside = atlas > 0
    axes = [2] if atlas.shape[2] == 1 else [2, 1, 0]
    frame = frame_of((1.0, 1.0, 1.0), inside, cell=CELL, margin_mm=4.0)
    middle = [(first + last) // 2 for first, last in zip(*box(inside), strict=True)]
    smooth = gaussian_filter(atlas, 0.7)
    levels = np.percentile(smooth[inside], [5, 60]) if inside.any() else []
    boards, edged = [], []
    for axis in axes:
        ours, theirs = (
            grey(frame.cut(volume, axis, middle[axis]), grey_window(volume, volume > 0))
            for volume in (scan, atlas)
        )
        boards.append(np.where(_checkerboard(ours.shape[:2])[..., None], ours, theirs))
        shape = frame.cut(smooth, axis, middle[axis])
        for level in levels:
            ours = outline(ours, shape > level, CONTOUR, width=2)
        edged.append(ours)
    said = "Scan and template in a checkerboard, and the template's edges on the scan"
    return _picture([*boards, *edged], axes, said)


def _picture(tiles: list[Sheet], axes: list[int], alt: str) -> Picture:
    """Return ``tiles`` as a picture with one column per axis."""
    canvas, corners = stitch(tiles, len(axes))
    cell = max(tile.shape[0] for tile in tiles), max(tile.shape[1] for tile in tiles)
    labels = [
        label
        for axis, corner in zip(axes, corners, strict=False)
        for label in tile_labels(PLANES[axis], axis, corner, cell)
    ]
    return render(canvas, labels, alt)


def _checkerboard(size: tuple[int, int], square: int = 38) -> TileMask:
    """Return True on the black fields of a checkerboard with ``square`` pixel wide fields."""
    rows, columns = np.indices(size) // square
    board: TileMask = (rows + columns) % 2 == 0
    return board
