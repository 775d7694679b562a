"""Convolutional autoencoder with additive skips.

Reference: the Skip AE of Chatterjee et al. 2022, "StRegA: unsupervised anomaly detection in brain
MRIs using a compact context-encoding variational autoencoder", Computers in Biology and Medicine
149:106093, DOI 10.1016/j.compbiomed.2022.106093, in the repository soumickmj/StRegA.
"""

from enum import StrEnum

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hale.nets.blocks import padded


class Head(StrEnum):
    """What the network ends with."""

    LINEAR = "linear"
    """Nothing after the normalisation."""
    TANH = "tanh"
    """ReLU and tanh, so in [0, 1), as published; the ReLU can silence the output for good."""


class SkipAutoEncoder(nn.Module):
    """Five convolutions down to a sixteenth, five up, each level added across.

    The skip of the finest level lets it copy its input, lesions included.

    Args:
        contrasts: Channels of a slice.
        width: Channels of the finest level; they double up to eight times as many.
        dropout: Share that training drops after the last three sums.
        head: What it ends with.
    """

    multiple = 16

    def __init__(
        self,
        contrasts: int,
        *,
        width: int = 64,
        dropout: float = 0.1,
        head: Head = Head.LINEAR,
    ) -> None:
        super().__init__()
        levels = [width * 2**n for n in range(4)]
        come, go, stride = [contrasts, *levels], [*levels, width], [1, 2, 2, 2, 2]
        self.down = nn.ModuleList(_down(*sizes) for sizes in zip(come, go, stride, strict=True))
        come, go = [width, *levels[:0:-1]], levels[::-1]
        self.up = nn.ModuleList(_up(*sizes) for sizes in zip(come, go, strict=True))
        self.drop = nn.Dropout(dropout)
        self.head = nn.Sequential(
            nn.ConvTranspose2d(width, contrasts, 1), nn.BatchNorm2d(contrasts)
        )
        self.is_limited = head is Head.TANH

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """Return x_hat."""
        i, j = x.shape[-2:]
        h, levels = padded(x, self.multiple), []
        for down in self.down:
            h = down(h)
            levels.append(h)
        levels.pop()  # the bottleneck, which is h
        for up in self.up:
            h = up(h) + levels.pop()
            h = h if up is self.up[0] else self.drop(h)
        x_hat: Tensor = self.head(h)
        x_hat = torch.tanh(torch.relu(x_hat)) if self.is_limited else x_hat
        return x_hat[..., :i, :j]


def _down(come: int, go: int, stride: int) -> nn.Module:
    conv = nn.Conv2d(come, go, 5, stride=stride, padding=2)
    return nn.Sequential(conv, nn.BatchNorm2d(go), nn.ReLU())


def _up(come: int, go: int) -> nn.Module:
    conv = nn.ConvTranspose2d(come, go, 5, stride=2, padding=2, output_padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(go), nn.ReLU())
