"""OpenSimplex noise in two dimensions, and its fractal sum, for many maps at once.

Vertices of a triangular lattice each carry one of eight gradients, which the map's permutation
chooses. A point sums (2 - r^2)^4 gradient . (dx, dy) / 47 over the vertices nearer than sqrt(2):
the usual case distinction lists the same ones. Which they are, and their offsets, does not depend
on the map. So a map is one sparse matrix, made once for a size of plane, times its gradients.

References: Perlin 2001, "Noise hardware" (simplex noise); Spencer 2014, OpenSimplex (public
domain); Wyatt et al. 2022, "AnoDDPM", CVPRW, DOI 10.1109/CVPRW56347.2022.00080 (six octaves).
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor

STRETCH = -0.211324865405187
"""(1 / sqrt(3) - 1) / 2: from the plane to where the lattice is square."""
SQUISH = 0.366025403784439
"""(sqrt(3) - 1) / 2: and back."""
NORM = 47.0
"""Brings one octave to within about -0.87 and 0.87."""
GRADIENTS = ((5, 2), (2, 5), (-5, 2), (-2, 5), (5, -2), (2, -5), (-5, -2), (-2, -5))
"""x and y; a permutation's entry & 14 is twice the number of one."""
MULTIPLIER = 6364136223846793005
INCREMENT = 1442695040888963407
"""Of the generator of permutations: state -> MULTIPLIER state + INCREMENT, in 64 bits."""
WARM_UP = 3


@dataclass(frozen=True, kw_only=True)
class Octave:
    """One noise of a fractal sum."""

    period: float
    """Pixels per unit of the noise."""
    amplitude: float


OCTAVES = tuple(Octave(period=64 / 2**k, amplitude=0.8**k) for k in range(6))
"""Periods 64, 32, 16, 8, 4 and 2 pixels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane:
    """What the maps of one size share: pixels x (2 components of vertices), sparse, by rows."""

    u: Int64[Tensor, "vertices"]
    v: Int64[Tensor, "vertices"]
    """Place of a vertex on the lattice, modulo 256."""
    starts: Int64[Tensor, "bounds"]
    """Where the entries of a pixel begin; x first, then y components."""
    columns: Int64[Tensor, "entries"]
    weights: Float[Tensor, "entries"]


def simplex(
    size: tuple[int, int],
    seeds: Int64[Tensor, "maps"],
    *,
    octaves: tuple[Octave, ...] = OCTAVES,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "maps i j"]:
    """Return a fractal sum of noise for each seed; all octaves of a map share its permutation.

    Pixel (i, j) is the point x = j, y = i. Not of unit variance: the standard deviation is 0.58.
    """
    plane = plane_of(size, octaves, dtype)
    maps = F.embedding_bag(
        plane.columns,
        _gradients(plane, permutations(seeds)),
        plane.starts,
        mode="sum",
        per_sample_weights=plane.weights,
        include_last_offset=True,
    )
    return maps.T.reshape(len(seeds), *size)


def permutations(seeds: Int64[Tensor, "maps"]) -> Int64[Tensor, "256 maps"]:
    """Return a permutation of 0 to 255 for each seed.

    Entries are taken from 0 to 255 in turn, the last first: the one at (state + 31) mod (i + 1),
    where the i-th then moves to.
    """
    factors, terms = _jumps()
    states = seeds[:, None] * factors + terms  # wraps as 64-bit integers do
    picks = (states + 31).remainder(torch.arange(256, 0, -1))
    taken = bytearray().join(_taken(own) for own in picks.tolist())
    return torch.frombuffer(taken, dtype=torch.uint8).view(-1, 256).T.long().contiguous()


def _taken(picks: list[int]) -> bytearray:
    """Return the permutation; one by one, since each entry depends on those before."""
    left, taken = bytearray(range(256)), bytearray(256)
    for i, pick in zip(range(255, -1, -1), picks, strict=True):
        taken[i] = left[pick]
        left[pick] = left[i]
    return taken


@lru_cache(maxsize=1)
def _jumps() -> tuple[Int64[Tensor, "256"], Int64[Tensor, "256"]]:
    """Return what takes a seed to each of 256 states at once, without going through the others."""
    factor, term, jumps = 1, 0, []
    for _ in range(WARM_UP + 256):
        factor, term = _wrapped(factor * MULTIPLIER), _wrapped(term * MULTIPLIER + INCREMENT)
        jumps.append((factor, term))
    factors, terms = torch.tensor(jumps[WARM_UP:]).T
    return factors, terms


def _wrapped(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


def _gradients(
    plane: Plane, permutation: Int64[Tensor, "256 maps"]
) -> Float[Tensor, "components maps"]:
    """Return the gradient of each vertex in each map: all x components, then all y."""
    table = torch.tensor(GRADIENTS, dtype=plane.weights.dtype).T.contiguous()
    place = (permutation[plane.u] + plane.v[:, None]) & 255
    chosen = (permutation & 14) >> 1
    return torch.cat([component[chosen].gather(0, place) for component in table])


@lru_cache(maxsize=8)
def plane_of(size: tuple[int, int], octaves: tuple[Octave, ...], dtype: torch.dtype) -> Plane:
    """Return what maps of a size share, computed once."""
    near = [_near(size, octave) for octave in octaves]
    pixel, u, v = torch.cat([pairs for pairs, _ in near], 1)
    weights = torch.cat([offsets for _, offsets in near], 1)
    span = int(v.max() - v.min()) + 1
    places, vertex = ((u - u.min()) * span + v - v.min()).unique(return_inverse=True)
    n = len(places)
    rows, columns = torch.cat([pixel, pixel]), torch.cat([vertex, vertex + n])
    # one entry where two octaves meet the same vertex
    keys, same = (rows * 2 * n + columns).unique(return_inverse=True)
    summed = torch.zeros(len(keys), dtype=torch.float64).index_add_(0, same, weights.flatten())
    starts = torch.searchsorted(keys, torch.arange(size[0] * size[1] + 1) * 2 * n)
    return Plane(
        u=(places // span + u.min()) & 255,
        v=(places % span + v.min()) & 255,
        starts=starts,
        columns=keys % (2 * n),
        weights=summed.to(dtype),
    )


def _near(
    size: tuple[int, int], octave: Octave
) -> tuple[Int64[Tensor, "3 pairs"], Float64[Tensor, "2 pairs"]]:
    """Return each pair of a pixel and a vertex near it, as (pixel, u, v), and what (dx, dy) weigh.

    The lattice is square, with a vertex at every (u, v), where the plane is stretched.
    """
    i, j = torch.meshgrid(*map(torch.arange, size), indexing="ij")
    y, x = (axis.flatten().double()[:, None] / octave.period for axis in (i, j))
    cell_u, cell_v = ((axis + (x + y) * STRETCH).floor().long() for axis in (x, y))
    step_u, step_v = torch.cartesian_prod(torch.arange(-1, 3), torch.arange(-1, 3)).T
    u, v = cell_u + step_u, cell_v + step_v  # (pixels, 16): none farther can be near
    squish = (u + v).double() * SQUISH
    dx, dy = x - u - squish, y - v - squish
    kernel = 2 - dx**2 - dy**2
    near = kernel > 0
    scale = octave.amplitude / NORM * kernel[near] ** 4
    pairs = torch.stack([near.nonzero()[:, 0], u[near], v[near]])
    return pairs, torch.stack([scale * dx[near], scale * dy[near]])
