"""The best and the worst case of a method as a picture: the scan, the map, what came of it."""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from matplotlib import colormaps
from PIL import Image as Pillow

from hale.core.types import Map, Mask
from hale.report.canvas import CONTOUR, Colours, Frame, Tile, TileMask, grey, outline, stitch
from hale.report.view import frame_of, grey_window

CELL = (200, 165)
"""Rows and columns that a plane gets at most."""
TRUE, MISSED, FALSE = (86, 180, 233), (213, 94, 0), (240, 228, 66)
"""Sky blue, vermilion, yellow: told apart in every colour vision (Okabe and Ito 2008,
https://jfly.uni-koeln.de/color/), and by their pattern: full, striped, dotted."""
MAP_COLOURS = colormaps["inferno"]
OPACITY = 0.78
DIM = 0.7
"""Of the scan under the marks, so that yellow is not taken for a bright lesion."""
GREYS, HEATS, MIXES = 32, 40, 8
"""How many shades of each kind the palette of all pictures has: few, for few bytes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """One scan, what a method said of it, and what was true. All on one grid, RAS+."""

    scan: Map
    anomaly: Map
    brain: Mask
    lesion: Mask
    """All False for a healthy scan."""
    found: Mask
    """What the method marks, at whatever threshold the caption names."""
    spacing: tuple[float, float, float]
    """mm per voxel along each axis."""


def draw_case(seen: Seen) -> bytes:
    """Return a PNG of one axial slice in three tiles: scan; map; true, missed and false marks.

    The slice is that with most of the lesion, or without one that with the highest scores.
    """
    k = slice_of(seen)
    shown = seen.brain | seen.lesion
    frame = frame_of(seen.spacing, shown, cell=CELL)
    scan = grey(frame.cut(seen.scan, 2, k), grey_window(seen.scan, seen.brain))
    lesion, found = (frame.cut_mask(mask, 2, k) for mask in (seen.lesion, seen.found))
    tiles = [scan, _map(seen, frame, k, lesion), outcome(scan, lesion, found)]
    canvas, _ = stitch(tiles, len(tiles))
    file = io.BytesIO()
    few = Pillow.fromarray(canvas).quantize(palette=_palette(), dither=Pillow.Dither.NONE)
    few.save(file, format="png", optimize=True)
    return file.getvalue()


def _palette() -> Pillow.Image:
    """Return the colours of all pictures: greys, those of maps, marks over every grey."""
    greys = np.linspace(0, 255, GREYS)[:, None].repeat(3, axis=1)
    heats = MAP_COLOURS(np.linspace(0, 1, HEATS))[:, :3] * 255
    under = np.linspace(0, 255 * DIM, MIXES)[:, None]
    mixed = [OPACITY * np.array(mark) + (1 - OPACITY) * under for mark in (TRUE, MISSED, FALSE)]
    marks = np.array([CONTOUR, TRUE, MISSED, FALSE])
    palette = Pillow.new("P", (1, 1))
    colours = np.concatenate([greys, heats, *mixed, marks])
    palette.putpalette(colours.astype(np.uint8).ravel().tolist())
    return palette


def slice_of(seen: Seen) -> int:
    """Return which axial slice is shown: voxel index k."""
    area = seen.lesion.sum(axis=(0, 1))
    if not area.any():
        area = np.where(seen.brain, np.maximum(seen.anomaly, 0), 0).sum(axis=(0, 1))
    return int(area.argmax())


def outcome(scan: Colours, lesion: TileMask, found: TileMask) -> Colours:
    """Return ``scan``, dimmed, with the lesion found, the lesion missed, and false marks."""
    rows, columns = np.indices(lesion.shape)
    patterns: list[tuple[Bool[np.ndarray, "row column"], tuple[int, int, int], np.ndarray]] = [
        (lesion & found, TRUE, np.ones_like(lesion)),
        (lesion & ~found, MISSED, (rows + columns) % 6 < 4),
        (found & ~lesion, FALSE, (rows % 4 < 3) & (columns % 4 < 3)),
    ]
    drawn = dimmed = (DIM * scan).astype(np.uint8)
    for where, colour, pattern in patterns:
        mixed = (OPACITY * np.array(colour) + (1 - OPACITY) * dimmed).astype(np.uint8)
        drawn = np.where((where & pattern)[..., None], mixed, drawn)
        drawn = np.where(_rim(where)[..., None], np.array(colour, np.uint8), drawn)
    return drawn


def _rim(mask: TileMask) -> TileMask:
    """Return the outermost pixels of ``mask``."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    rim: TileMask = mask & ~inner
    return rim


def _map(seen: Seen, frame: Frame, k: int, lesion: TileMask) -> Colours:
    """Return the anomaly map in colour, with the edge of the lesion."""
    inside = seen.anomaly[seen.brain] if seen.brain.any() else seen.anomaly.ravel()
    low, high = (float(x) for x in np.percentile(inside, [1, 99.8]))
    tile: Tile = frame.cut(np.where(seen.brain, seen.anomaly, low).astype(np.float32), 2, k)
    share = np.clip((tile - low) / max(high - low, 1e-12), 0, 1)
    colours = (MAP_COLOURS(share)[..., :3] * 255).astype(np.uint8)
    colours[~frame.cut_mask(seen.brain, 2, k)] = 0
    return outline(colours, lesion, CONTOUR)
