"""From noise to a slice in many steps: DDIM, and the ancestral sampling of DDPM.

Both go down a list of times and end at the clean slice. From t to an earlier time r, with a, s of
t and b, q of r as in `process`:

    DDIM:       x_r = b x0 + sqrt(q^2 - k^2) n + k z,    k = eta (q / s) sqrt(1 - (a / b)^2)
    ancestral:  x_r ~ q(x_r | x_t, x0), the Gaussian posterior; the same as DDIM with eta 1

References: Ho, Jain and Abbeel 2020, arXiv:2006.11239, equations 6 and 7; Song, Meng and Ermon
2021, "Denoising diffusion implicit models", arXiv:2010.02502, equations 12 and 16.
"""

from collections.abc import Callable, Iterator, Sequence
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from hale.diffusion.process import Predict, Target, eps_of
from hale.diffusion.schedules import Levels

Fresh = Callable[[], Tensor]
"""Gives new noise of the shape of the slices: what they were noised with when learnt."""


def times_from(last: int, count: int) -> list[int]:
    """Return ``count`` evenly spaced times down to 0: (999, 4) gives 999, 666, 333 and 0."""
    return [round(float(t)) for t in torch.linspace(last, 0, count, dtype=torch.float64)]


def ddim(
    predict: Predict,
    x_t: Float[Tensor, "b c i j"],
    levels: Levels,
    times: Sequence[int],
    *,
    fresh: Fresh,
    eta: float = 0.0,
) -> Float[Tensor, "b c i j"]:
    """Return slices denoised from the first of ``times``, where they are, down to the clean ones.

    At eta 0 x_t fixes the way and ``fresh`` is never called.
    """
    for t, a2, b2 in _steps(levels, times):
        each = torch.full((len(x_t),), t, device=x_t.device)
        x0 = predict(x_t, each)
        n = eps_of(Target.X0, x0, x_t, each, levels)
        k2 = eta**2 * (1 - b2) / (1 - a2) * (1 - a2 / b2)
        x_t = sqrt(b2) * x0 + sqrt(max(1 - b2 - k2, 0)) * n
        x_t = _stirred(x_t, k2, fresh)
    return x_t


def ancestral(
    predict: Predict,
    x_t: Float[Tensor, "b c i j"],
    levels: Levels,
    times: Sequence[int],
    *,
    fresh: Fresh,
) -> Float[Tensor, "b c i j"]:
    """Return slices denoised as by `ddim`, with the noise of the posterior at each step.

    Its variance is the smaller of the two of Ho et al.; the last step has none.
    """
    for t, a2, b2 in _steps(levels, times):
        x0 = predict(x_t, torch.full((len(x_t),), t, device=x_t.device))
        alpha = a2 / b2
        of_x0 = sqrt(b2) * (1 - alpha) / (1 - a2)
        of_x_t = sqrt(alpha) * (1 - b2) / (1 - a2)
        x_t = of_x0 * x0 + of_x_t * x_t
        x_t = _stirred(x_t, (1 - alpha) * (1 - b2) / (1 - a2), fresh)
    return x_t


def _steps(levels: Levels, times: Sequence[int]) -> Iterator[tuple[int, float, float]]:
    """Yield each time with alpha_bar there and at the next; after the last, all is signal."""
    kept = [float(levels.alpha_bar[t]) for t in times] + [1.0]
    yield from zip(times, kept[:-1], kept[1:], strict=True)


def _stirred(
    x: Float[Tensor, "b c i j"], variance: float, fresh: Fresh
) -> Float[Tensor, "b c i j"]:
    """Return ``x`` with new noise."""
    return x + sqrt(variance) * fresh().to(x) if variance > 0 else x
