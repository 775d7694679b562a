"""U-Net of the denoising autoencoder.

Reference: Kascenas, Pugeault and O'Neil 2022, "Denoising autoencoders for unsupervised anomaly
detection in brain MRI", MIDL, PMLR 172 (kascenas22a), https://openreview.net/forum?id=Bm8-t_ggzPD
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from hale.nets.blocks import Block, padded

LEVELS = 4


class DenoisingUNet(nn.Module):
    """Four levels (96, 48, 24, 12 for a slice of 96), skips concatenated, linear head.

    Args:
        contrasts: Channels of a slice.
        width: Channels of the first level; each further one has twice as many.
    """

    multiple = 8
    least = 16
    """Rows, and columns: reflection needs two on the coarsest level."""

    def __init__(self, contrasts: int, *, width: int = 64) -> None:
        super().__init__()
        self.down = encoder(contrasts, width)
        self.grow, self.up = decoder(width)
        self.head = nn.Conv2d(width, contrasts, 1)

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """Return x_hat."""
        i, j = x.shape[-2:]
        x_hat: Tensor = self.head(decoded(self.grow, self.up, self.levels(x)))
        return x_hat[..., :i, :j]

    def levels(self, x: Float[Tensor, "b c i j"]) -> list[Tensor]:
        """Return what the encoder makes of ``x`` at each level, finest first."""
        return encoded(self.down, padded(x, self.multiple, least=self.least))


def encoder(contrasts: int, width: int) -> nn.ModuleList:
    """Return a block for each level, finest first."""
    levels = [width * 2**n for n in range(LEVELS)]
    return nn.ModuleList(
        Block(a, b) for a, b in zip([contrasts, *levels[:-1]], levels, strict=True)
    )


def decoder(width: int) -> tuple[nn.ModuleList, nn.ModuleList]:
    """Return what doubles rows and columns before each level, and its block, coarsest first.

    ``width`` is what an encoder has, or all encoders together, whose levels the decoder gets.
    """
    ups = [(width * 2 ** (n + 1), width * 2**n) for n in reversed(range(LEVELS - 1))]
    grow = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in ups)
    return grow, nn.ModuleList(Block(a, b) for a, b in ups)  # a: from below and across


def encoded(down: nn.ModuleList, x: Float[Tensor, "b c i j"]) -> list[Tensor]:
    """Return what each level makes of ``x``, finest first."""
    levels = [down[0](x)]
    for block in down[1:]:
        levels.append(block(F.avg_pool2d(levels[-1], 2)))
    return levels


def decoded(
    grow: nn.ModuleList, up: nn.ModuleList, levels: list[Tensor]
) -> Float[Tensor, "b c i j"]:
    """Return what the decoder makes of ``levels``, finest first."""
    h, *across = reversed(levels)
    for enlarge, block, skip in zip(grow, up, across, strict=True):
        h = block(torch.cat([enlarge(h), skip], 1))
    return h
