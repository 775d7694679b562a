"""The loop that slice-wise networks share: descend, look at held-out slices, keep the best."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Protocol, runtime_checkable

import torch
from annotated_types import Ge, Gt, Lt
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from hale.core.method import Training
from hale.core.run import Run
from hale.core.scan import Scan
from hale.train.best import Best
from hale.train.ema import Averaged
from hale.train.schedule import anneal
from hale.train.slices import BATCH, Slices, axial


@runtime_checkable
class Objective(Protocol):
    """What a network is to make small on a batch of slices, which lie on its device."""

    def __call__(self, net: nn.Module, slices: Slices, draw: Generator) -> Float[Tensor, ""]:
        """Return the loss, a mean over slices; ``draw`` is on the CPU.

        In evaluation mode (``net.training`` is false) it is the held-out loss: what is drawn is
        the same each time.
        """
        ...


@runtime_checkable
class Material(Protocol):
    """What there is to learn from, by index; one index may stand for several slices."""

    def __len__(self) -> int:
        """Return how many indices there are."""
        ...

    def __getitem__(self, which: Int[Tensor, " m"]) -> Slices:
        """Return the slices of some indices."""
        ...


class Schedule(StrEnum):
    """How the learning rate goes over a run."""

    CONSTANT = "constant"
    COSINE = "cosine"
    """Along a half wave from the full rate to 0."""


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """Settings that slice-wise networks share. A method inherits them and adds its own."""

    lr: Annotated[float, Gt(0)] = 1e-4
    """Learning rate of Adam."""
    schedule: Schedule = Schedule.CONSTANT
    """How it goes over the run."""
    half_wave: Annotated[int, Ge(0)] = 0
    """Steps of the cosine from the full rate to 0, or back up; 0: as many as the run has."""
    clip: Annotated[float, Ge(0)] = 1.0
    """Largest norm of the gradient; 0: not limited."""
    batch: Annotated[int, Ge(1)] = 32
    """Slices per step."""
    steps: Annotated[int, Ge(1)] = 19_200
    """Optimiser steps."""
    validate_every: Annotated[int, Ge(1)] = 960
    """Steps between looks at the held-out scans; the best weights there are kept."""
    validate_slices: Annotated[int, Ge(1)] = 256
    """Held-out slices looked at, at most; always the same."""
    ema: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Decay of the moving average of the weights, which is looked at and kept; 0: the weights are.
    """

    def __post_init__(self) -> None:
        """Refuse the length of a wave where there is none."""
        if self.half_wave and self.schedule is not Schedule.COSINE:
            raise ValueError(f"half_wave: schedule = '{self.schedule}' has no waves")

    def material(self, scans: Sequence[Scan]) -> Material:
        """Return what is drawn from ``scans``: their axial slices."""
        return axial(scans)

    def materials(self, training: Training) -> tuple[Material, Material | None]:
        """Return what is learnt from, and what is watched: healthy scans and held-out ones."""
        watched = self.material(training.held_out) if training.held_out else None
        return self.material(training.healthy), watched

    def teach(
        self,
        own: nn.Module,
        training: Training,
        run: Run,
        objective: Objective,
        optimiser: Optimizer | None = None,
    ) -> None:
        """Minimise ``objective`` over slices; leave the best held-out weights in ``own``.

        Args:
            own: The network; trained in place.
            training: What `materials` takes the slices from.
            run: Device, precision, seed, budget.
            objective: The loss.
            optimiser: Of ``own``; None: Adam at ``lr``.
        """
        best = Best()
        optimiser = optimiser or torch.optim.Adam(own.parameters(), lr=self.lr)
        net, optimiser = run.setup(own, optimiser)
        learnt, held_out = self.materials(training)
        averaged = Averaged(own, self.ema) if self.ema else None
        more = {"averaged": averaged} if averaged else {}
        for step in run.steps(self.steps, net=net, optimiser=optimiser, best=best, **more):
            if self.schedule is Schedule.COSINE:
                waves = step.number / self.half_wave if self.half_wave else step.progress
                anneal(optimiser, lr=self.lr, progress=waves)
            chosen = learnt[step.draw(len(learnt), size=self.batch)].to(run.device)
            step.descend(objective(net.train(), chosen, step.generator), clip=self.clip)
            if averaged:
                averaged.update(own)
            if held_out and (step.number + 1) % self.validate_every == 0:
                with averaged.within(own) if averaged else nullcontext():
                    loss = self._looked_at(held_out, net, objective, run)
                    best.offer(loss, net, step=step.number)
                run.log(held_out=loss)
        if averaged:
            averaged.give_to(own)
        if held_out:  # a budget may have cut the run since
            best.offer(self._looked_at(held_out, net, objective, run), net, step=self.steps)
        best.give_to(own)

    def _looked_at(
        self, held_out: Material, net: nn.Module, objective: Objective, run: Run
    ) -> float:
        return held_out_loss(net, held_out, objective, device=run.device, most=self.validate_slices)


@torch.no_grad()
def held_out_loss(
    net: nn.Module,
    held_out: Material,
    objective: Objective,
    *,
    device: str,
    most: int | None = None,
) -> float:
    """Return the loss in evaluation mode, with the same draws each time.

    Args:
        net: On ``device``.
        held_out: What is looked at.
        objective: The loss.
        device: What torch calls it.
        most: Indices looked at, spread over all of them; None: all.
    """
    net.eval()
    draw = torch.Generator().manual_seed(0)
    count = min(most or len(held_out), len(held_out))
    looked_at = torch.arange(count) * len(held_out) // max(count, 1)
    total = 0.0
    for which in looked_at.split(BATCH):
        total += float(objective(net, held_out[which].to(device), draw)) * len(which)
    return total / count


def mean_l1(net: nn.Module, slices: Slices, draw: Generator) -> Float[Tensor, ""]:
    """Return |x - x_hat|, mean over all pixels; nothing is drawn."""
    x_hat: Tensor = net(slices.x)
    return (slices.x - x_hat).abs().mean()
