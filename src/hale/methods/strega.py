"""StRegA: a compact context-encoding VAE, meant for tissue maps instead of intensities.

Reference: Chatterjee et al. 2022, "StRegA: Unsupervised anomaly detection in brain MRIs using a
compact context-encoding variational autoencoder", Computers in Biology and Medicine, 106093,
DOI 10.1016/j.compbiomed.2022.106093, arXiv:2201.13271; github.com/soumickmj/StRegA.

The tissue maps are the preparation's (``prep.normalise = "tissue"``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Le, MinLen
from jaxtyping import Float
from torch import Generator, Tensor, nn

from hale.core.method import State, Supervision, Training
from hale.core.run import Run
from hale.core.scan import Space
from hale.nets.context_vae import Activation, Coded, ContextVAE, adopt, fitted, shapes
from hale.train.context import ContextRestorer, Decision, Reading, Residue, refuse_cut
from hale.train.learn import Lessons
from hale.train.patches import Squares, corrupted
from hale.train.slices import Slices


@dataclass(frozen=True, kw_only=True)
class StReGA(Lessons):
    """Restore healthy axial slices and paint over squares in them; score x_hat - x."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY
    scoring: ClassVar[frozenset[str]] = frozenset({"residual", "decision", "min_area", "sampled"})

    size: Annotated[int, Ge(2)] = 256
    """Edge of the square that slices are padded or cropped to, pixels."""
    maps: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)] = (16, 32, 64, 128, 256)
    """Channels of the levels; each halves the slice."""
    latent: Annotated[int, Ge(1)] = 256
    """Length of z."""
    kernel: Literal[3, 4] = 3
    """Of the encoder's convolutions; 4 with leaky activations is the "ceVAE" variant."""
    activation: Activation = Activation.PRELU
    """What follows a convolution."""
    context: Annotated[float, Ge(0), Le(1)] = 0.5
    """Share of the painting-over in the loss."""
    beta: Annotated[float, Ge(0)] = 0.01
    """Weight of the divergence from a standard normal, a mean over z."""
    theta: Annotated[float, Ge(0)] = 1.0
    """Weight of the reconstruction of clean slices, a mean over pixels."""
    squares: Squares = Squares.MERGED
    """What becomes of two squares in one slice."""
    own_scale: bool = False
    """Stretch each training slice to [0, 1], as the public code does, but scans as a whole."""
    batch: Annotated[int, Ge(1)] = 16
    """Slices per step."""
    steps: Annotated[int, Ge(1)] = 80_000
    """Optimiser steps; about 100 epochs of 99 scans at 1 mm."""
    residual: Residue = Residue.BELOW
    """Which differences count."""
    sampled: bool = False
    """Draw z, as the public code does, instead of taking its mean."""
    decision: Decision = Decision.SCORE
    """What the anomaly map is."""
    min_area: Annotated[float, Gt(0)] = 256.0
    """Smallest component of a slice: mm² (decision ``otsu``), pixels (``published``)."""

    def __post_init__(self) -> None:
        """Refuse a size that cannot be halved once per level."""
        super().__post_init__()
        if self.size % 2 ** len(self.maps):
            msg = f"size: {self.size} cannot be halved {len(self.maps)} times, once per map"
            raise ValueError(msg)

    def fit(self, training: Training, run: Run) -> ContextRestorer:
        """Minimise the loss of Chatterjee et al. on healthy slices."""
        for scan in (*training.healthy, *training.held_out):
            refuse_cut(scan, self.size)
        torch.manual_seed(run.seed)
        own = self._network(training.space)
        self.teach(own, training, run, self.objective)
        return ContextRestorer(
            net=own,
            reading=self._reading(),
            device=run.device,
            precision=run.precision,
            seed=run.seed,
        )

    def restore(self, state: State, space: Space) -> ContextRestorer:
        """Rebuild the network around the weights, which it does not copy."""
        with torch.device("meta"):
            net = self._network(space)
        adopt(net, state)
        return ContextRestorer(net=net, reading=self._reading())

    def shapes(self, space: Space) -> Mapping[str, tuple[int, ...]]:
        """Return the shape of each weight by name, at no cost in memory."""
        with torch.device("meta"):
            return shapes(self._network(space))

    def objective(self, net: nn.Module, slices: Slices, draw: Generator) -> Float[Tensor, ""]:
        """Return the loss of clean and painted-over slices, which pass the network at once."""
        x = fitted(slices.x, (self.size, self.size))
        if self.own_scale:
            x = stretched(x)
        both = torch.cat([x, corrupted(x, self.squares, draw)])
        noise = None
        if net.training:  # else z = mu
            noise = torch.randn(len(both), self.latent, generator=draw).to(x.device)
        coded: Coded = net(both, noise)
        clean = Coded(*(y.chunk(2)[0] for y in coded))
        return self.loss(clean, coded.x_hat.chunk(2)[1], x)

    def loss(
        self, clean: Coded, painted_over: Float[Tensor, "b c i j"], x: Float[Tensor, "b c i j"]
    ) -> Float[Tensor, ""]:
        """Return (1 - c) (beta KL + theta |x_hat(x) - x|) + c |x_hat(x_corrupt) - x|."""
        elbo = self.beta * divergence(clean.mu, clean.log_sigma)
        elbo = elbo + self.theta * (clean.x_hat - x).abs().mean()
        return (1 - self.context) * elbo + self.context * (painted_over - x).abs().mean()

    def _reading(self) -> Reading:
        return Reading(
            residual=self.residual,
            decision=self.decision,
            min_area=self.min_area,
            sampled=self.sampled,
        )

    def _network(self, space: Space) -> ContextVAE:
        return ContextVAE(
            len(space.slots),
            size=self.size,
            maps=self.maps,
            latent=self.latent,
            kernel=self.kernel,
            activation=self.activation,
        )


def divergence(
    mu: Float[Tensor, "b z 1 1"], log_sigma: Float[Tensor, "b z 1 1"]
) -> Float[Tensor, ""]:
    """Return KL(N(mu, sigma) || N(0, 1)), nats, a mean over the latent and the batch."""
    return (0.5 * (mu.square() + (2 * log_sigma).exp() - 1) - log_sigma).mean()


def stretched(x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
    """Return each slice minus its minimum, over its maximum; a slice of zeros stays one."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return (x - low) / torch.where(high > 0, high, 1)
