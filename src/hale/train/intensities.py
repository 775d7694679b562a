"""Slices as other scanners might have written them: gamma, bias field, blur, ghosts.

Reference: the augmentation of Behrendt et al. 2025, DOI 10.1016/j.compbiomed.2025.109660, with the
probabilities and ranges of its code; there on volumes, here on slices, each of which draws anew.
"""

from math import exp

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from hale.train.draws import batch_of

GAMMA, LOG_GAMMA = 0.5, 0.3
"""Share of slices, and how far the exponent's logarithm goes either way."""
BIAS, COEFFICIENT, ORDER = 0.25, 0.5, 3
"""Share; how far each coefficient of the log field goes either way; degree of its polynomial."""
BLUR, SIGMA = 0.25, 2.0
"""Share; largest standard deviation, pixels: of each axis its own."""
GHOST, GHOSTS, INTENSITY, KEPT = 0.5, (4, 10), (0.5, 1.0), 0.02
"""Share; how many ghosts; how much of each line is taken; share of the spectrum that is kept."""

Slice = Float[Tensor, "c i j"]
"""One slice of each contrast; 0 is background."""


def varied(x: Float[Tensor, "b c i j"], draw: Generator) -> Float[Tensor, "b c i j"]:
    """Return slices with other intensities, on the CPU; what was 0 to 1 ends within 0 to 1.

    Each slice has its own range put back after bias field, blur and ghosts, which change it.

    Args:
        x: 0 is background.
        draw: On the CPU; as many numbers are drawn for every slice, whatever becomes of it.
    """
    batch = batch_of(draw, len(x))
    chance, u, coefficients = (
        torch.rand(batch.size, *shape, generator=batch.draw)[batch.mine]
        for shape in ((4,), (6,), (ORDER + 1, ORDER + 1))
    )
    fields = COEFFICIENT * (2 * coefficients - 1)
    drawn = zip(x.cpu(), chance.tolist(), u.tolist(), fields, strict=True)
    return torch.stack([_varied(*one) for one in drawn])


def _varied(x: Slice, chance: list[float], u: list[float], field: Float[Tensor, "p q"]) -> Slice:
    high = float(x.max())
    if chance[0] < GAMMA:
        x = powered(x, exp(LOG_GAMMA * (2 * u[0] - 1)))
    if chance[1] < BIAS:
        x = x * bias_field(field, x.shape[-2], x.shape[-1])
    if chance[2] < BLUR:
        x = blurred(x, (SIGMA * u[1], SIGMA * u[2]))
    if chance[3] < GHOST:
        count = GHOSTS[0] + int(u[3] * (GHOSTS[1] - GHOSTS[0] + 1))
        share = INTENSITY[0] + u[4] * (INTENSITY[1] - INTENSITY[0])
        x = ghosted(x, count, share, axis=-2 + int(u[5] < 0.5))
    top = float(x.max())
    return x * (high / top) if top > 0 else x


def powered(x: Slice, gamma: float) -> Slice:
    """Return x^gamma; intensities below 0 keep their sign."""
    return x.sign() * x.abs() ** gamma


def bias_field(coefficients: Float[Tensor, "p q"], height: int, width: int) -> Float[Tensor, "i j"]:
    """Return exp of the polynomial in both axes, -1 to 1, whose degree is at most `ORDER`."""
    u, v = (torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in (height, width))
    degrees = torch.arange(ORDER + 1)
    kept = coefficients * (degrees[:, None] + degrees <= ORDER)
    rows, columns = u[:, None] ** degrees, v[:, None] ** degrees
    return torch.exp(rows @ kept @ columns.T)


def blurred(x: Slice, sigma: tuple[float, float]) -> Slice:
    """Return x under a Gaussian of ``sigma`` pixels along rows and columns; the edge repeats."""
    for axis, width in zip((-2, -1), sigma, strict=True):
        reach = int(3 * width + 0.5)
        if not reach:
            continue
        taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / width) ** 2)
        window = (taps / taps.sum()).view(1, 1, *((-1, 1) if axis == -2 else (1, -1)))
        edges = (0, 0, reach, reach) if axis == -2 else (reach, reach, 0, 0)
        x = F.conv2d(F.pad(x[:, None], edges, mode="replicate"), window)[:, 0]
    return x


def ghosted(x: Slice, count: int, intensity: float, *, axis: int) -> Slice:
    """Return x with ``count`` ghosts along an axis: lines of its spectrum weakened, 0 or more.

    Every ``count``-th line of k-space loses ``intensity`` of itself, but for the middle ones.
    """
    spectrum = torch.fft.fft(x, dim=axis)
    length = x.shape[axis]
    weaker = torch.ones(length)
    weaker[::count] = 1 - intensity
    kept = max(1, round(KEPT * length / 2))
    weaker[:kept] = weaker[length - kept :] = 1.0  # the middle of k-space lies at both ends
    along = weaker.view((-1, 1) if axis == -2 else (1, -1))
    made: Tensor = torch.fft.ifft(spectrum * along, dim=axis).real.clamp(min=0)
    return made
