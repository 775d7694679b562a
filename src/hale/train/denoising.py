"""What diffusion methods share while they learn: their settings, and the parts of a loss."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Len, MultipleOf
from jaxtyping import Float
from torch import Generator, Tensor, nn

from hale.core.run import Run
from hale.core.scan import Space
from hale.diffusion.noise import Noise
from hale.diffusion.process import Target, target_of
from hale.diffusion.schedules import Schedule
from hale.nets.unet import Embedding, UNet
from hale.train.denoiser import Denoiser, Diffusion, Noised, Restoring, refuse_levels, signed
from hale.train.draws import Batch, batch_of
from hale.train.intensities import varied
from hale.train.learn import Lessons
from hale.train.slices import Slices


class Maps(StrEnum):
    """How many maps of noise a training step draws."""

    SLICE = "slice"
    """One for each slice."""
    BATCH = "batch"
    """One for all slices of the step, as in the public code."""


@dataclass(frozen=True, kw_only=True)
class DenoisingLessons(Lessons):
    """Settings that diffusion methods share. A method inherits them and adds its own."""

    scoring: ClassVar[frozenset[str]] = frozenset({"levels", "crop"})

    width: Annotated[int, Ge(2), MultipleOf(2)] = 128
    """Channels of the finest scale of the U-Net; even."""
    multipliers: Annotated[tuple[int, ...], Len(min_length=1)] = (1, 2, 2)
    """Channels of each scale, finest first, in units of ``width``."""
    blocks: Annotated[int, Ge(1)] = 3
    """Residual blocks of each scale on the way down; one more on the way up."""
    embedding: Embedding = Embedding.SCALE_SHIFT
    """How a block is told the level of noise."""
    target: Target = Target.X0
    """What the network is to say of a noised slice."""
    noise_schedule: Schedule = Schedule.COSINE
    """How the noise grows over 1000 levels."""
    noise: Noise = Noise.SIMPLEX
    """What it is."""
    noise_maps: Maps = Maps.SLICE
    """How many maps a training step draws. A scan is scored with one per level."""
    noise_rounded: bool = False
    """Whether noise is rounded to half precision, as in the public code."""
    levels: Annotated[tuple[Annotated[int, Ge(0)], ...], Len(min_length=1)] = (249, 499, 749)
    """Indices of the levels that a scan is restored from; their pictures are averaged."""
    crop: bool = False
    """Whether slices are cut to the box about the brain before they are restored: a quarter less
    work, but the norms of the network see less background than in training."""
    augment: bool = True
    """Whether training changes intensities: gamma, bias field, blur, ghosts."""
    checkpointing: bool = False
    """Whether training computes activations twice to keep fewer: less memory, the same result."""

    def __post_init__(self) -> None:
        """Refuse levels that do not exist."""
        super().__post_init__()
        refuse_levels(self.levels, self.diffusion.count)

    @property
    def diffusion(self) -> Diffusion:
        """Return how slices are noised."""
        return Diffusion(
            schedule=self.noise_schedule,
            noise=self.noise,
            rounded=self.noise_rounded,
            target=self.target,
        )

    def unet(self, space: Space, *, condition: int = 0, condition_mlp: bool = True) -> UNet:
        """Return the U-Net for slices of ``space``.

        Args:
            space: Whose contrasts are its channels.
            condition: Numbers in the condition of a slice; 0: there is none.
            condition_mlp: Whether two linear layers bring it to the size of the time's embedding.
        """
        return UNet(
            len(space.slots),
            width=self.width,
            multipliers=self.multipliers,
            blocks=self.blocks,
            embedding=self.embedding,
            condition=condition,
            condition_mlp=condition_mlp,
            checkpointing=self.checkpointing,
        )

    def detector(self, net: nn.Module, restoring: Restoring, run: Run | None = None) -> Denoiser:
        """Return the detector of a network, where the run was; without one, on the CPU."""
        bare = Denoiser(
            net=net,
            restoring=restoring,
            diffusion=self.diffusion,
            at=self.levels,
            crop=self.crop,
        )
        if run is None:
            return bare
        return replace(bare, device=run.device, precision=run.precision, seed=run.seed)


@dataclass(frozen=True, kw_only=True, eq=False)
class Posed:
    """Healthy slices, and their noised twins: what a step learns from."""

    x: Float[Tensor, "b c i j"]
    """0 to 1."""
    noise: Float[Tensor, "b c i j"]
    noised: Noised
    target: Float[Tensor, "b c i j"]
    """What the network is to say."""


def posed(slices: Slices, lessons: DenoisingLessons, draw: Generator, *, training: bool) -> Posed:
    """Return noised slices at levels drawn uniformly; augmented, where training asks for it."""
    process, x = lessons.diffusion, slices.x
    if training and lessons.augment:
        x = varied(x, draw).to(x.device, memory_format=torch.channels_last)
    batch = batch_of(draw, len(x))
    t = torch.randint(process.count, (batch.size,), generator=batch.draw)[batch.mine].to(x.device)
    noise = _noise(lessons, x, batch).to(x.device, memory_format=torch.channels_last)
    x_t = process.noised(signed(x), noise, t)
    target = target_of(process.target, signed(x), noise, t, process.levels)
    return Posed(x=x, noise=noise, noised=Noised(x_t=x_t, t=t), target=target)


def _noise(
    lessons: DenoisingLessons, x: Float[Tensor, "b c i j"], batch: Batch
) -> Float[Tensor, "b c i j"]:
    """Return the noise of this process's slices."""
    _, c, i, j = x.shape
    if lessons.noise_maps is Maps.BATCH:
        return lessons.diffusion.maps((1, c, i, j), batch.draw).expand_as(x)
    return lessons.diffusion.maps((batch.size, c, i, j), batch.draw)[batch.mine]
