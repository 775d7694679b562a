"""What SADM's methods share: a segmenter taught on what a frozen diffusion model leaves over.

Reference: Behrendt et al. 2024, "Combining reconstruction-based unsupervised anomaly detection with
supervised segmentation for brain MRIs", MIDL, PMLR 250:87-102,
https://openreview.net/forum?id=iWfUcg4FrD
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le, Len
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from hale.core.errors import Refused
from hale.core.method import Detector, State
from hale.core.run import Run
from hale.core.scan import Space
from hale.nets.siamese_unet import SiameseUNet
from hale.nets.state import load
from hale.post.settings import DataRange
from hale.train.denoiser import Denoiser, Noised, refuse_levels, signed
from hale.train.device import arithmetic
from hale.train.draws import batch_of
from hale.train.intensities import varied
from hale.train.learn import Lessons, Objective
from hale.train.segmented import Segmented
from hale.train.slices import Slices


@dataclass(frozen=True, eq=False)
class Marked(Slices):
    """Axial slices, the brain in each, and what is abnormal there."""

    lesion: Bool[Tensor, "n 1 i j"]

    def __getitem__(self, which: Tensor) -> "Marked":
        return Marked(self.x[which], self.brain[which], self.lesion[which])

    def to(self, device: str) -> "Marked":
        """Return them on ``device``, in the memory layout that convolutions like."""
        placed = super().to(device)
        return Marked(placed.x, placed.brain, self.lesion.to(device))


Marking = Callable[[Slices, Generator], Marked]
"""Says what is abnormal in slices, or makes something abnormal; the generator is on the CPU."""


class SegmentationLoss(StrEnum):
    """How log odds are compared with what is abnormal."""

    BCE = "bce"
    """Binary cross-entropy, mean over all pixels."""
    DICE = "dice"
    """1 minus the Dice of probability and mask, all pixels of the batch together."""

    def of(
        self, logits: Float[Tensor, "b 1 i j"], lesion: Bool[Tensor, "b 1 i j"]
    ) -> Float[Tensor, ""]:
        """Return the loss."""
        wanted = lesion.float()
        if self is SegmentationLoss.BCE:
            return F.binary_cross_entropy_with_logits(logits.float(), wanted)
        p = logits.float().sigmoid()
        return 1 - (2 * (p * wanted).sum() + 1) / (p.sum() + wanted.sum() + 1)


@dataclass(frozen=True, kw_only=True)
class SegmentingLessons(Lessons):
    """Settings that SADM's methods share. A method inherits them and adds its own."""

    scoring: ClassVar[frozenset[str]] = frozenset({"levels", "data_range", "balance"})

    width: Annotated[int, Ge(1)] = 64
    """Channels of the segmenter's finest of four levels; each coarser one has twice as many."""
    loss: SegmentationLoss = SegmentationLoss.BCE
    """What is made small."""
    augment: bool = True
    """Whether training changes intensities: gamma, bias field, blur, ghosts."""
    levels: Annotated[tuple[Annotated[int, Ge(0)], ...], Len(min_length=1)] = (249, 499, 749)
    """Indices of the levels from which the base restores a scan to be scored; pictures and
    probabilities are averaged."""
    data_range: DataRange = DataRange.ONE
    """Of the structural similarity of scan and picture."""
    balance: Annotated[float | None, Ge(0), Le(1)] = None
    """Weight of the unsupervised part of the score, the segmenter having the rest; left out: the
    plain sum of both."""
    lr: Annotated[float, Gt(0)] = 5e-5
    """Learning rate of Adam."""
    steps: Annotated[int, Ge(1)] = 7_200
    """Optimiser steps."""
    validate_every: Annotated[int, Ge(1)] = 240
    """Steps between looks at the held-out scans; the best weights there are kept."""

    def restore_on(self, base: Detector, state: State, space: Space) -> Segmented:
        """Rebuild the segmenter, load its weights and join it to its base."""
        net = self.network(space)
        load(net, state)
        return self.detector(net, diffusion_of(base))

    def base_of(self, base: Detector | None) -> Denoiser:
        """Return the base, a diffusion model that has all levels.

        Raises:
            Refused: It is another, or none, or lacks one of the levels.
        """
        found = diffusion_of(base)
        refuse_levels(self.levels, found.diffusion.count)
        return found

    def network(self, space: Space) -> SiameseUNet:
        """Return a segmenter that has learnt nothing."""
        return SiameseUNet(len(space.slots), width=self.width)

    def detector(self, net: nn.Module, base: Denoiser, run: Run | None = None) -> Segmented:
        """Return the detector of a segmenter, where the run was; without one, where its base is."""
        place = base if run is None else run
        return Segmented(
            net=net,
            base=base,
            at=self.levels,
            data_range=self.data_range,
            balance=self.balance,
            device=place.device,
            precision=place.precision,
            seed=place.seed,
        )

    def objective(self, base: Denoiser, mark: Marking) -> Objective:
        """Return what is to be made small: the loss on slices as the base leaves them over.

        In order: intensities are changed, if training asks for it; ``mark`` says or makes what is
        abnormal; the base looks at the result, and is taught nothing; the segmenter looks at both.
        """

        def loss(net: nn.Module, slices: Slices, draw: Generator) -> Float[Tensor, ""]:
            if net.training and self.augment:
                slices = with_image(slices, varied(slices.x, draw).to(slices.x.device))
            task = mark(slices, draw)
            residual = task.x - restored_once(base, task.x, draw) * task.brain
            logits: Tensor = net(residual, task.x)
            return self.loss.of(logits, task.lesion)

        return loss


def diffusion_of(base: Detector | None) -> Denoiser:
    """Return a base that is a diffusion model.

    Raises:
        Refused: It is another, or none.
    """
    if not isinstance(base, Denoiser):
        what = "none" if base is None else f"a {type(base).__name__}"
        why = f"is {what}, not a diffusion model"
        raise Refused("base", why, "name a model of ddpm, pddpm or cddpm")
    return base


@torch.no_grad()
def restored_once(
    base: Denoiser, x: Float[Tensor, "b c i j"], draw: Generator
) -> Float[Tensor, "b c i j"]:
    """Return x_hat of slices, each from a level drawn uniformly among all, with its own noise.

    Args:
        base: In evaluation mode; nothing of it changes.
        x: Slices, 0 to 1, where the base is.
        draw: On the CPU.
    """
    process, batch = base.diffusion, batch_of(draw, len(x))
    _, c, i, j = x.shape
    t = torch.randint(process.count, (batch.size,), generator=batch.draw)[batch.mine].to(x.device)
    noise = process.maps((batch.size, c, i, j), batch.draw)[batch.mine].to(x.device)
    with arithmetic(base.device, base.precision):
        begun = Noised(x_t=process.noised(signed(x), noise, t), t=t)
        (out,) = base.restoring(base.net, x, [begun])
        return (process.x0_of(out, begun.x_t, t) + 1) / 2


def with_image(slices: Slices, x: Float[Tensor, "b c i j"]) -> Slices:
    """Return the slices with other intensities, in the memory layout that convolutions like."""
    x = x.contiguous(memory_format=torch.channels_last)
    if isinstance(slices, Marked):
        return Marked(x, slices.brain, slices.lesion)
    return Slices(x, slices.brain)
