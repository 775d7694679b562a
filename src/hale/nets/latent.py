"""Gaussian latents: what a variational network returns, draws and pays.

Reference: Kingma and Welling 2014, "Auto-encoding variational Bayes", ICLR, arXiv:1312.6114.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor


class Passed(NamedTuple):
    """What a variational network makes of a batch of slices."""

    x_hat: Float[Tensor, "b c i j"]
    """Their pseudo-healthy twins."""
    divergence: Float[Tensor, " b"]
    """Of the posterior from the prior, nats: the sum over the latent of a slice, in float32."""


def drawn(
    mu: Float[Tensor, "*shape"], log_sigma: Float[Tensor, "*shape"], draw: Generator | None
) -> Float[Tensor, "*shape"]:
    """Return a sample of N(mu, sigma); without ``draw``, which is on the CPU, ``mu`` itself."""
    if draw is None:
        return mu
    noise = torch.randn(mu.shape, generator=draw).to(mu)
    return mu + log_sigma.exp() * noise


def divergence(
    mu: Float[Tensor, "*shape"], log_sigma: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return KL(N(mu, sigma) || N(0, 1)) of each number, nats."""
    return 0.5 * (mu.square() + (2 * log_sigma).exp() - 1) - log_sigma
