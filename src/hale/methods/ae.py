"""Convolutional autoencoder with a dense latent: what does not pass the bottleneck is abnormal.

Reference: Baur, Denner, Wiestler, Navab and Albarqouni 2021, "Autoencoders for unsupervised
anomaly segmentation in brain MR images: a comparative study", Medical Image Analysis 69:101952,
DOI 10.1016/j.media.2020.101952, arXiv:2004.03271.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from jaxtyping import Float
from torch import Tensor, nn

from hale.core.method import Run, State, Supervision, Training
from hale.core.scan import Space
from hale.nets.autoencoder import AutoEncoder
from hale.nets.state import load
from hale.train.best import Best
from hale.train.residual import Residual
from hale.train.slices import BATCH, Slices, axial, evenly


@dataclass(frozen=True, kw_only=True)
class AE:
    """Reconstruct healthy axial slices through a bottleneck; score the residual |x - x_hat|."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY

    latent: Annotated[int, Ge(1)] = 128
    """Numbers in the bottleneck."""
    width: Annotated[int, Ge(1)] = 32
    """Channels after the first halving of a slice; they double up to four times as many."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the latent, and of what is built from it, that training drops."""
    lr: Annotated[float, Gt(0)] = 1e-4
    """Learning rate of Adam."""
    batch: Annotated[int, Ge(1)] = 32
    """Slices per step."""
    steps: Annotated[int, Ge(1)] = 19_200
    """Optimiser steps."""
    validate_every: Annotated[int, Ge(1)] = 960
    """Steps between looks at the held-out scans; the best weights there are kept."""
    validate_slices: Annotated[int, Ge(1)] = 256
    """Held-out slices looked at, at most; always the same."""

    def fit(self, training: Training, run: Run) -> Residual:
        """Minimise the mean absolute reconstruction error of healthy slices."""
        torch.manual_seed(run.seed)
        own, best = self._network(training.space), Best()
        net, adam = run.setup(own, torch.optim.Adam(own.parameters(), lr=self.lr))
        slices = axial(training.healthy)
        held_out = training.held_out
        fixed = evenly(axial(held_out), self.validate_slices) if held_out else None
        for step in run.steps(self.steps, net=net, adam=adam, best=best):
            x = slices[step.draw(len(slices), size=self.batch)].to(run.device).x
            step.descend(mean_l1(net.train()(x), x))
            if fixed and (step.number + 1) % self.validate_every == 0:
                loss = held_out_loss(net, fixed, device=run.device)
                best.offer(loss, net, step=step.number)
                run.log(held_out=loss)
        if fixed:  # a budget may have cut the run since
            best.offer(held_out_loss(net, fixed, device=run.device), net, step=self.steps)
        best.give_to(own)
        return Residual(net=own, device=run.device, precision=run.precision)

    def restore(self, state: State, space: Space) -> Residual:
        """Rebuild the network and load its weights."""
        net = self._network(space)
        load(net, state)
        return Residual(net=net)

    def _network(self, space: Space) -> AutoEncoder:
        i, j, _ = space.grid.shape
        return AutoEncoder(
            len(space.slots), (i, j), latent=self.latent, width=self.width, dropout=self.dropout
        )


def mean_l1(x_hat: Float[Tensor, "b c i j"], x: Float[Tensor, "b c i j"]) -> Float[Tensor, ""]:
    """Return |x - x_hat|, mean over all pixels."""
    return (x - x_hat).abs().mean()


@torch.no_grad()
def held_out_loss(net: nn.Module, fixed: Slices, *, device: str) -> float:
    """Return the loss of ``fixed`` in evaluation mode."""
    net.eval()
    total = 0.0
    for which in torch.arange(len(fixed)).split(BATCH):
        x = fixed[which].to(device).x
        total += float(mean_l1(net(x), x)) * len(which)
    return total / len(fixed)
