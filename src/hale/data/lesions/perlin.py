"""Perlin's gradient noise in the plane.

Reference: Perlin 2002, "Improving noise", https://doi.org/10.1145/566654.566636 (the quintic fade),
as DRAEM draws it: Zavrtanik, Kristan and Skočaj 2021, arXiv:2108.07610.

Between two lattice points, at u of 0 to 1 from the first, the fade is f(u) = u^3 (6u^2 - 15u + 10).
A lattice point a with the gradient (g, h) adds, with f standing for 1 - f(u) or f(u),
f_a(u) f_b(v) (g (u - a) + h (v - b)). That is a product of one factor per axis, so that all voxels
are two products of matrices.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import affine_transform

MOST_CELLS = 64
"""Per axis, on a plane that is wide enough: 2^6."""
TURN_DEGREES = 90.0
"""The field is turned by less than this, either way."""


def perlin(
    shape: tuple[int, int], cells: tuple[int, int], rng: np.random.Generator
) -> Float64[np.ndarray, "i j"]:
    """Return noise in [-1, 1], 0 at the lattice points.

    Args:
        shape: Voxels that are wanted.
        cells: Cells per axis of the plane from which they are cut: as wide as the next power of
            two of ``shape``, so powers of two here.
        rng: Draws the direction of each lattice point's gradient, of length 1.
    """
    angle = rng.uniform(0, 2 * np.pi, (cells[0] + 1, cells[1] + 1))
    fade_i, slope_i = (part[: shape[0]] for part in _factors(power_of_two(shape[0]), cells[0]))
    fade_j, slope_j = (part[: shape[1]] for part in _factors(power_of_two(shape[1]), cells[1]))
    along_i = slope_i @ np.cos(angle) @ fade_j.T
    along_j = fade_i @ np.sin(angle) @ slope_j.T
    noise: np.ndarray = np.sqrt(2) * (along_i + along_j)
    return noise


def turned_perlin(shape: tuple[int, int], rng: np.random.Generator) -> Float64[np.ndarray, "i j"]:
    """Return noise of random coarseness, 2^k cells on either axis, turned by a random angle."""
    cells = [_cells(power_of_two(n), rng) for n in shape]
    noise = perlin(shape, (cells[0], cells[1]), rng)
    return turned(noise, rng.uniform(-TURN_DEGREES, TURN_DEGREES))


def turned(values: np.ndarray, degrees: float) -> np.ndarray:
    """Return ``(i, j)`` turned about its middle, linearly interpolated, 0 where nothing was."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.array([[c, -s], [s, c]])
    middle = (np.array(values.shape) - 1) / 2
    moved: np.ndarray = affine_transform(values, matrix, middle - matrix @ middle, order=1)
    return moved


def power_of_two(number: int) -> int:
    """Return the least power of two that is not below ``number``: 128 for 96."""
    return 1 << (number - 1).bit_length()


def _cells(size: int, rng: np.random.Generator) -> int:
    """Return 1, 2, 4, ... or 64 cells; on less than 128 voxels, of no less than two voxels each."""
    most = max(min(MOST_CELLS, size // 2), 1)
    return int(2 ** rng.integers(most.bit_length()))


@lru_cache(maxsize=64)
def _factors(size: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what a lattice point gives to each voxel, ``(size, cells + 1)``.

    The first is the fade, the second the fade times the distance, in cells.
    """
    at = np.arange(size) * cells / size
    distance = at[:, None] - np.arange(cells + 1)
    near = 1 - np.abs(distance).clip(max=1)
    fade = near**3 * (6 * near**2 - 15 * near + 10)
    return fade, fade * distance
