"""What variational methods share: the loss, its settings, and the detector."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge
from jaxtyping import Float
from torch import Generator, Tensor, nn

from hale.core.anomaly import AnomalyMap
from hale.core.method import Precision, State
from hale.core.scan import Scan
from hale.core.types import Image
from hale.nets.blocks import to_channels_last
from hale.nets.latent import Passed
from hale.nets.state import arrays
from hale.train.device import arithmetic
from hale.train.learn import Lessons
from hale.train.run import mixed
from hale.train.slices import Slices
from hale.train.sweep import swept


@dataclass(frozen=True, kw_only=True)
class VariationalLessons(Lessons):
    """Settings that variational networks share."""

    beta: Annotated[float, Ge(0)] = 1.0
    """Weight of the divergence (sum over the latent) beside the L1 error (sum over pixels)."""


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Variational:
    """A variational network that restores slices; it owns a copy of the network.

    Scores come from the mean of the latent, so nothing is drawn for them.
    """

    net: nn.Module
    device: str = "cpu"
    precision: Precision = Precision.FULL
    seed: int = 0

    def __post_init__(self) -> None:
        """Take a copy of the network, and place it."""
        net = to_channels_last(deepcopy(self.net), self.device)
        object.__setattr__(self, "net", net.eval().requires_grad_(requires_grad=False))

    def score(self, scan: Scan) -> AnomalyMap:
        """Return |x - x_hat|, mean over contrasts, 0 outside the brain."""
        x_hat = self.reconstruct(scan)
        values = np.abs(scan.image - x_hat).mean(0) * scan.brain
        return AnomalyMap(values=values, brain=scan.brain, pseudo_healthy=x_hat)

    def reconstruct(self, scan: Scan, *, draw: int = 0, level: int | None = None) -> Image:
        """Return x_hat: of the latent's mean for ``draw`` 0, else of a sample; no levels here."""
        seed = mixed(self.seed, int(scan.content[:16], 16), draw)
        generator = torch.Generator().manual_seed(seed) if draw else None

        def work(slices: Slices) -> Tensor:
            with torch.inference_mode(), arithmetic(self.device, self.precision):
                x_hat: Tensor = self.net(slices.x, generator).x_hat
            return x_hat

        return swept(scan, work, device=self.device)

    def state(self) -> State:
        """Return the weights."""
        return arrays(self.net)
