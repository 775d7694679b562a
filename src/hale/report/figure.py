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
    grey,
    heat,
    outline,
    render,
    stitch,
)
from hale.report.view import (
    PLANES,
    axial_slices,
    first_volume,
    frame_at,
    frame_of,
    grey_window,
    heat_scale,
    nearest_voxel,
    plane_labels,
    planes,
    slice_labels,
)

WIDTH = 1240
"""Pixels across a full-width picture, about."""
STRIP = 44
"""Pixel rows of the strip with the colour bar."""
CROSSHAIR = (255, 214, 102)


def mosaic(detection: Detection, *, slices: int = 24) -> Picture:
    """Return axial slices through the brain with the anomaly laid over, as a picture."""
    levels = axial_slices(detection, slices)
    tiles = mosaic_tiles(detection, levels, width=min(560, WIDTH // min(6, len(levels))))
    canvas, corners = stitch(tiles, min(6, len(levels)))
    labels = [
        label
        for k, corner in zip(levels, corners, strict=True)
        for label in slice_labels(detection, k, corner, tiles[0].shape[:2])
    ]
    canvas, legend = _with_legend(canvas, detection)
    seen = f"{len(levels)} axial slices of the scan in grey, unusual places in colour"
    return render(canvas, [*labels, *legend], seen)


def mosaic_tiles(detection: Detection, levels: list[int], *, width: int) -> list[Colours]:
    """Return the axial slices ``levels`` (voxel index k): grey, overlay, contours."""
    spacing = first_volume(detection).grid.spacing
    frame = frame_of(spacing, detection.brain, cell=(2 * width, width))
    return [overlaid(detection, frame, 2, k) for k in levels]


def overlaid(detection: Detection, frame: Frame, axis: int, index: int) -> Colours:
    """Return one plane of the scan in grey, with the anomaly's colours and the mask's edge."""
    scan = first_volume(detection).values
    picture = grey(frame.cut(scan, axis, index), grey_window(scan, detection.brain))
    anomaly = frame.cut(detection.anomaly, axis, index)
    picture = heat(picture, anomaly, heat_scale(detection), opacity=0.6)
    if detection.mask is None:
        return picture
    return outline(picture, frame.cut_mask(detection.mask > 0, axis, index), CONTOUR)


def closeup(detection: Detection, lesion: Lesion, *, field_mm: float = 90.0) -> Picture:
    """Return the planes through a lesion's peak: the scan, and below it the overlay."""
    scan = first_volume(detection)
    peak = nearest_voxel(scan.grid, lesion.peak_mm)
    frame = frame_at(scan.grid, peak, field_mm=field_mm, pixels=240)
    axes = planes(scan.grid)
    window = grey_window(scan.values, detection.brain)
    plain = [grey(frame.cut(scan.values, axis, peak[axis]), window) for axis in axes]
    marked = [overlaid(detection, frame, axis, peak[axis]) for axis in axes]
    for axis, tile in zip(axes, plain, strict=True):
        _draw_crosshair(tile, frame.locate(axis, peak))
    canvas, corners = stitch([*plain, *marked], len(axes))
    labels = [
        label
        for axis, corner in zip(axes, corners, strict=False)
        for label in plane_labels(axis, corner, plain[0].shape[:2])
    ]
    named = ", ".join(PLANES[axis].lower() for axis in axes)
    return render(canvas, labels, f"Component {lesion.label}, {named}: scan, and with overlay")


def _draw_crosshair(picture: Colours, centre: tuple[float, float], gap: int = 26) -> None:
    """Draw two lines through ``centre`` (row, column) that leave the place itself free."""
    row, column = (round(at) for at in centre)
    for line, middle in ((picture[row], column), (picture[:, column], row)):
        line[: max(0, middle - gap)] = CROSSHAIR
        line[middle + gap + 1 :] = CROSSHAIR


def comparison(detection: Detection, *, slices: int = 6) -> Picture | None:
    """Return scan, pseudo-healthy image and anomaly map in rows; None without the second."""
    if detection.pseudo_healthy is None:
        return None
    scan = first_volume(detection)
    levels = axial_slices(detection, slices)
    margin = 96
    width = min(420, (WIDTH - margin) // len(levels))
    frame = frame_of(scan.grid.spacing, detection.brain, cell=(2 * width, width))
    window, ceiling = grey_window(scan.values, detection.brain), heat_scale(detection)[1]
    size = frame.size(2)
    black = np.zeros((*size, 3), np.uint8)
    tiles = [
        *(grey(frame.cut(scan.values, 2, k), window) for k in levels),
        *(grey(frame.cut(detection.pseudo_healthy, 2, k), window) for k in levels),
        *(grey(frame.cut(detection.anomaly, 2, k), (0.0, ceiling)) for k in levels),
    ]
    canvas, corners = stitch(tiles, len(levels))
    canvas = np.pad(canvas, ((0, 0), (margin, 0), (0, 0)))
    labels = [
        Label(text=name, row=corners[n * len(levels)][0] + size[0] / 2, column=12, size=10)
        for n, name in enumerate(("Scan", "Pseudo-\nhealthy", "Anomaly\nmap"))
    ]
    for k, (row, column) in zip(levels, corners, strict=False):
        labels += slice_labels(detection, k, (row, column + margin), black.shape[:2])
    return render(canvas, labels, "The scan, its pseudo-healthy counterpart and the anomaly map")


def _with_legend(canvas: Colours, detection: Detection) -> tuple[Colours, list[Label]]:
    """Return ``canvas`` with a strip for the colour bar below, and the strip's labels."""
    scale, calibrated = heat_scale(detection), detection.pvalue is not None
    top = canvas.shape[0]
    canvas = np.pad(canvas, ((0, STRIP), (0, max(0, 560 - canvas.shape[1])), (0, 0)))
    start, length = (150 if calibrated else 240), 170
    ramp = HEAT(np.linspace(0, 1, length))[:, :3] * 255
    canvas[top + 18 : top + 30, start : start + length] = ramp.astype(np.uint8)
    row = top + STRIP / 2 + 2
    left = (
        f"Anomaly, z from {scale[0]:.3g}" if calibrated else f"Score, top 5 % (from {scale[0]:.3g})"
    )
    labels = [
        Label(text=left, row=row, column=start - 8, anchor="right", size=9),
        Label(text=f"{scale[1]:.3g}", row=row, column=start + length + 8, size=9),
    ]
    if calibrated:
        canvas[top + 18 : top + 30, start + length + 52 : start + length + 64] = CONTOUR
        canvas[top + 20 : top + 28, start + length + 54 : start + length + 62] = 0
        mark = Label(text="component", row=row, column=start + length + 72, size=9)
        labels.append(mark)
    return canvas, labels
