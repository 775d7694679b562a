"""What a picture shows of a detection: which slices, which field of view, which window."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hale.core.detection import Detection
from hale.core.grid import Grid
from hale.core.scan import Volume
from hale.core.types import Mask
from hale.report.canvas import Frame, Label

PLANES = {2: "Axial", 1: "Coronal", 0: "Sagittal"}
"""Name of the plane across each voxel axis, in the order in which they are shown."""
SIDES = {2: ("R", "L"), 1: ("R", "L"), 0: ("A", "P")}
"""What is at the left and at the right edge of each plane."""
DIRECTIONS = (("R", "L"), ("A", "P"), ("S", "I"))
"""Where a positive and a negative coordinate lies, for x, y and z."""


def first_volume(detection: Detection) -> Volume:
    """Return the volume on whose grid the detection lies."""
    return next(iter(detection.contrasts.values()))


def planes(grid: Grid) -> list[int]:
    """Return the axes to look along: all three, only the axial one for a single slice."""
    return [2] if grid.shape[2] == 1 else list(PLANES)


def box(mask: Mask) -> tuple[list[int], list[int]]:
    """Return the first and last voxel of ``mask`` along each axis; of the grid, if it is empty."""
    if not mask.any():
        return [0, 0, 0], [length - 1 for length in mask.shape]
    inside = [
        np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)
    ]
    return [int(found[0]) for found in inside], [int(found[-1]) for found in inside]


def frame_of(
    spacing: Sequence[float], mask: Mask, *, cell: tuple[int, int], margin_mm: float = 5.0
) -> Frame:
    """Return the frame of ``mask``'s box, as large as fits ``cell`` (rows, columns) axially."""
    low, high = box(mask)
    margin = [margin_mm / mm for mm in spacing]
    first = [a - 0.5 - m for a, m in zip(low, margin, strict=True)]
    last = [b + 0.5 + m for b, m in zip(high, margin, strict=True)]
    across, up = ((last[a] - first[a]) * spacing[a] for a in (0, 1))
    pixel_mm = max(up / cell[0], across / cell[1])
    return Frame(low=triple(first), high=triple(last), spacing=triple(spacing), pixel_mm=pixel_mm)


def frame_at(grid: Grid, voxel: Sequence[int], *, field_mm: float, pixels: int) -> Frame:
    """Return a cubic frame of ``field_mm`` around ``voxel``, ``pixels`` wide."""
    half = [field_mm / 2 / mm for mm in grid.spacing]
    return Frame(
        low=triple([c - h for c, h in zip(voxel, half, strict=True)]),
        high=triple([c + h for c, h in zip(voxel, half, strict=True)]),
        spacing=grid.spacing,
        pixel_mm=field_mm / pixels,
    )


def axial_slices(detection: Detection, count: int) -> list[int]:
    """Return up to ``count`` slices, top first, evenly through the brain.

    The slice nearest to each of the largest lesions' peaks is moved onto the peak.
    """
    area = detection.brain.sum(axis=(0, 1))
    through = np.flatnonzero(area > 0.05 * area.max()) if area.any() else np.arange(area.size)
    count = min(count, through.size)
    chosen = through[((np.arange(count) + 0.5) / count * through.size).astype(int)]
    free = np.ones(chosen.size, bool)
    for peak in _peaks(detection)[: chosen.size // 2]:
        distance = np.where(free, np.abs(chosen - peak), np.iinfo(int).max)
        if peak not in chosen:
            chosen[distance.argmin()] = peak
        free[chosen == peak] = False
    return sorted({int(k) for k in chosen}, reverse=True)


def _peaks(detection: Detection) -> list[int]:
    """Return the axial slice of each lesion's peak; of the map's, where there is no lesion."""
    grid = first_volume(detection).grid
    if detection.lesions:
        return [nearest_voxel(grid, lesion.peak_mm)[2] for lesion in detection.lesions]
    return [int(np.unravel_index(int(detection.anomaly.argmax()), grid.shape)[2])]


def nearest_voxel(grid: Grid, position: Sequence[float]) -> tuple[int, int, int]:
    """Return the voxel of ``grid`` nearest to ``position``, mm."""
    index = np.linalg.solve(grid.affine, [*position, 1.0])[:3]
    i, j, k = np.clip(index.round(), 0, np.array(grid.shape) - 1).astype(int)
    return int(i), int(j), int(k)


def grey_window(values: np.ndarray, brain: Mask) -> tuple[float, float]:
    """Return what is black and what is white: the brain's 0.5 and 99.5 percentile, eased."""
    inside = values[brain] if brain.any() else values.ravel()
    low, high = np.percentile(inside[:: max(1, inside.size // 200_000)], [0.5, 99.5])
    return float(min(low, max(0.0, low - 0.1 * (high - low)))), float(high + 0.05 * (high - low))


@dataclass(frozen=True, kw_only=True)
class Shades:
    """What the colours of a detection's pictures stand for."""

    window: tuple[float, float]
    """Intensity of the scan that is black, and white."""
    scale: tuple[float, float]
    """Anomaly at which the overlay's colours begin, and end."""


def shades_of(detection: Detection) -> Shades:
    """Return the shades that all pictures of a detection share."""
    window = grey_window(first_volume(detection).values, detection.brain)
    return Shades(window=window, scale=heat_scale(detection))


def heat_scale(detection: Detection) -> tuple[float, float]:
    """Return where the overlay's colours begin and end.

    Calibrated: from z0, whatever the scan, over at least 3 units. Otherwise the top 5 % of the
    brain's voxels are coloured, because the scale is the method's own.
    """
    inside = detection.anomaly[detection.brain] if detection.brain.any() else detection.anomaly
    most, top = np.percentile(inside, [95, 99.95])
    if detection.pvalue is not None:
        begin = float((detection.calibration or {}).get("z0", 3.0))
        return begin, max(begin + 3, float(np.ceil(top)))
    begin = max(float(most), 1e-6)
    return begin, max(float(top), begin * 1.01)


def tile_labels(
    name: str, axis: int, corner: tuple[int, int], size: tuple[int, int]
) -> list[Label]:
    """Return a tile's name (top left) and the letters of its left and right side."""
    (row, column), (left, right) = corner, SIDES[axis]
    middle = row + size[0] // 2
    return [
        Label(text=name, row=row + 20, column=column + 10),
        Label(text=left, row=middle, column=column + 10),
        Label(text=right, row=middle, column=column + size[1] - 2, anchor="right"),
    ]


def slice_positions(detection: Detection, levels: Sequence[int]) -> list[str]:
    """Return where axial slices cut the middle of the brain, e.g. ``S 42 mm``."""
    low, high = box(detection.brain)
    middle = np.array([[(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, k] for k in levels])
    heights = first_volume(detection).grid.positions(middle)[:, 2].round().astype(int)
    return [f"{DIRECTIONS[2][z < 0]} {abs(z)} mm" for z in map(int, heights)]


def tilt(grid: Grid) -> float:
    """Return the largest angle between a voxel axis and its scanner axis, degrees."""
    cosines = np.abs(np.diag(grid.affine[:3, :3])) / np.array(grid.spacing)
    return float(np.degrees(np.arccos(np.clip(cosines, 0, 1))).max())


def triple(values: Sequence[float]) -> tuple[float, float, float]:
    """Return three values as a tuple of floats."""
    a, b, c = values
    return float(a), float(b), float(c)
