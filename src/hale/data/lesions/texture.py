"""Ten operations on 8-bit colour pictures, of which DRAEM takes three for a texture.

Reference: Zavrtanik, Kristan and Skočaj 2021, arXiv:2108.07610; ranges that it leaves open are
those in the docstrings. A picture is ``(3, i, j)`` uint8, red first; none changes its input.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, UInt8

from hale.data.lesions.perlin import turned

Picture = UInt8[np.ndarray, "3 i j"]
Operation = Callable[[Picture, np.random.Generator], Picture]

LEVELS = np.arange(256)
USED = 3
"""Operations per texture."""


def textured(
    grey: UInt8[np.ndarray, "i j"], rng: np.random.Generator
) -> Float32[np.ndarray, "i j"]:
    """Return ``grey`` after three distinct operations, in random order: red, in [0, 1]."""
    picture: np.ndarray = np.stack([grey] * 3)
    for number in rng.permutation(len(OPERATIONS))[:USED]:
        picture = OPERATIONS[number](picture, rng)
    red: np.ndarray = picture[0].astype(np.float32) / 255
    return red


def gamma(x: Picture, rng: np.random.Generator) -> Picture:
    """Raise each channel to a power of its own, 0.5 to 2."""
    return _looked_up(x, [255 * (LEVELS / 255) ** power for power in rng.uniform(0.5, 2, 3)])


def brightness(x: Picture, rng: np.random.Generator) -> Picture:
    """Multiply by 0.8 to 1.2, then add -30 to 30; all channels alike."""
    return _looked_up(x, [LEVELS * rng.uniform(0.8, 1.2) + rng.uniform(-30, 30)] * 3)


def sharpen(x: Picture, rng: np.random.Generator) -> Picture:
    """Multiply the difference from a smoothed picture by 0 to 3: below 1 blurs.

    Smoothed over 3 x 3 pixels, of which the middle counts fivefold; the rim stays as it is.
    """
    factor = rng.uniform(0, 3)
    if min(x.shape[1:]) < 3:
        return x
    wide = x.astype(np.float32)
    rows = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    middle = wide[:, 1:-1, 1:-1]
    smooth = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * middle) / 13
    sharp = x.copy()
    sharp[:, 1:-1, 1:-1] = _bytes(smooth + factor * (middle - smooth))
    return sharp


def hue_saturation(x: Picture, rng: np.random.Generator) -> Picture:
    """Add -50 to 50 to hue and to saturation, each of 255; a grey picture has the hue of red."""
    hue_by, saturation_by = rng.uniform(-50, 50, 2) / 255
    colours = x.astype(np.float32)
    value = colours.max(axis=0)
    chroma = value - colours.min(axis=0)
    new_chroma = value * (chroma / np.maximum(value, 1) + np.float32(saturation_by)).clip(0, 1)
    away = _SIXTHS + (_hue(colours, value, chroma) + np.float32(6 * hue_by))
    away -= 6 * np.floor(away / 6)
    return _bytes(value - new_chroma * np.minimum(away, 4 - away).clip(0, 1))


def solarise(x: Picture, rng: np.random.Generator) -> Picture:
    """Half the time, invert what is at least a threshold of 32 to 128."""
    applied, threshold = rng.random() < 0.5, rng.integers(32, 129)
    table = np.where(threshold <= LEVELS, 255 - LEVELS, LEVELS)
    return _looked_up(x, [table] * 3) if applied else x


def posterise(x: Picture, rng: np.random.Generator) -> Picture:
    """Keep the 1 to 8 highest bits."""
    return x & np.uint8(256 - 2 ** (8 - rng.integers(1, 9)))


def invert(x: Picture, rng: np.random.Generator) -> Picture:
    """Exchange black and white. Draws nothing."""
    del rng
    return 255 - x


def autocontrast(x: Picture, rng: np.random.Generator) -> Picture:
    """Stretch each channel to 0 ... 255, less 0 to 20 % of its pixels at either end."""
    cut = rng.uniform(0, 0.2) * x[0].size
    tables = []
    for channel in x:
        below = np.bincount(channel.ravel(), minlength=256).cumsum()
        low = np.searchsorted(below, cut, side="right")  # the darkest level that is left
        high = np.searchsorted(below, below[-1] - cut)
        tables.append((LEVELS - low) * 255 / (high - low) if high > low else LEVELS)
    return _looked_up(x, tables)


def equalise(x: Picture, rng: np.random.Generator) -> Picture:
    """Make all levels of each channel as frequent as can be. Draws nothing."""
    del rng
    tables = []
    for channel in x:
        below = np.bincount(channel.ravel(), minlength=256).cumsum()
        first = below[below > 0][0]  # the pixels of the darkest level, which becomes 0
        rest = below[-1] - first
        tables.append((below - first) * 255 / rest if rest else LEVELS)
    return _looked_up(x, tables)


def rotate(x: Picture, rng: np.random.Generator) -> Picture:
    """Turn by -45 to 45 degrees; black comes in."""
    degrees = rng.uniform(-45, 45)
    return _bytes(np.stack([turned(channel.astype(np.float64), degrees) for channel in x]))


OPERATIONS: tuple[Operation, ...] = (
    gamma, brightness, sharpen, hue_saturation, solarise,
    posterise, invert, autocontrast, equalise, rotate,
)  # fmt: skip


_SIXTHS = np.array([5, 3, 1], np.float32)[:, None, None]
"""Where red, green and blue stand, in sixths of a turn against the hue."""


def _hue(
    x: Float32[np.ndarray, "3 i j"], value: np.ndarray, chroma: np.ndarray
) -> Float32[np.ndarray, "i j"]:
    """Return the hue in sixths of a turn: 0 for red and for grey, 2 for green, 4 for blue."""
    red, green, blue = x
    from_red, from_green = value == red, value == green
    difference = np.where(from_red, green - blue, np.where(from_green, blue - red, red - green))
    start = np.where(from_red, 0, np.where(from_green, 2, 4)).astype(np.float32)
    hue: np.ndarray = start + difference / np.maximum(chroma, 1)
    return hue


def _looked_up(x: Picture, tables: list[np.ndarray]) -> Picture:
    """Return each channel's levels replaced by those of its table, rounded into 8 bits."""
    return np.stack([_bytes(table).take(channel) for table, channel in zip(tables, x, strict=True)])


def _bytes(values: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.rint(values).clip(0, 255).astype(np.uint8)
    return rounded
