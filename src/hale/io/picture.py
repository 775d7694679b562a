"""Single slices as arrays and pictures: `.npy` and grey PNG. They say nothing of their size in mm.

The top row is taken as the front of the head and the left column as its left, 1 mm a pixel.
"""

import struct
from pathlib import Path
from warnings import catch_warnings, simplefilter

import numpy as np
from PIL import Image

from hale.core.errors import Refused
from hale.core.types import Affine

PICTURES = (".npy", ".png")
GREY = ("1", "L", "I;16", "I;16B", "I")
"""Modes of PNG with one channel."""
SMALLEST, LARGEST = 16, 8192
"""Pixels along a side."""
BROKEN = (OSError, EOFError, SyntaxError, ValueError, TypeError, ArithmeticError, struct.error)
"""What numpy and Pillow raise at a file that is not what its name says."""
TAKEN = "a picture: its top is taken as the front, its left as left, a pixel as 1 mm"


def is_picture(path: Path) -> bool:
    """Say whether a name is one of a slice without a header."""
    return path.suffix.lower() in PICTURES


def picture_shape(path: Path) -> tuple[int, int]:
    """Return rows and columns without reading the pixels.

    Raises:
        Refused: It is no grey picture or no plain two-dimensional array.
    """
    if path.suffix.lower() == ".png":
        with _opened(path) as image:
            return image.height, image.width
    height, width = _mapped(path).shape
    return height, width


def read_picture(path: Path) -> np.ndarray:
    """Return the pixels (row, column) as float32.

    Nothing is unpickled: an array of objects is refused.

    Raises:
        Refused: It is no grey picture or no plain two-dimensional array, holds NaN or infinity,
            or is too small or too large for a slice.
    """
    height, width = picture_shape(path)
    what = f"is {height} x {width} pixels"
    if min(height, width) < SMALLEST:
        raise Refused(str(path), what, f"give a slice of {SMALLEST} x {SMALLEST} or more")
    if max(height, width) > LARGEST:
        raise Refused(str(path), f"{what}, more than any slice", "crop or shrink it")
    if path.suffix.lower() == ".npy":
        pixels = np.asarray(_mapped(path), np.float32)
    else:
        with _opened(path) as image:
            try:
                pixels = np.asarray(image, np.float32)
            except BROKEN as error:
                raise _damaged(path, error) from None
    bad = int((~np.isfinite(pixels)).sum())
    if bad:
        raise Refused(str(path), f"{bad} pixels are NaN or infinite", "export it again")
    return pixels


def picture_affine(height: int) -> Affine:
    """Return index (row, column, 0) to mm RAS+: rows run to the back, columns to the right."""
    affine = np.eye(4)
    affine[:2, :2] = [[0, 1], [-1, 0]]
    affine[1, 3] = height - 1
    return affine


def _mapped(path: Path) -> np.ndarray:
    """Return an array on disk, its header checked."""
    try:
        with np.errstate(over="raise"):  # of a shape that no file can hold
            array: np.ndarray = np.lib.format.open_memmap(path, mode="r")  # type: ignore[no-untyped-call]
    except BROKEN as error:
        if "Python objects" in str(error):
            why = "is no plain array of numbers (it would have to be unpickled)"
            raise Refused(str(path), why, "save it as float32") from None
        raise _damaged(path, error) from None
    if array.ndim != 2:
        shape = " x ".join(map(str, array.shape)) or "a single number"
        remedy = "give one slice, rows by columns; or the volume as NIfTI, which knows its voxels"
        raise Refused(str(path), f"is {shape}: {array.ndim} axes, not 2", remedy)
    if array.dtype.kind not in "buif":
        raise Refused(str(path), f"holds {array.dtype}, not grey values", "save it as float32")
    return array


def _opened(path: Path) -> Image.Image:
    """Return a PNG, its header checked and its pixels not read."""
    try:
        with catch_warnings():
            simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(path, formats=("PNG",))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise Refused(str(path), "is far larger than any slice", "crop or shrink it") from None
    except BROKEN as error:
        raise _damaged(path, error) from None
    if image.mode not in GREY:
        mode = image.mode
        image.close()
        why = f"is a colour or transparent picture (mode {mode}), not grey values"
        raise Refused(str(path), why, "save it as 8 or 16 bit grey")
    return image


def _damaged(path: Path, error: Exception) -> Refused:
    first = (str(error).splitlines() or [type(error).__name__])[0]
    why = f"is not what its name says, or damaged ({first})"
    return Refused(str(path), why, "export it again")
