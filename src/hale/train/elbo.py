"""The evidence lower bound: what variational networks learn, and what its gradient says of a scan.

References: Kingma and Welling 2014, arXiv:1312.6114; the gradient as a score: Zimmerer et al. 2019,
"Unsupervised anomaly localization using variational auto-encoders", MICCAI, arXiv:1907.12258;
restoration: You, Tezcan, Chen and Konukoglu 2019, "Unsupervised lesion detection via image
restoration with a normative prior", MIDL, PMLR 102:540-556, as in Baur et al. 2021,
DOI 10.1016/j.media.2020.101952.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from hale.nets.latent import Passed
from hale.train.slices import Slices


def negative_elbo(passed: Passed, x: Float[Tensor, "b c i j"], beta: float) -> Float[Tensor, " b"]:
    """Return |x - x_hat|, sum over the pixels, plus ``beta`` times the divergence, per slice.

    The L1 error is, up to a constant, the negative log likelihood of a Laplace density of scale 1.
    """
    return (x - passed.x_hat).abs().sum((1, 2, 3)) + beta * passed.divergence


@dataclass(frozen=True)
class Elbo:
    """The objective of a variational autoencoder; held-out slices pass by the latent's mean."""

    beta: float

    def __call__(self, net: nn.Module, slices: Slices, draw: Generator) -> Float[Tensor, ""]:
        """Return the negative evidence lower bound, mean over slices."""
        passed = net(slices.x, draw if net.training else None)
        return negative_elbo(passed, slices.x, self.beta).mean()


def slope(
    loss: Callable[[Tensor], Tensor], x: Float[Tensor, "b c i j"]
) -> Float[Tensor, "b c i j"]:
    """Return how the ``loss`` of each slice (one number a slice) changes with its pixels.

    The gradient is that of the sum: each slice's own, unless the network mixes neighbours.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(x).sum(), x)
    return gradient


@dataclass(frozen=True)
class Restoration:
    """How a scan descends to its pseudo-healthy twin."""

    steps: int
    lr: float
    """Step width, intensities per unit of gradient."""
    tv: float
    """Weight of the total variation of what is changed."""


def descended(
    loss: Callable[[Tensor], Tensor],
    x: Float[Tensor, "b c i j"],
    brain: Bool[Tensor, "b 1 i j"],
    settings: Restoration,
) -> Float[Tensor, "b c i j"]:
    """Return the slices that maximise the posterior: likely ones, smoothly different from ``x``.

    Args:
        loss: Negative log likelihood of healthy slices, one number a slice.
        x: The slices as they are, from which the descent starts.
        brain: Where they may change.
        settings: Of the descent.
    """
    twin = x

    def energy(y: Tensor) -> Tensor:
        return loss(y) + settings.tv * total_variation(y - x)

    for _ in range(settings.steps):
        twin = twin - settings.lr * slope(energy, twin) * brain
    return twin


def total_variation(x: Float[Tensor, "b c i j"]) -> Float[Tensor, " b"]:
    """Return the sum of absolute differences between neighbours, per slice."""
    down, across = (x.diff(dim=axis).abs().sum((1, 2, 3)) for axis in (-2, -1))
    return down + across
