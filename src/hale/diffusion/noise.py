"""The noise of a diffusion: a slice's worth of it for each slice and channel.

References: Wyatt et al. 2022, "AnoDDPM", CVPRW, DOI 10.1109/CVPRW56347.2022.00080 (simplex);
Frotscher et al. 2023, "Unsupervised anomaly detection using aggregated normative diffusion",
arXiv:2312.01904 (pyramid); Kascenas, Pugeault and O'Neil 2022, PMLR 172, kascenas22a (coarse).
"""

from enum import StrEnum
from functools import lru_cache
from math import sqrt

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from hale.diffusion.simplex import simplex

CELL = 8
"""Spacing of the grid of coarse noise, pixels."""
FADING = 0.8
"""Of the pyramid: how much weaker each level is than the one half as coarse."""


class Noise(StrEnum):
    """What slices are corrupted with."""

    SIMPLEX = "simplex"
    """Six octaves of OpenSimplex, periods 64 to 2 pixels; standard deviation 0.58."""
    GAUSSIAN = "gaussian"
    """Independent N(0, 1) in each pixel."""
    PYRAMID = "pyramid"
    """Gaussian noise at every resolution, coarser ones weaker; variance 1, mean over pixels."""
    COARSE = "coarse"
    """N(0, 1) on a grid of 8 pixels, bilinear in between."""


def drawn(
    noise: Noise, shape: tuple[int, int, int, int], draw: Generator
) -> Float[Tensor, "b c i j"]:
    """Return noise of a shape, on the CPU, over the whole slice: a map for each b and c.

    ``draw`` fully determines it.
    """
    match noise:
        case Noise.SIMPLEX:
            b, c, i, j = shape
            seeds = torch.randint(2**63 - 1, (b * c,), generator=draw)
            return simplex((i, j), seeds).view(shape)
        case Noise.GAUSSIAN:
            return torch.randn(shape, generator=draw)
        case Noise.PYRAMID:
            return pyramid_noise(shape, draw)
        case Noise.COARSE:
            return coarse_noise(torch.empty(shape), std=1.0, cell=CELL, draw=draw)


def coarse_noise(
    x: Float[Tensor, "b c i j"], *, std: float, cell: int, draw: Generator
) -> Float[Tensor, "b c i j"]:
    """Return smooth noise of the shape of ``x``, on the CPU.

    Independent N(0, std) on a grid of one number per ``cell`` pixels (12 x 12 for 96 x 96),
    bilinear between them, and rolled by a random shift so that no pixel is always on the grid.
    """
    b, c, i, j = x.shape
    grid = std * torch.randn(b, c, -(-i // cell), -(-j // cell), generator=draw)
    field = F.interpolate(grid, scale_factor=cell, mode="bilinear", align_corners=False)
    shift = [int(torch.randint(side, (), generator=draw)) for side in field.shape[-2:]]
    return torch.roll(field, shift, (-2, -1))[..., :i, :j]


def pyramid_noise(shape: tuple[int, int, int, int], draw: Generator) -> Float[Tensor, "b c i j"]:
    """Return the sum of Gaussian noise at each halved resolution, brought bilinearly to full size.

    Down to one number for the slice; level k weighs 0.8^k. The mean variance of a pixel is 1.
    """
    b, c, i, j = shape
    total = torch.randn(shape, generator=draw)
    variance = 1.0
    for k in range(1, max(i, j).bit_length()):  # 48, 24, 12, 6, 3, 1
        down, across = bilinear(max(1, i >> k), i), bilinear(max(1, j >> k), j)
        grid = torch.randn(b, c, down.shape[1], across.shape[1], generator=draw)
        total += FADING**k * (down @ grid @ across.T)
        # of a pixel: the sum of its squared weights
        variance += FADING ** (2 * k) * float(down.square().sum() * across.square().sum()) / (i * j)
    return total / sqrt(variance)


@lru_cache(maxsize=32)
def bilinear(few: int, many: int) -> Float[Tensor, "{many} {few}"]:
    """Return the weights of ``few`` points in each of ``many`` linear interpolations of them."""
    points = torch.eye(few)[None]
    return F.interpolate(points, size=many, mode="linear", align_corners=False)[0].T.contiguous()
