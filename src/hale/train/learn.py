"""The loop that slice-wise networks share: descend, look at held-out slices, keep the best."""

from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from hale.core.method import Run, Training
from hale.train.best import Best
from hale.train.slices import BATCH, Slices, axial, evenly


@runtime_checkable
class Objective(Protocol):
    """What a network is to make small on a batch of slices, which lie on its device."""

    def __call__(self, net: nn.Module, slices: Slices, draw: Generator) -> Float[Tensor, ""]:
        """Return the loss, a mean over slices; ``draw`` is on the CPU.

        In evaluation mode (``net.training`` is false) it is the held-out loss: what is drawn is
        the same each time.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """Settings that slice-wise networks share. A method inherits them and adds its own."""

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

    def teach(
        self,
        own: nn.Module,
        training: Training,
        run: Run,
        objective: Objective,
        optimiser: Optimizer | None = None,
    ) -> None:
        """Minimise ``objective`` over healthy slices; leave the best held-out weights in ``own``.

        Args:
            own: The network; trained in place.
            training: Its healthy scans are learnt from, its held-out ones watched.
            run: Device, precision, seed, budget.
            objective: The loss.
            optimiser: Of ``own``; None: Adam at ``lr``.
        """
        best = Best()
        optimiser = optimiser or torch.optim.Adam(own.parameters(), lr=self.lr)
        net, optimiser = run.setup(own, optimiser)
        slices = axial(training.healthy)
        held_out = training.held_out
        fixed = evenly(axial(held_out), self.validate_slices) if held_out else None
        for step in run.steps(self.steps, net=net, optimiser=optimiser, best=best):
            chosen = slices[step.draw(len(slices), size=self.batch)].to(run.device)
            step.descend(objective(net.train(), chosen, step.generator))
            if fixed and (step.number + 1) % self.validate_every == 0:
                loss = held_out_loss(net, fixed, objective, device=run.device)
                best.offer(loss, net, step=step.number)
                run.log(held_out=loss)
        if fixed:  # a budget may have cut the run since
            loss = held_out_loss(net, fixed, objective, device=run.device)
            best.offer(loss, net, step=self.steps)
        best.give_to(own)


@torch.no_grad()
def held_out_loss(net: nn.Module, fixed: Slices, objective: Objective, *, device: str) -> float:
    """Return the loss of ``fixed`` in evaluation mode, with the same draws each time."""
    net.eval()
    draw = torch.Generator().manual_seed(0)
    total = 0.0
    for which in torch.arange(len(fixed)).split(BATCH):
        total += float(objective(net, fixed[which].to(device), draw)) * len(which)
    return total / len(fixed)
