"""Denoising autoencoder: taught to take coarse noise off a healthy brain, it takes lesions off.

Reference: Kascenas, Pugeault and O'Neil 2022, "Denoising autoencoders for unsupervised anomaly
detection in brain MRI", MIDL, PMLR 172 (kascenas22a), https://openreview.net/forum?id=Bm8-t_ggzPD
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from hale.core.method import Run, State, Supervision, Training
from hale.core.scan import Space
from hale.nets.denoising_unet import DenoisingUNet
from hale.nets.state import load
from hale.train.residual import Residual
from hale.train.schedule import anneal
from hale.train.slices import axial


@dataclass(frozen=True, kw_only=True)
class DAE:
    """Remove coarse noise from healthy axial slices; score the residual |x - x_hat|."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY

    noise: Annotated[float, Ge(0)] = 0.2
    """Standard deviation of the noise on its coarse grid, in units of normalised intensity."""
    cell: Annotated[int, Ge(1)] = 8
    """Spacing of that grid, pixels."""
    width: Annotated[int, Ge(1)] = 64
    """Channels of the finest of four levels; each coarser one has twice as many."""
    lr: Annotated[float, Gt(0)] = 1e-4
    """Learning rate of Adam (AMSGrad) at the start; it falls to 0 on a cosine over the run."""
    weight_decay: Annotated[float, Ge(0)] = 1e-5
    """L2 penalty on the weights, added to their gradient."""
    batch: Annotated[int, Ge(1)] = 32
    """Slices per step."""
    steps: Annotated[int, Ge(1)] = 20_000
    """Optimiser steps."""

    def fit(self, training: Training, run: Run) -> Residual:
        """Minimise the squared error inside the brain of denoised healthy slices."""
        torch.manual_seed(run.seed)
        own = self._network(training.space)
        adam = torch.optim.Adam(
            own.parameters(), lr=self.lr, weight_decay=self.weight_decay, amsgrad=True
        )
        net, adam = run.setup(own, adam)
        slices = axial(training.healthy)
        for step in run.steps(self.steps, net=net, adam=adam):
            anneal(adam, lr=self.lr, progress=step.progress)
            clean = slices[step.draw(len(slices), size=self.batch)]
            noise = coarse_noise(clean.x, std=self.noise, cell=self.cell, draw=step.generator)
            x, brain = clean.to(run.device).x, clean.brain.to(run.device)
            noisy = x + noise.to(run.device) * brain
            step.descend(brain_error(net.train()(noisy), x, brain))
        return Residual(net=own, device=run.device, precision=run.precision)

    def restore(self, state: State, space: Space) -> Residual:
        """Rebuild the network and load its weights."""
        net = self._network(space)
        load(net, state)
        return Residual(net=net)

    def _network(self, space: Space) -> DenoisingUNet:
        return DenoisingUNet(len(space.slots), width=self.width)


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


def brain_error(
    x_hat: Float[Tensor, "b c i j"], x: Float[Tensor, "b c i j"], brain: Bool[Tensor, "b 1 i j"]
) -> Float[Tensor, ""]:
    """Return the squared error inside the brain, mean over all pixels of the slices."""
    return ((x_hat - x).square() * brain).mean()
