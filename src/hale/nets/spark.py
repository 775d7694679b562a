"""Masked pretraining of a ResNet: it sees some cells of a slice, a light decoder fills the others.

Reference: Tian et al. 2023, "Designing BERT for convolutional networks: sparse and hierarchical
masked modeling", ICLR, arXiv:2301.03580. "Sparse" is a matter of masks: after each layer, what
lies in hidden cells is 0 again (see `ResNet.features`).
"""

from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hale.nets.resnet import CELL, GROWTH, ResNet, enlarged, normed

TOKEN = 0.02
"""Standard deviation of the initial tokens and convolutions."""


class MaskedAutoEncoder(nn.Module):
    """Encoder of seen cells, tokens for hidden ones at every scale, decoder.

    Args:
        encoder: Without linear layer; all that is kept of the whole.
        channels: Of a slice.
    """

    def __init__(self, encoder: ResNet, channels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.densify = nn.ModuleList(
            Densify(c, kernel=1 if n == 0 else 3) for n, c in enumerate(reversed(encoder.scales))
        )
        width = encoder.scales[-1] // GROWTH
        self.decoder = LightDecoder(width, channels)
        for part in (self.densify, self.decoder):
            part.apply(_initialise)

    def forward(
        self, x: Float[Tensor, "b c i j"], active: Bool[Tensor, "b 1 p q"]
    ) -> Float[Tensor, "b c i j"]:
        """Return the whole slice as its ``active`` cells suggest it."""
        i, j = x.shape[-2:]
        scales = reversed(self.encoder.features(x, active))
        dense = [fill(h, active) for fill, h in zip(self.densify, scales, strict=True)]
        x_hat: Tensor = self.decoder(dense)
        return x_hat[..., :i, :j]


class Densify(nn.Module):
    """Norm over seen positions, one learnt vector at hidden ones, convolution to a quarter."""

    def __init__(self, channels: int, *, kernel: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.token = nn.Parameter(torch.empty(1, channels, 1, 1))
        nn.init.trunc_normal_(self.token, std=TOKEN, a=-TOKEN, b=TOKEN)
        self.project = nn.Conv2d(channels, channels // GROWTH, kernel, padding=kernel // 2)

    def forward(
        self, h: Float[Tensor, "b c i j"], active: Bool[Tensor, "b 1 p q"]
    ) -> Float[Tensor, "b d i j"]:
        """Return features without gaps."""
        seen = normed(self.norm, h, active)
        dense: Tensor = self.project(torch.where(enlarged(active, h), seen, self.token))
        return dense


class LightDecoder(nn.Module):
    """Doubles rows and columns while it halves channels: 3, 6, 12, 24, 48, 96 for a slice of 96.

    Args:
        width: Channels of the coarsest scale it is given; each finer one has half as many.
        channels: Of a slice.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        blocks = CELL.bit_length() - 1  # 32 pixels are five doublings
        widths = [max(width // 2**n, 1) for n in range(blocks + 1)]
        self.blocks = nn.ModuleList(_doubling(come, go) for come, go in pairwise(widths))
        self.head = nn.Conv2d(widths[-1], channels, 1)

    def forward(self, dense: list[Tensor]) -> Float[Tensor, "b c _ _"]:
        """Return a slice; ``dense`` are features, coarsest first, added before a block each."""
        h = dense[0]
        for n, block in enumerate(self.blocks):
            h = block(h + dense[n] if 0 < n < len(dense) else h)
        x_hat: Tensor = self.head(h)
        return x_hat


def _doubling(come: int, go: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(come, come, 4, stride=2, padding=1),
        nn.Conv2d(come, come, 3, padding=1, bias=False),
        nn.BatchNorm2d(come),
        nn.ReLU6(),
        nn.Conv2d(come, go, 3, padding=1, bias=False),
        nn.BatchNorm2d(go),
    )


def _initialise(layer: nn.Module) -> None:
    """Draw the weights of a convolution; its bias starts at 0."""
    if isinstance(layer, nn.ConvTranspose2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(layer, nn.Conv2d):
        nn.init.trunc_normal_(layer.weight, std=TOKEN)
    else:
        return
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
