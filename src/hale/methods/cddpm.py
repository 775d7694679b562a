"""Conditioned denoising diffusion model: a few numbers of the clean slice guide its restoration.

Reference: Behrendt et al. 2025, "Guided reconstruction with conditioned diffusion models for
unsupervised anomaly detection in brain MRIs", Computers in Biology and Medicine 186:109660, DOI
10.1016/j.compbiomed.2025.109660, arXiv:2312.04215. Its encoder may be pretrained as in Tian et al.
2023, ICLR, arXiv:2301.03580 (SparK).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Len, Lt
from jaxtyping import Float
from torch import Generator, Tensor, nn

from hale.core.method import State, Supervision, Training
from hale.core.run import Run
from hale.core.scan import Space
from hale.nets.conditioned_unet import ConditionedUNet
from hale.nets.resnet import ResNet, fill_encoder
from hale.nets.state import load
from hale.train.denoiser import Denoiser, Noised
from hale.train.denoising import DenoisingLessons, posed
from hale.train.slices import Slices


@dataclass(frozen=True, kw_only=True)
class CDDPM(DenoisingLessons):
    """Restore noised healthy slices, guided by numbers of the clean ones; score the residual."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY
    takes_pretrained: ClassVar[bool] = True

    condition: Annotated[int, Ge(1)] = 512
    """Numbers that the encoder makes of a slice."""
    condition_mlp: bool = True
    """Whether two linear layers bring them to the size of the time's embedding."""
    encoder_width: Annotated[int, Ge(1)] = 64
    """Channels of the encoder's stem; a ResNet-50 has 64."""
    encoder_blocks: Annotated[tuple[Annotated[int, Ge(1)], ...], Len(4, 4)] = (3, 4, 6, 3)
    """Bottlenecks of its four stages."""
    drop: Annotated[float, Ge(0), Lt(1)] = 0.05
    """Share of samples that skip its deepest bottleneck in training; earlier ones fewer."""
    steps: Annotated[int, Ge(1)] = 14_400
    """Optimiser steps."""

    def fit(self, training: Training, run: Run) -> Denoiser:
        """Minimise the L1 error of what the network says of noised healthy slices."""
        torch.manual_seed(run.seed)
        own = self._network(training.space)
        if training.pretrained is not None:
            fill_encoder(own.encoder, training.pretrained)
        self.teach(own, training, run, self.loss)
        return self.detector(own, guided, run)

    def restore(self, state: State, space: Space) -> Denoiser:
        """Rebuild the network and load its weights."""
        net = self._network(space)
        load(net, state)
        return self.detector(net, guided)

    def loss(self, net: nn.Module, slices: Slices, draw: Generator) -> Float[Tensor, ""]:
        """Return the error on slices noised to levels drawn at random, intensities -1 to 1."""
        task = posed(slices, self, draw, training=net.training)
        out: Tensor = net(task.noised.x_t, task.noised.t, task.x)
        return (out - task.target).abs().mean()

    def _network(self, space: Space) -> ConditionedUNet:
        encoder = ResNet(
            len(space.slots),
            out=self.condition,
            width=self.encoder_width,
            blocks=self.encoder_blocks,
            drop=self.drop,
        )
        unet = self.unet(space, condition=self.condition, condition_mlp=self.condition_mlp)
        return ConditionedUNet(encoder, unet)


def guided(net: nn.Module, x: Float[Tensor, "b c i j"], noised: Sequence[Noised]) -> list[Tensor]:
    """Return what the U-Net says at each level; the encoder looks at the slices once."""
    assert isinstance(net, ConditionedUNet)
    condition = net.encoder(x)
    return [net.unet(one.x_t, one.t, condition) for one in noised]
