"""SparK: an encoder is taught to tell the hidden parts of healthy slices from the others.

Reference: Tian et al. 2023, "Designing BERT for convolutional networks: sparse and hierarchical
masked modeling", ICLR, arXiv:2301.03580; for brain MRI Behrendt et al. 2025, Computers in Biology
and Medicine 186:109660, DOI 10.1016/j.compbiomed.2025.109660.

Unlike in the former, a cell is not normalised by its own mean and spread.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar
from zlib import crc32

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Len, Lt
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from hale.core.errors import Refused
from hale.core.method import State, Supervision, Training
from hale.core.run import Run
from hale.nets.blocks import padded
from hale.nets.resnet import CELL, ResNet
from hale.nets.spark import MaskedAutoEncoder
from hale.nets.state import arrays
from hale.train.learn import Lessons
from hale.train.run import mixed
from hale.train.slices import Slices

BETAS = (0.9, 0.95)
"""Of AdamW."""


class Hiding(StrEnum):
    """Which masks may be drawn."""

    ANY = "any"
    """Every one; the seen cells may be background alone."""
    BRAIN = "brain"
    """Those that leave brain to see and brain to fill in, where it lies in two cells or more."""


@dataclass(frozen=True, kw_only=True)
class SparK(Lessons):
    """Teach a ResNet to fill in hidden cells of healthy axial slices: what a method starts from."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY

    width: Annotated[int, Ge(1)] = 64
    """Channels of the stem of the encoder; a ResNet-50 has 64."""
    blocks: Annotated[tuple[Annotated[int, Ge(1)], ...], Len(4, 4)] = (3, 4, 6, 3)
    """Bottlenecks of its four stages."""
    drop: Annotated[float, Ge(0), Lt(1)] = 0.05
    """Share of slices that skip its last bottleneck in training; earlier ones fewer."""
    mask_ratio: Annotated[float, Gt(0), Lt(1)] = 0.65
    """Share of the cells of 32 x 32 pixels that are hidden, to the nearest number of whole ones."""
    hiding: Hiding = Hiding.BRAIN
    """Which masks may be drawn."""
    same_masks: bool = True
    """Whether held-out slices are looked at with the same masks each time."""
    weight_decay: Annotated[float, Ge(0)] = 0.05
    """Of AdamW."""
    steps: Annotated[int, Ge(1)] = 14_400
    """Optimiser steps."""

    def fit(self, training: Training, run: Run) -> State:
        """Minimise the squared error of hidden cells; return the weights of the encoder.

        Raises:
            Refused: Slices are of a single cell.
        """
        channels, plane = len(training.space.slots), training.space.grid.shape[:2]
        if max(plane) <= CELL:
            why = f"are one cell of {CELL} x {CELL}: there is nothing to hide"
            raise Refused(f"slices of {plane[0]} x {plane[1]} pixels", why, "prepare finer ones")
        torch.manual_seed(run.seed)
        encoder = ResNet(channels, width=self.width, blocks=self.blocks, drop=self.drop)
        own = MaskedAutoEncoder(encoder, channels)
        adam = torch.optim.AdamW(
            own.parameters(), lr=self.lr, betas=BETAS, weight_decay=self.weight_decay
        )
        self.teach(own, training, run, self.loss, adam)
        return arrays(encoder)

    def loss(self, net: nn.Module, slices: Slices, draw: Generator) -> Float[Tensor, ""]:
        """Return the error of the hidden cells of slices, masks drawn at random."""
        if not net.training and not self.same_masks:
            draw = with_weights(draw, net)
        active = self.masks(slices.brain, draw).to(slices.x.device)
        return hidden_error(net(slices.x, active), slices.x, active)

    def masks(self, brain: Bool[Tensor, "b 1 i j"], draw: Generator) -> Bool[Tensor, "b 1 p q"]:
        """Return which cells of each slice are seen, on the CPU."""
        cells = F.max_pool2d(padded(brain.float(), CELL), CELL).cpu() > 0
        seen = self.seen_of(cells[0].numel())
        active = drawn(cells.shape, seen, draw)
        if self.hiding is Hiding.ANY:
            return active
        both = cells.flatten(1).sum(1) > 1
        while (again := both & ~_is_split(cells, active)).any():
            active[again] = drawn(active[again].shape, seen, draw)
        return active

    def seen_of(self, cells: int) -> int:
        """Return how many cells are seen, at least one and not all: 3 of 9."""
        return min(max(round((1 - self.mask_ratio) * cells), 1), cells - 1)


def with_weights(draw: Generator, net: nn.Module) -> Generator:
    """Return a generator that draws otherwise once a network has learnt more.

    It depends on the first weights and on the next number of ``draw`` alone: a run that was
    interrupted draws as if it had not been.
    """
    weights = next(net.parameters()).detach().float().cpu().numpy()
    number = int(torch.randint(2**62, (), generator=draw))
    return Generator().manual_seed(mixed(number, crc32(weights.tobytes())))


def drawn(shape: torch.Size, seen: int, draw: Generator) -> Bool[Tensor, "b 1 p q"]:
    """Return masks with so many cells seen in each, all choices alike."""
    chance = torch.rand(shape, generator=draw).flatten(1)
    active = torch.zeros_like(chance, dtype=torch.bool)
    return active.scatter(1, chance.argsort(1)[:, :seen], value=True).reshape(shape)


def hidden_error(
    x_hat: Float[Tensor, "b c i j"], x: Float[Tensor, "b c i j"], active: Bool[Tensor, "b 1 p q"]
) -> Float[Tensor, ""]:
    """Return the squared error, a mean over each cell, then over the hidden cells of all slices.

    Nothing is asked of the rows and columns that fill the last cells up.
    """
    error = padded((x_hat.float() - x).square().mean(1, keepdim=True), CELL)
    cells = F.avg_pool2d(error, CELL)
    return (cells * ~active).sum() / (~active).sum()


def _is_split(
    cells: Bool[Tensor, "b 1 p q"], active: Bool[Tensor, "b 1 p q"]
) -> Bool[Tensor, " b"]:
    """Say of each slice whether some of ``cells`` are active and some are not."""
    return (cells & active).flatten(1).any(1) & (cells & ~active).flatten(1).any(1)
