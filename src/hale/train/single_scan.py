"""What the methods share that learn from the one scan that they score: settings, place, pupil."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Annotated, Protocol, runtime_checkable

import torch
from annotated_types import Ge, Gt, Lt, MultipleOf
from jaxtyping import Float
from torch import Generator, Tensor, nn

from hale.core.run import Precision
from hale.train.augment import Augmentation
from hale.train.device import repeatable
from hale.train.run import mixed


class Which(StrEnum):
    """Which axial slices are scored."""

    EVERY = "every"
    MOST_BRAIN = "most_brain"
    """The one with most brain voxels, one for all contrasts."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where tensors are, and in which arithmetic networks run."""

    device: str
    precision: Precision

    def put(self, x: Tensor) -> Tensor:
        """Return ``x`` on the device."""
        return x.to(self.device)

    def arithmetic(self) -> torch.autocast:
        """Return the context that networks run in."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=self.precision is Precision.BF16)

    @contextmanager
    def seeded(self, *numbers: int) -> Iterator[Generator]:
        """Seed torch within a block, and give a generator for draws on the CPU."""
        cuda = [torch.device(self.device)] if self.device.startswith("cuda") else []
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(mixed(*numbers, 0))  # initial weights and dropout
            with repeatable(self.precision):
                yield torch.Generator().manual_seed(mixed(*numbers, 1))


@runtime_checkable
class Pupil(Protocol):
    """A network in training. Slices come on the CPU, intensities about 0 to 1."""

    @property
    def net(self) -> nn.Module:
        """Return all that is learnt."""
        ...

    def learn(self, x: Float[Tensor, "b c s s"], draw: Generator) -> None:
        """Do one optimiser step."""
        ...

    def look(self, x: Float[Tensor, "n c s s"]) -> float:
        """Return how badly slices are restored; the same draws each time."""
        ...

    def restored(self, x: Float[Tensor, "n c s s"], draw: Generator) -> Float[Tensor, "n c s s"]:
        """Return the pseudo-healthy slices, on the CPU."""
        ...

    def seconds_to_restore(self, x: Float[Tensor, "n c s s"]) -> float:
        """Return how long `restored` would take, by doing a part of it."""
        ...


@dataclass(frozen=True, kw_only=True)
class ScanLessons(ABC):
    """Settings that single-scan methods share. A method inherits them and adds its own."""

    size: Annotated[int, Ge(64), MultipleOf(32)] = 256
    """Pixels along the side of the square about the brain that slices are resized to."""
    slices: Which = Which.EVERY
    """Which axial slices are scored."""
    slabs: Annotated[int, Ge(1)] = 5
    """Contiguous slabs; each is scored by a model that learnt from the others. 1: no
    cross-fitting."""
    gap_mm: Annotated[float, Ge(0)] = 10.0
    """Slices so near to a slab are not seen by its model."""
    batch: Annotated[int, Ge(1)] = 8
    """Slices per step."""
    epoch_slices: Annotated[int, Ge(1)] = 128
    """Slices per epoch, drawn anew from those that may be learnt from; where they are fewer, they
    come several times, augmented differently."""
    epochs: Annotated[int, Ge(1)] = 300
    """Epochs per slab, at most."""
    check_every: Annotated[int, Ge(1)] = 5
    """Epochs between looks at the watched slices."""
    patience: Annotated[int, Ge(0)] = 6
    """Looks without improvement after which training stops; 0: never, and the last weights stay."""
    rotate_deg: Annotated[float, Ge(0)] = 10.0
    """Augmentation: turned by up to so much either way."""
    flip: bool = True
    """Augmentation: mirrored left to right, every second slice."""
    gain: Annotated[float, Ge(0)] = 0.1
    """Augmentation: brightened or darkened by up to this share."""

    rule_sd: Annotated[float, Ge(0)] = 0.0
    """Legacy: also say yes or no by the share of pixels above mean + so many sd; 0: do not."""
    rule_share: Annotated[float, Gt(0), Lt(1)] = 0.05
    """Legacy: the share from which on that is yes."""

    @abstractmethod
    def pupil(self, contrasts: int, place: Place) -> Pupil:
        """Return fresh networks, from torch's global generator."""

    @property
    def augmentation(self) -> Augmentation:
        """Return how slices are augmented."""
        return Augmentation(rotate_deg=self.rotate_deg, flip=self.flip, gain=self.gain)

    @property
    def steps_per_epoch(self) -> int:
        """Return how many batches an epoch has."""
        return ceil(self.epoch_slices / self.batch)
