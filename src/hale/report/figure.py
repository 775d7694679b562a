"""The pictures of the findings: mosaic, close-ups, scan beside its pseudo-healthy counterpart."""

import numpy as np

from hale.core.detection import Detection, Lesion
from hale.report.canvas import (
    CONTOUR,
    HEAT,
    Colours,
    Frame,
    Label,
    Picture,
    Sheet,
    grey,
    heat,
    outline,
    render,
    stitch,
)
from hale.report.view import (
    PLANES,
    Shades,
    axial_slices,
    first_volume,
    frame_at,
    frame_of,
    heat_scale,
    nearest_voxel,
    planes,
    shades_of,
    slice_positions,
    tile_labels,
)

WIDTH = 1860
"""Pixels across a full-width picture, about."""
STRIP = 66
"""Pixel rows of the strip with the colour bar."""
CROSSHAIR = (255, 214, 102)


def mosaic(detection: Detection, *, slices: int = 24) -> Picture:
    """Return axial slices through the brain with the anomaly laid over, as a picture."""
    levels = axial_slices(detection, slices)
    columns = min(6, len(levels))
    tiles = mosaic_tiles(detection, levels, width=min(840, WIDTH // columns))
    canvas, corners = stitch(tiles, columns)
    labels = [
        label
        for name, corner in zip(slice_positions(detection, levels), corners, strict=True)
        for label in tile_labels(name, 2, corner, tiles[0].shape[:2])
    ]
    canvas, legend = _with_legend(canvas, detection)
    seen = f"{len(levels)} axial slices of the scan in grey, unusual places in colour"
    return render(canvas, [*labels, *legend], seen)


def mosaic_tiles(detection: Detection, levels: list[int], *, width: int) -> list[Colours]:
    """Return the axial slices ``levels`` (voxel index k): grey, overlay, contours."""
    spacing = first_volume(detection).grid.spacing
    frame = frame_of(spacing, detection.brain, cell=(2 * width, width))
    shades = shades_of(detection)
    return [overlaid(detection, shades, frame, 2, k) for k in levels]


def overlaid(detection: Detection, shades: Shades, frame: Frame, axis: int, index: int) -> Colours:
    """Return one plane of the scan in grey, with the anomaly's colours and the mask's edge."""
    picture = grey(frame.cut(first_volume(detection).values, axis, index), shades.window)
    anomaly = frame.cut(detection.anomaly, axis, index)
    picture = heat(picture, anomaly, shades.scale, opacity=0.6)
    if detection.mask is None:
        return picture
    return outline(picture, frame.cut_mask(detection.mask, axis, index), CONTOUR, width=2)


def closeup(detection: Detection, lesion: Lesion, *, field_mm: float = 90.0) -> Picture:
    """Return the planes through a lesion's peak: the scan, and below it the overlay."""
    scan, shades = first_volume(detection), shades_of(detection)
    peak = nearest_voxel(scan.grid, lesion.peak_mm)
    frame = frame_at(scan.grid, peak, field_mm=field_mm, pixels=360)
    axes = planes(scan.grid)
    plain = [grey(frame.cut(scan.values, axis, peak[axis]), shades.window) for axis in axes]
    marked = [overlaid(detection, shades, frame, axis, peak[axis]) for axis in axes]
    for axis, tile in zip(axes, plain, strict=True):
        _draw_crosshair(tile, frame.locate(axis, peak))
    canvas, corners = stitch([*plain, *marked], len(axes))
    labels = [
        label
        for axis, corner in zip(axes, corners, strict=False)
        for label in tile_labels(PLANES[axis], axis, corner, plain[0].shape[:2])
    ]
    named = ", ".join(PLANES[axis].lower() for axis in axes)
    return render(canvas, labels, f"Component {lesion.label}, {named}: scan, and with overlay")


def _draw_crosshair(picture: Colours, centre: tuple[float, float], gap: int = 40) -> None:
    """Draw two lines through ``centre`` (row, column) that leave the place itself free."""
    row, column = (round(at) for at in centre)
    lines = picture[row : row + 2], picture[:, column : column + 2].swapaxes(0, 1)
    for line, middle in zip(lines, (column, row), strict=True):
        line[:, : max(0, middle - gap)] = CROSSHAIR
        line[:, middle + gap + 2 :] = CROSSHAIR


def comparison(detection: Detection, *, slices: int = 6) -> Picture | None:
    """Return scan, pseudo-healthy image and anomaly map in rows; None without the second."""
    if detection.pseudo_healthy is None:
        return None
    scan = first_volume(detection)
    levels = axial_slices(detection, slices)
    margin = 140
    width = min(600, (WIDTH - margin) // len(levels))
    frame = frame_of(scan.grid.spacing, detection.brain, cell=(2 * width, width))
    shades, size = shades_of(detection), frame.size(2)
    tiles = [
        grey(frame.cut(values, 2, k), window)
        for values, window in (
            (scan.values, shades.window),
            (detection.pseudo_healthy, shades.window),
            (detection.anomaly, (0.0, shades.scale[1])),
        )
        for k in levels
    ]
    canvas, corners = stitch(tiles, len(levels))
    canvas = np.pad(canvas, ((0, 0), (margin, 0), (0, 0)))
    labels = [
        Label(text=name, row=corners[n * len(levels)][0] + size[0] // 2, column=16)
        for n, name in enumerate(("Scan", "Pseudo-\nhealthy", "Anomaly\nmap"))
    ]
    for name, (row, column) in zip(slice_positions(detection, levels), corners, strict=False):
        labels += tile_labels(name, 2, (row, column + margin), size)
    return render(canvas, labels, "The scan, its pseudo-healthy counterpart and the anomaly map")


def _with_legend(canvas: Sheet, detection: Detection) -> tuple[Sheet, list[Label]]:
    """Return ``canvas`` with a strip for the colour bar below, and the strip's labels."""
    (begin, end), calibrated = heat_scale(detection), detection.pvalue is not None
    top, width = canvas.shape[:2]
    canvas = np.pad(canvas, ((0, STRIP), (0, max(0, 800 - width)), (0, 0)))
    left, right = (240, 500) if calibrated else (380, 640)
    bar, middle = slice(top + 27, top + 45), top + 36
    canvas[bar, left:right] = HEAT(np.linspace(0, 1, right - left))[:, :3] * 255
    said = f"Anomaly: z from {begin:.3g}" if calibrated else f"Score: top 5 %, from {begin:.3g}"
    labels = [
        Label(text=said, row=middle, column=left - 12, anchor="right"),
        Label(text=f"{end:.3g}", row=middle, column=right + 12),
    ]
    if calibrated:
        canvas[bar, right + 90 : right + 108] = CONTOUR
        canvas[top + 30 : top + 42, right + 93 : right + 105] = 0
        labels.append(Label(text="component", row=middle, column=right + 120))
    return canvas, labels
