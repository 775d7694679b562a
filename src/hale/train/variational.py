"""What variational methods share: their settings, and the detector."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import Generator, Tensor, nn

from hale.core.anomaly import AnomalyMap
from hale.core.method import State
from hale.core.run import Precision, Run
from hale.core.scan import Scan
from hale.core.types import Image, Map
from hale.nets.blocks import to_channels_last
from hale.nets.state import arrays, load
from hale.train.device import arithmetic
from hale.train.elbo import Restoration, descended, negative_elbo, slope
from hale.train.learn import Lessons
from hale.train.run import mixed
from hale.train.score import GRADIENTS, Distance, Score, compared, scaled, smoothed_in_plane
from hale.train.slices import BATCH, Slices
from hale.train.sweep import swept


@dataclass(frozen=True, kw_only=True, eq=False)
class Variational:
    """A variational network that restores slices; it owns a copy of the network.

    Scores come from the mean of the latent, so nothing is drawn for them.
    """

    net: nn.Module
    how: Score = Score.L1
    beta: float = 1.0
    """Weight of the divergence in the loss whose gradient is looked at."""
    restoration: Restoration
    whole: bool = False
    """Whether the network is shown all slices of a scan at once, not a few neighbours."""
    device: str = "cpu"
    precision: Precision = Precision.FULL
    seed: int = 0

    def __post_init__(self) -> None:
        """Take a copy of the network, and place it."""
        net = to_channels_last(deepcopy(self.net), self.device)
        object.__setattr__(self, "net", net.eval().requires_grad_(requires_grad=False))

    def score(self, scan: Scan) -> AnomalyMap:
        """Return how abnormal each voxel is by the score that was asked for."""
        x_hat = self.reconstruct(scan)
        if self.how in GRADIENTS:
            values = self._sloped(scan, x_hat) * scan.brain
        else:
            distance = Distance.L2 if self.how is Score.L2 else Distance.L1
            values = compared(scan.image, x_hat, scan.brain, distance)
        return AnomalyMap(values=values, brain=scan.brain, pseudo_healthy=x_hat)

    def reconstruct(self, scan: Scan, *, draw: int = 0, level: int | None = None) -> Image:
        """Return x_hat: of the latent's mean for ``draw`` 0, else of a sample; no levels here.

        Restored by descent, draw 0 is where the descent ends.
        """
        if self.how is Score.RESTORATION and not draw:
            return self._swept(scan, self._descended)
        seed = mixed(self.seed, int(scan.content[:16], 16), draw)
        generator = torch.Generator().manual_seed(seed) if draw else None
        return self._swept(scan, lambda slices: self._passed(slices, generator))

    def state(self) -> State:
        """Return the weights."""
        return arrays(self.net)

    def _swept(self, scan: Scan, work: Callable[[Slices], Tensor]) -> Image:
        with torch.no_grad(), arithmetic(self.device, self.precision):
            batch = scan.brain.shape[2] if self.whole else BATCH
            return swept(scan, work, device=self.device, batch=batch)

    def _passed(self, slices: Slices, draw: Generator | None) -> Tensor:
        x_hat: Tensor = self.net(slices.x, draw).x_hat
        return x_hat

    def _descended(self, slices: Slices) -> Tensor:
        return descended(self._loss, slices.x, slices.brain, self.restoration)

    def _sloped(self, scan: Scan, x_hat: Image) -> Map:
        """Return the scores that a gradient has a part in."""
        loss = self._loss if self.how in WHOLE else self._divergence
        gradient = np.abs(self._swept(scan, lambda slices: slope(loss, slices.x)))
        if self.how is Score.RESIDUAL_GRADIENT:
            both: Map = (np.abs(scan.image - x_hat) * gradient).mean(0)
            return both
        if self.how is Score.COMBINATION:
            weight = smoothed_in_plane(scaled(gradient.mean(0), scan.brain))
            combined: Map = weight * compared(scan.image, x_hat, scan.brain, Distance.L2)
            return combined
        return smoothed_in_plane(gradient.mean(0))

    def _loss(self, x: Tensor) -> Tensor:
        return negative_elbo(self.net(x), x, self.beta)

    def _divergence(self, x: Tensor) -> Tensor:
        divergence: Tensor = self.net(x).divergence
        return divergence


WHOLE = frozenset({Score.ELBO_GRADIENT, Score.RESIDUAL_GRADIENT})
"""Scores that look at the gradient of the whole loss, not of the divergence alone."""


@dataclass(frozen=True, kw_only=True)
class VariationalLessons(Lessons):
    """Settings that variational networks share."""

    scoring: ClassVar[frozenset[str]] = frozenset(
        {"score", "restore_steps", "restore_lr", "restore_tv"}
    )

    beta: Annotated[float, Ge(0)] = 1.0
    """Weight of the divergence (sum over the latent) beside the L1 error (sum over pixels)."""
    score: Score = Score.L1
    """What becomes the anomaly map."""
    restore_steps: Annotated[int, Ge(1)] = 150
    """Steps of the descent (score `restoration` only)."""
    restore_lr: Annotated[float, Gt(0)] = 1e-3
    """Width of its steps, intensities per unit of gradient."""
    restore_tv: Annotated[float, Ge(0)] = 1.8
    """Weight in it of the total variation of what is changed: a square of a side below four times
    this many pixels is not worth it."""

    def taught(self, own: nn.Module, run: Run, *, whole: bool = False) -> Variational:
        """Return the detector of a network that has learnt, where it has."""
        bare = self._detector(own, whole=whole)
        return replace(bare, device=run.device, precision=run.precision, seed=run.seed)

    def loaded(self, net: nn.Module, state: State, *, whole: bool = False) -> Variational:
        """Return the detector of ``net`` with the weights of ``state``."""
        load(net, state)
        return self._detector(net, whole=whole)

    def _detector(self, net: nn.Module, *, whole: bool) -> Variational:
        descent = Restoration(self.restore_steps, self.restore_lr, self.restore_tv)
        return Variational(
            net=net, how=self.score, beta=self.beta, restoration=descent, whole=whole
        )
