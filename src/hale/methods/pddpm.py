"""Patched denoising diffusion model: each patch of a slice is restored from the rest of it.

Reference: Behrendt, Bhattacharya, Krüger, Opfer and Schlaefer 2023, "Patched diffusion models for
unsupervised anomaly detection in brain MRI", MIDL, pp. 1019-1032, arXiv:2303.03758.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Len
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from hale.core.method import State, Supervision, Training
from hale.core.run import Run
from hale.core.scan import Space
from hale.diffusion.process import Target
from hale.nets.state import load
from hale.train.boxes import Box, cells, grid, random_boxes
from hale.train.denoiser import Denoiser, Noised, signed
from hale.train.denoising import DenoisingLessons, posed
from hale.train.draws import batch_of
from hale.train.slices import Slices


class Draw(StrEnum):
    """Which patch of a slice a training step noises."""

    GRID = "grid"
    """One of the grid that scans are restored by."""
    ANYWHERE = "anywhere"
    """One whose corner is any pixel, cut off at the border."""


class Stitching(StrEnum):
    """What becomes of a pixel that several patches restore."""

    CUT = "cut"
    """The patch whose middle is nearest counts."""
    MEAN = "mean"
    """All count alike."""


@dataclass(frozen=True, kw_only=True)
class PDDPM(DenoisingLessons):
    """Restore noised patches of healthy axial slices; score the residual of the stitched ones."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY
    scoring: ClassVar[frozenset[str]] = frozenset(
        {"levels", "crop", "patch", "stride", "stitching"}
    )

    levels: Annotated[tuple[Annotated[int, Ge(0)], ...], Len(min_length=1)] = (499,)
    """Indices of the levels that a scan is restored from; their pictures are averaged."""
    patch: Annotated[int, Ge(1)] = 48
    """Side of a patch, pixels."""
    stride: Annotated[int, Ge(0)] = 0
    """Most pixels between patches; 0: as many as a patch has, so that they tile a slice."""
    boxes: Draw = Draw.GRID
    """Which patch a training step noises."""
    stitching: Stitching = Stitching.CUT
    """What becomes of a pixel that several patches restore."""

    def __post_init__(self) -> None:
        """Refuse gaps between patches, and targets that say nothing of a clean pixel."""
        super().__post_init__()
        if self.stride > self.patch:
            raise ValueError(f"stride: {self.stride} leaves gaps between patches of {self.patch}")
        if self.target is not Target.X0:
            raise ValueError(f"target: '{self.target}' is of the noise, which a patch has in part")

    def fit(self, training: Training, run: Run) -> Denoiser:
        """Minimise the L1 error in noised patches of otherwise clean healthy slices."""
        torch.manual_seed(run.seed)
        own = self.unet(training.space)
        self.teach(own, training, run, self.loss)
        return self.detector(own, self._stitched, run)

    def restore(self, state: State, space: Space) -> Denoiser:
        """Rebuild the network and load its weights."""
        net = self.unet(space)
        load(net, state)
        return self.detector(net, self._stitched)

    def loss(self, net: nn.Module, slices: Slices, draw: Generator) -> Float[Tensor, ""]:
        """Return the error of slices with a restored patch, mean over the whole slices."""
        task = posed(slices, self, draw, training=net.training)
        inside = self._drawn(task.x, draw)
        clean = signed(task.x)
        out: Tensor = net(torch.where(inside, task.noised.x_t, clean), task.noised.t)
        return ((out - clean) * inside).abs().mean()

    def grid(self, plane: tuple[int, int]) -> list[Box]:
        """Return the patches of a slice of ``plane`` rows and columns, row by row."""
        return grid(plane, self.patch, self.stride or self.patch)

    def _drawn(self, x: Float[Tensor, "b c i j"], draw: Generator) -> Bool[Tensor, "b 1 i j"]:
        """Return, for each slice, where its patch is."""
        plane, batch = (x.shape[2], x.shape[3]), batch_of(draw, len(x))
        if self.boxes is Draw.ANYWHERE:
            boxes = random_boxes(plane, self.patch, batch.size, batch.draw)
        else:
            there = self.grid(plane)
            chosen = torch.randint(len(there), (batch.size,), generator=batch.draw)
            boxes = [there[n] for n in chosen]
        boxes = boxes[batch.mine]
        return torch.stack([box.mask(plane) for box in boxes])[:, None].to(x.device)

    @property
    def _stitched(self) -> partial[list[Tensor]]:
        return partial(stitched, method=self)


def stitched(
    net: nn.Module, x: Float[Tensor, "b c i j"], noised: Sequence[Noised], *, method: PDDPM
) -> list[Tensor]:
    """Return restored slices for each level; all patches of a level go in one pass.

    Every patch is cut from one noised slice, and what the network says outside it is left out.
    """
    plane = (x.shape[2], x.shape[3])
    boxes = method.grid(plane)
    inside = torch.stack([box.mask(plane) for box in boxes])[:, None, None].to(x.device)
    share = weights(boxes, plane, method.stitching)[:, None, None].to(x.device)
    clean = signed(x)
    made = []
    for one in noised:
        given = torch.where(inside, one.x_t, clean).flatten(0, 1)  # n b -> all patches of a batch
        out = net(given, one.t.repeat(len(boxes))).float()
        made.append((out.unflatten(0, (len(boxes), len(x))) * share).sum(0))
    return made


def weights(
    boxes: Sequence[Box], plane: tuple[int, int], stitching: Stitching
) -> Float[Tensor, "n i j"]:
    """Return how much each patch counts at each pixel: 1 in all."""
    if stitching is Stitching.CUT:
        return torch.stack([cell.mask(plane) for cell in cells(boxes)]).float()
    count = torch.stack([box.mask(plane) for box in boxes]).float()
    return count / count.sum(0)
