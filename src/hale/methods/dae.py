"""Denoising autoencoder: taught to take coarse noise off a healthy brain, it takes lesions off.

Reference: Kascenas, Pugeault and O'Neil 2022, "Denoising autoencoders for unsupervised anomaly
detection in brain MRI", MIDL, PMLR 172 (kascenas22a), https://openreview.net/forum?id=Bm8-t_ggzPD
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from hale.core.method import State, Supervision, Training
from hale.core.run import Run
from hale.core.scan import Space
from hale.diffusion.noise import coarse_noise
from hale.nets.denoising_unet import DenoisingUNet
from hale.nets.state import load
from hale.train.learn import Lessons, Schedule
from hale.train.residual import Residual
from hale.train.score import Distance
from hale.train.slices import Slices


@dataclass(frozen=True, kw_only=True)
class DAE(Lessons):
    """Remove coarse noise from healthy axial slices; score the residual |x - x_hat|."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY
    scoring: ClassVar[frozenset[str]] = frozenset({"score"})

    noise: Annotated[float, Ge(0)] = 0.2
    """Standard deviation of the noise on its coarse grid, in units of normalised intensity."""
    cell: Annotated[int, Ge(1)] = 8
    """Spacing of that grid, pixels."""
    width: Annotated[int, Ge(1)] = 64
    """Channels of the finest of four levels; each coarser one has twice as many."""
    score: Distance = Distance.L1
    """What becomes the anomaly map."""
    schedule: Schedule = Schedule.COSINE
    """How the learning rate of Adam (AMSGrad) goes over the run."""
    weight_decay: Annotated[float, Ge(0)] = 1e-5
    """L2 penalty on the weights, added to their gradient."""
    steps: Annotated[int, Ge(1)] = 20_000
    """Optimiser steps."""

    def fit(self, training: Training, run: Run) -> Residual:
        """Minimise the squared error inside the brain of denoised healthy slices."""
        torch.manual_seed(run.seed)
        own = self._network(training.space)
        adam = torch.optim.Adam(
            own.parameters(), lr=self.lr, weight_decay=self.weight_decay, amsgrad=True
        )
        self.teach(own, training, run, self.loss, adam)
        return Residual(net=own, distance=self.score, device=run.device, precision=run.precision)

    def restore(self, state: State, space: Space) -> Residual:
        """Rebuild the network and load its weights."""
        net = self._network(space)
        load(net, state)
        return Residual(net=net, distance=self.score)

    def loss(self, net: nn.Module, slices: Slices, draw: Generator) -> Float[Tensor, ""]:
        """Return the error inside the brain of slices from which noise was taken off."""
        x, brain = slices.x, slices.brain
        noise = coarse_noise(x, std=self.noise, cell=self.cell, draw=draw).to(x.device)
        return brain_error(net(x + noise * brain), x, brain)

    def _network(self, space: Space) -> DenoisingUNet:
        return DenoisingUNet(len(space.slots), width=self.width)


def brain_error(
    x_hat: Float[Tensor, "b c i j"], x: Float[Tensor, "b c i j"], brain: Bool[Tensor, "b 1 i j"]
) -> Float[Tensor, ""]:
    """Return the squared error inside the brain, mean over all pixels of the slices."""
    return ((x_hat - x).square() * brain).mean()
