"""Restoration in code space: the code that explains a new brain best, its network left alone.

Reference: Naval Marimont and Tarroni 2021, arXiv:2106.05214, section 2.3.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import inf, sqrt
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt
from jaxtyping import Float, Int64
from torch import Tensor

from hale.core.run import Precision
from hale.nets.implicit_field import ImplicitField
from hale.train.auto_decoder import Growth, cross_entropy
from hale.train.device import arithmetic
from hale.train.points import Volume

LOOK = 10
"""Iterations between looks at the loss on fixed points."""
BATCH = 8192
"""Points that are decoded at once."""


class Start(StrEnum):
    """The code that a restoration begins with."""

    MEAN = "mean"
    """The mean of the codes that were learnt."""
    RANDOM = "random"
    """N(0, 1 / numbers)."""


@dataclass(frozen=True, kw_only=True)
class Restoration(Growth):
    """Settings of how the code of a new scan is found. A method inherits them."""

    start: Start = Start.MEAN
    """The code to begin with; further attempts begin with random ones."""
    attempts: Annotated[int, Ge(1)] = 1
    """Of which the one with the lowest loss on fixed points is taken."""
    fit_lr: Annotated[float, Gt(0)] = 1e-2
    """Learning rate of the code."""
    fit_iterations: tuple[Annotated[int, Ge(1)], ...] = (300,)
    """Of each phase, at most; each begins with a new Adam."""
    fit_points: tuple[Annotated[int, Ge(1)], ...] = (8192,)
    """Drawn anew in each iteration, one number per phase."""
    fit_penalty: Annotated[float, Ge(0)] = 1e-4
    """Weight of the code's norm beside the mean cross-entropy."""
    fit_bounded: bool = True
    """Keep the norm of the code within ``bound``."""
    fixed_points: Annotated[int, Ge(1)] = 8192
    """Points, always the same, on which progress is judged."""
    patience: Annotated[int, Ge(0)] = 3
    """Looks, 10 iterations apart, without progress that end a phase; 0: never."""
    progress: Annotated[float, Ge(0)] = 1e-3
    """What the loss on fixed points has to fall by to be progress, as a share of it."""

    def __post_init__(self) -> None:
        """Refuse phases without a number of points."""
        if len(self.fit_iterations) != len(self.fit_points):
            msg = (
                f"fit_points: {len(self.fit_points)} numbers for {len(self.fit_iterations)} phases"
            )
            raise ValueError(msg)

    def passes(self, decoded: int) -> int:
        """Return through how many points the network is passed at most, there or back.

        The weights rest, so that a pass back costs what one there does.
        """
        phases = list(zip(self.fit_iterations, self.fit_points, strict=True))
        looks = 1 + sum(-(-n // LOOK) for n, _ in phases if self.patience)
        fitted = sum(2 * n * points for n, points in phases)
        return self.attempts * (fitted + looks * self.fixed_points) + decoded


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """A scan as points, where they are, and where the network lies."""

    volume: Volume
    where: Float[Tensor, "v 3"]
    device: str = "cpu"
    precision: Precision = Precision.FULL

    def loss(
        self, net: ImplicitField, code: Float[Tensor, " code"], at: Int64[Tensor, " n"]
    ) -> Float[Tensor, ""]:
        """Return the mean cross-entropy of the voxels ``at``."""
        with arithmetic(self.device, self.precision):
            logits = net(code[None], self.where[at][None].to(self.device))
        return cross_entropy(logits[0], self.volume.classes[at].to(self.device)).mean()


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """A code, its loss on the fixed points, and how many iterations it took."""

    code: Float[Tensor, " code"]
    loss: float
    iterations: int


def found_code(
    net: ImplicitField,
    mean_code: Float[Tensor, " code"],
    target: Target,
    settings: Restoration,
    rng: np.random.Generator,
) -> Found:
    """Return the best code of all attempts.

    Args:
        net: Settled: only the code is learnt.
        mean_code: Of the brains that it learnt from.
        target: The scan.
        settings: How.
        rng: Draws points and random codes.
    """
    fixed = target.volume.draw(settings.fixed_points, settings.inside, rng)
    found = []
    for attempt in range(settings.attempts):
        code = mean_code
        if settings.start is Start.RANDOM or attempt > 0:
            drawn = rng.standard_normal(len(mean_code)) / sqrt(len(mean_code))
            code = torch.from_numpy(drawn.astype(np.float32))
        found.append(_descended(net, code.to(target.device), target, fixed, settings, rng))
    return min(found, key=lambda one: one.loss)


def _descended(
    net: ImplicitField,
    start: Float[Tensor, " code"],
    target: Target,
    fixed: Int64[Tensor, " fixed"],
    settings: Restoration,
    rng: np.random.Generator,
) -> Found:
    """Return what Adam makes of one start; with patience, the best code that was looked at."""
    code = start.clone().requires_grad_()
    best, done = Found(code=start, loss=inf, iterations=0), 0
    for iterations, points in zip(settings.fit_iterations, settings.fit_points, strict=True):
        adam = torch.optim.Adam([code], lr=settings.fit_lr)
        idle = -1  # the first look of a phase has nothing to better
        for n in range(iterations):
            if settings.patience and n % LOOK == 0:
                seen = _looked(net, code, target, fixed, done)
                idle = 0 if seen.loss < best.loss * (1 - settings.progress) else idle + 1
                best = min(best, seen, key=lambda one: one.loss)
                if idle >= settings.patience:
                    break
            adam.zero_grad()
            drawn = target.volume.draw(points, settings.inside, rng)
            loss = target.loss(net, code, drawn) + settings.fit_penalty * code.norm()
            loss.backward()
            adam.step()
            if settings.fit_bounded:
                _bound(code, settings.bound)
            done += 1
    last = _looked(net, code, target, fixed, done)
    return min(best, last, key=lambda one: one.loss) if settings.patience else last


@torch.no_grad()
def _looked(net: ImplicitField, code: Tensor, target: Target, fixed: Tensor, done: int) -> Found:
    loss = float(target.loss(net, code, fixed))
    return Found(code=code.detach().clone(), loss=loss, iterations=done)


@torch.no_grad()
def _bound(code: Tensor, most: float) -> None:
    """Scale a code that is longer than ``most`` back to it, in place."""
    code.mul_(min(1.0, most / max(float(code.norm()), 1e-12)))


@torch.inference_mode()
def decoded(
    net: ImplicitField,
    code: Float[Tensor, " code"],
    where: Float[Tensor, "m 3"],
    *,
    device: str,
    precision: Precision,
) -> Float[Tensor, "m logits"]:
    """Return the logits at positions, on the CPU."""
    parts, code = [], code.to(device)
    with arithmetic(device, precision):
        for batch in where.split(BATCH):
            parts.append(net(code[None], batch[None].to(device))[0].float().cpu())
    return torch.cat(parts)
