"""Pixels: planes of a volume as a radiologist hangs them, colours, and the picture they make.

Every plane looks the same way round, whichever axis it is perpendicular to: patient right is on
the left (axial, coronal), front on the left (sagittal), top or front is up. Pixels are square in
mm, so thick slices keep their true proportions.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.ndimage import affine_transform, binary_dilation

from hale.core.types import Labels, Mask

Tile = Float32[np.ndarray, "row column"]
TileMask = Bool[np.ndarray, "row column"]
Colours = UInt8[np.ndarray, "row column 3"]
Sheet = UInt8[np.ndarray, "_ _ 3"]
"""Colours too, of any size: where one call handles several."""

CONTOUR = (0, 229, 255)
"""Cyan: neither in a grey picture nor in the overlay."""
BRAIN_EDGE = (173, 255, 47)
HEAT = LinearSegmentedColormap.from_list("heat", ["#b3001b", "#ff5400", "#ffb000", "#fff3a3"])
DPI = 150
"""Of labels: pictures are half as large again as they are shown, for fine screens and print."""
GAP = 9
"""Black pixels between tiles."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An encoded image and what it shows, in words."""

    data: bytes
    """WebP."""
    width: int
    height: int
    alt: str

    @property
    def uri(self) -> str:
        """Return the image as a URI that needs no file beside the page."""
        return "data:image/webp;base64," + base64.b64encode(self.data).decode("ascii")


@dataclass(frozen=True, kw_only=True)
class Label:
    """Text on a picture; ``row`` and ``column`` are of its middle (vertically) and anchor."""

    text: str
    row: int
    column: int
    anchor: str = "left"


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The block of a grid that pictures show, and how finely."""

    low: tuple[float, float, float]
    """First edge per axis, voxel index: voxel 0 reaches from -0.5 to 0.5."""
    high: tuple[float, float, float]
    spacing: tuple[float, float, float]
    """mm per voxel."""
    pixel_mm: float

    def size(self, axis: int) -> tuple[int, int]:
        """Return rows and columns of a plane perpendicular to ``axis``."""
        across, up = _in_plane(axis)
        columns, rows = (
            max(1, round((self.high[a] - self.low[a]) * self.spacing[a] / self.pixel_mm))
            for a in (across, up)
        )
        return rows, columns

    def locate(self, axis: int, voxel: tuple[int, int, int]) -> tuple[float, float]:
        """Return the row and column of ``voxel`` (index i j k) in a plane across ``axis``."""
        across, up = _in_plane(axis)
        column, row = (
            (self.high[a] - voxel[a]) * self.spacing[a] / self.pixel_mm - 0.5 for a in (across, up)
        )
        return row, column

    def cut(self, values: np.ndarray, axis: int, index: int, *, order: int = 1) -> Tile:
        """Return the plane ``index`` across ``axis`` of ``values``; 0 beyond the grid.

        Args:
            values: Voxels, i j k.
            axis: 0 sagittal, 1 coronal, 2 axial.
            index: Which voxel along ``axis``.
            order: 0 for masks, 1 for intensities.
        """
        across, up = _in_plane(axis)
        steps = np.array([self.pixel_mm / self.spacing[up], self.pixel_mm / self.spacing[across]])
        start = np.array([self.high[up], self.high[across]]) - steps / 2
        plane = values.take(index, axis).T.astype(np.float32)  # up, across
        mode = "nearest" if order else "constant"  # half a thick slice at the edge is not black
        tile: Tile = affine_transform(
            plane, np.diag(-steps), start, self.size(axis), order=order, mode=mode
        )
        rows, columns = (
            start[n] - steps[n] * np.arange(length) for n, length in enumerate(tile.shape)
        )
        tile[(rows < -0.5) | (rows > plane.shape[0] - 0.5)] = 0
        tile[:, (columns < -0.5) | (columns > plane.shape[1] - 0.5)] = 0
        return tile

    def cut_mask(self, mask: Mask | Labels, axis: int, index: int) -> TileMask:
        """Return where the plane of a mask is set, by nearest neighbour."""
        return self.cut(mask, axis, index, order=0) > 0.5


def _in_plane(axis: int) -> tuple[int, int]:
    """Return the voxel axes that run along the columns and the rows of a plane across ``axis``."""
    across, up = (a for a in range(3) if a != axis)
    return across, up


def grey(tile: Tile, window: tuple[float, float]) -> Colours:
    """Return ``tile`` in grey: black at the window's lower end, white at its upper."""
    low, high = window
    share = np.clip((tile - low) / max(high - low, 1e-12), 0, 1)
    return np.repeat((share * 255).astype(np.uint8)[..., None], 3, axis=2)


def heat(picture: Colours, tile: Tile, scale: tuple[float, float], opacity: float) -> Colours:
    """Return ``picture`` with ``tile`` laid over it, clear below the scale's lower end."""
    low, high = scale
    colours = HEAT(np.clip((tile - low) / (high - low), 0, 1))[..., :3] * 255
    mixed = opacity * colours + (1 - opacity) * picture
    return np.where((tile >= low)[..., None], mixed, picture).astype(np.uint8)


def outline(
    picture: Colours, mask: TileMask, colour: tuple[int, int, int], *, width: int = 1
) -> Colours:
    """Return ``picture`` with a line ``width`` pixels wide around ``mask``, outside it."""
    drawn = picture.copy()
    drawn[binary_dilation(mask, iterations=width) & ~mask] = colour
    return drawn


def stitch(tiles: Sequence[Sheet], columns: int) -> tuple[Sheet, list[tuple[int, int]]]:
    """Lay ``tiles`` out in rows on black, each in the middle of its cell.

    Returns:
        The canvas, and row and column of each cell's top left corner.
    """
    height, width = (max(tile.shape[n] for tile in tiles) + GAP for n in (0, 1))
    rows = -(-len(tiles) // columns)
    canvas = np.zeros((rows * height, columns * width, 3), np.uint8)
    corners = [(n // columns * height, n % columns * width) for n in range(len(tiles))]
    for tile, (row, column) in zip(tiles, corners, strict=True):
        top = row + (height - tile.shape[0]) // 2
        left = column + (width - tile.shape[1]) // 2
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return canvas, corners


def render(canvas: Sheet, labels: Sequence[Label], alt: str) -> Picture:
    """Encode ``canvas``, one pixel for one pixel, with ``labels`` written on it."""
    height, width = canvas.shape[:2]
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="black")
    FigureCanvasAgg(figure)
    figure.figimage(canvas, origin="upper")
    for label in labels:
        figure.text(
            label.column,
            height - label.row,
            label.text,
            transform=None,
            ha=label.anchor,
            va="center_baseline",
            fontsize=9,
            color="#f0f0f0",
            path_effects=[withStroke(linewidth=2, foreground="black")],
        )
    file = io.BytesIO()
    figure.savefig(file, format="webp", dpi=DPI, pil_kwargs={"quality": 86, "method": 3})
    return Picture(data=file.getvalue(), width=width, height=height, alt=alt)
