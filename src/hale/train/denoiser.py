"""The detector of diffusion methods: noise a scan, restore it in one pass, look at what is left.

References: Wyatt et al. 2022, "AnoDDPM", CVPR Workshops; Behrendt et al. 2023, arXiv:2303.03758.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hale.core.anomaly import AnomalyMap
from hale.core.errors import Refused
from hale.core.method import State
from hale.core.run import Precision
from hale.core.scan import Scan
from hale.core.types import Image, Mask
from hale.diffusion.noise import Noise, drawn
from hale.diffusion.process import Target, noised, x0_of
from hale.diffusion.schedules import Levels, Schedule, levels_of
from hale.nets.blocks import to_channels_last
from hale.nets.state import arrays
from hale.train.device import arithmetic
from hale.train.run import mixed
from hale.train.score import Distance, compared
from hale.train.slices import Slices
from hale.train.sweep import swept

MARGIN = 4
"""Pixels about a brain whose slices are cut; a multiple of what networks halve three scales by."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Diffusion:
    """How slices are noised, and what a network says of the noised ones.

    Intensities of 0 to 1 become -1 to 1, as `Diffusion.signed` does.
    """

    schedule: Schedule = Schedule.COSINE
    noise: Noise = Noise.SIMPLEX
    rounded: bool = False
    """Whether noise is rounded to half precision, as in the public code."""
    target: Target = Target.X0
    levels: Levels = field(init=False)

    def __post_init__(self) -> None:
        """Compute the levels once."""
        object.__setattr__(self, "levels", levels_of(self.schedule))

    @property
    def count(self) -> int:
        """Return how many levels of noise there are."""
        return len(self.levels.alpha_bar)

    def maps(
        self, shape: tuple[int, int, int, int], draw: torch.Generator
    ) -> Float[Tensor, "b c i j"]:
        """Return noise, on the CPU."""
        maps = drawn(self.noise, shape, draw)
        return maps.half().float() if self.rounded else maps

    def noised(
        self,
        x: Float[Tensor, "b c i j"],
        noise: Float[Tensor, "#b c i j"],
        t: Int[Tensor, " b"],
    ) -> Float[Tensor, "b c i j"]:
        """Return x_t of ``x``, -1 to 1."""
        return noised(x, noise.expand_as(x), t, self.levels)

    def x0_of(
        self, out: Float[Tensor, "b c i j"], x_t: Float[Tensor, "b c i j"], t: Int[Tensor, " b"]
    ) -> Float[Tensor, "b c i j"]:
        """Return the slices, -1 to 1, that a network's output stands for."""
        return x0_of(self.target, out.float(), x_t, t, self.levels)


def signed(x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
    """Return 2 x - 1."""
    return 2 * x - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Noised:
    """Slices at one level of noise."""

    x_t: Float[Tensor, "b c i j"]
    t: Int[Tensor, " b"]


@runtime_checkable
class Restoring(Protocol):
    """How a method has its network restore noised slices."""

    def __call__(
        self, net: nn.Module, x: Float[Tensor, "b c i j"], noised: Sequence[Noised]
    ) -> list[Tensor]:
        """Return what the network says of ``x`` (0 to 1) at each level of noise, not yet x0."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Denoiser:
    """A network that restores noised slices; it owns a copy of the network.

    The noise is one map per volume and level, drawn from (seed, the scan's content, level, draw),
    so that neighbouring slices are restored alike.
    """

    net: nn.Module
    restoring: Restoring
    diffusion: Diffusion
    at: tuple[int, ...]
    """Levels that a scan is restored from; the mean of their pictures is the pseudo-healthy one."""
    crop: bool = False
    """Whether slices are cut to the box about the brain before they are restored."""
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
        values = compared(scan.image, x_hat, scan.brain, Distance.L1)
        return AnomalyMap(values=values, brain=scan.brain, pseudo_healthy=x_hat)

    def reconstruct(self, scan: Scan, *, draw: int = 0, level: int | None = None) -> Image:
        """Return the mean of the pictures restored from the levels, or that of one level.

        Args:
            scan: Is left alone.
            draw: Which noise.
            level: Index of the only level; None: those of the detector.

        Raises:
            Refused: There is no such level.
        """
        at = self.at if level is None else (level,)
        refuse_levels(at, self.diffusion.count)
        rows, columns = about(scan.brain) if self.crop else (slice(None), slice(None))
        maps = [self._noise(scan, level, draw)[..., rows, columns] for level in at]
        maps = [noise.to(self.device) for noise in maps]

        def restored(slices: Slices) -> Tensor:
            x_hat = torch.zeros_like(slices.x)
            pictures = self.pictures(slices.x[..., rows, columns], maps, at)
            x_hat[..., rows, columns] = torch.stack(pictures).mean(0)
            return x_hat

        with torch.inference_mode(), arithmetic(self.device, self.precision):
            return swept(scan, restored, device=self.device)

    def pictures(
        self,
        x: Float[Tensor, "b c i j"],
        noise: Sequence[Float[Tensor, "#b c i j"]],
        at: Sequence[int],
    ) -> list[Tensor]:
        """Return x_hat, 0 to 1, of slices on the device of the network, from each level.

        Args:
            x: Slices, 0 to 1.
            noise: A map for each level.
            at: The levels.
        """
        process, begun = self.diffusion, []
        for maps, level in zip(noise, at, strict=True):
            t = torch.full((len(x),), level, device=x.device)
            begun.append(Noised(x_t=process.noised(signed(x), maps, t), t=t))
        made = self.restoring(self.net, x, begun)
        return [
            (process.x0_of(out, one.x_t, one.t) + 1) / 2
            for out, one in zip(made, begun, strict=True)
        ]

    def state(self) -> State:
        """Return the weights."""
        return arrays(self.net)

    def _noise(self, scan: Scan, level: int, draw: int) -> Float[Tensor, "1 c i j"]:
        contrasts, i, j, _ = scan.image.shape
        seed = mixed(self.seed, int(scan.content[:16], 16), level, draw)
        generator = torch.Generator().manual_seed(seed)
        return self.diffusion.maps((1, contrasts, i, j), generator)


def about(brain: Mask) -> tuple[slice, slice]:
    """Return the rows and columns of the box about a brain in all its slices, with a margin.

    Its sides are multiples of the margin where the slice allows it, so that networks pad nothing.
    Without a brain it is the whole slice.
    """
    if not brain.any():
        return slice(None), slice(None)
    shadow = np.asarray(brain.any(2))
    rows, columns = (_side(np.asarray(shadow.any(axis))) for axis in (1, 0))
    return rows, columns


def _side(line: Bool[np.ndarray, " n"]) -> slice:
    there = np.flatnonzero(line)
    wanted = int(there[-1] - there[0]) + 1 + 2 * MARGIN
    side = min(-(-wanted // MARGIN) * MARGIN, len(line))
    first = min(max(int(there[0] + there[-1] + 1 - side) // 2, 0), len(line) - side)
    return slice(first, first + side)


def refuse_levels(at: Sequence[int], count: int) -> None:
    """Refuse levels that do not exist.

    Raises:
        Refused: Names the first of them.
    """
    for level in at:
        if not 0 <= level < count:
            why = f"there are {count} levels of noise, 0 to {count - 1}"
            raise Refused(f"level {level}", why, "give one of them (499 is the middle)")
