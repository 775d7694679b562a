"""The forward process, and what a network may be taught to tell about it.

    x_t = a x0 + s n,    a = sqrt(alpha_bar_t), s = sqrt(1 - alpha_bar_t), a^2 + s^2 = 1

x0, n and v = a n - s x0 each say the others, given x_t and t. None of it asks that n be Gaussian.
References: Ho, Jain and Abbeel 2020, arXiv:2006.11239 (eps); Salimans and Ho 2022, "Progressive
distillation for fast sampling of diffusion models", arXiv:2202.00512 (v).
"""

from collections.abc import Callable
from enum import StrEnum

from jaxtyping import Float, Int
from torch import Tensor

from hale.diffusion.schedules import Levels

Predict = Callable[[Tensor, Tensor], Tensor]
"""From x_t and t to x0, slices of one shape."""


class Target(StrEnum):
    """What a network predicts."""

    X0 = "x0"
    """The clean slice."""
    EPS = "eps"
    """The noise."""
    V = "v"
    """Noise less slice, weighted so that its scale is the same at every level."""


def noised(
    x0: Float[Tensor, "b c i j"],
    noise: Float[Tensor, "#b #c i j"],
    t: Int[Tensor, "b"],
    levels: Levels,
) -> Float[Tensor, "b c i j"]:
    """Return x_t of slices of -1 to 1; t counts from 0, a time for each."""
    a, s = weights(t, levels, x0)
    return a * x0 + s * noise


def target_of(
    target: Target,
    x0: Float[Tensor, "b c i j"],
    noise: Float[Tensor, "b c i j"],
    t: Int[Tensor, "b"],
    levels: Levels,
) -> Float[Tensor, "b c i j"]:
    """Return what a network should say about x_t."""
    a, s = weights(t, levels, x0)
    match target:
        case Target.X0:
            return x0
        case Target.EPS:
            return noise
        case Target.V:
            return a * noise - s * x0


def x0_of(
    target: Target,
    out: Float[Tensor, "b c i j"],
    x_t: Float[Tensor, "b c i j"],
    t: Int[Tensor, "b"],
    levels: Levels,
) -> Float[Tensor, "b c i j"]:
    """Return the clean slices that an output says."""
    a, s = weights(t, levels, x_t)
    match target:
        case Target.X0:
            return out
        case Target.EPS:
            return (x_t - s * out) / a
        case Target.V:
            return a * x_t - s * out


def eps_of(
    target: Target,
    out: Float[Tensor, "b c i j"],
    x_t: Float[Tensor, "b c i j"],
    t: Int[Tensor, "b"],
    levels: Levels,
) -> Float[Tensor, "b c i j"]:
    """Return the noise that an output says."""
    a, s = weights(t, levels, x_t)
    match target:
        case Target.X0:
            return (x_t - a * out) / s
        case Target.EPS:
            return out
        case Target.V:
            return s * x_t + a * out


def reconstructed(
    predict: Predict,
    x0: Float[Tensor, "b c i j"],
    noise: Float[Tensor, "#b #c i j"],
    t: Int[Tensor, "b"],
    levels: Levels,
) -> Float[Tensor, "b c i j"]:
    """Return slices noised to t and denoised in one step: no chain, one call of the network."""
    return predict(noised(x0, noise, t, levels), t)


def weights(
    t: Int[Tensor, "b"], levels: Levels, x: Float[Tensor, "b c i j"]
) -> tuple[Float[Tensor, "b 1 1 1"], Float[Tensor, "b 1 1 1"]]:
    """Return a and s of x_t = a x0 + s n for each slice, in the precision and place of ``x``."""
    alpha_bar = levels.alpha_bar.to(t.device)[t][:, None, None, None]
    return alpha_bar.sqrt().to(x), (1 - alpha_bar).sqrt().to(x)
