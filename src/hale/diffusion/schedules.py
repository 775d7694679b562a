"""How much of a slice is left at each time of a diffusion.

References: Ho, Jain and Abbeel 2020, "Denoising diffusion probabilistic models", arXiv:2006.11239
(linear); Nichol and Dhariwal 2021, "Improved denoising diffusion probabilistic models",
arXiv:2102.09672 (cosine).
"""

from dataclasses import dataclass
from enum import StrEnum
from math import pi

import torch
from jaxtyping import Float64
from torch import Tensor

LARGEST_BETA = 0.999
"""The cosine would end at 1, with nothing left to divide by."""
OFFSET = 0.008
"""Of the cosine: the first step adds about as much noise as a grey value of 8 bits."""


class Schedule(StrEnum):
    """How the variance that a step adds grows with time."""

    COSINE = "cosine"
    """The share of the signal falls as cos^2."""
    LINEAR = "linear"
    """From 1e-4 to 0.02 over 1000 steps; as much in all over another number of steps."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Levels:
    """The noise levels of a diffusion, by time: index 0 is the first step, not the clean slice."""

    beta: Float64[Tensor, "levels"]
    """Share of the variance that a step replaces by noise."""
    alpha_bar: Float64[Tensor, "levels"]
    """Share of a clean slice's variance that is left after the step: the product of 1 - beta."""


def levels_of(schedule: Schedule, count: int = 1000) -> Levels:
    """Return the levels of a diffusion of ``count`` steps."""
    beta = {Schedule.COSINE: _cosine, Schedule.LINEAR: _linear}[schedule](count)
    beta = beta.clamp(max=LARGEST_BETA)
    return Levels(beta=beta, alpha_bar=(1 - beta).cumprod(0))


def _cosine(count: int) -> Float64[Tensor, "{count}"]:
    u = torch.arange(count + 1, dtype=torch.float64) / count
    left = torch.cos((u + OFFSET) / (1 + OFFSET) * pi / 2).square()
    return 1 - left[1:] / left[:-1]


def _linear(count: int) -> Float64[Tensor, "{count}"]:
    return torch.linspace(1e-4, 0.02, count, dtype=torch.float64) * 1000 / count
