"""U-Net of the denoising autoencoder.

Reference: Kascenas, Pugeault and O'Neil 2022, "Denoising autoencoders for unsupervised anomaly
detection in brain MRI", MIDL, PMLR 172 (kascenas22a), https://openreview.net/forum?id=Bm8-t_ggzPD
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hale.nets.blocks import Block, padded


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
        levels = [width * 2**n for n in range(4)]
        self.down = nn.ModuleList(
            Block(a, b) for a, b in zip([contrasts, *levels[:-1]], levels, strict=True)
        )
        self.shrink = nn.AvgPool2d(2)
        ups = [(2 * go, go) for go in reversed(levels[:-1])]
        self.grow = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in ups)
        self.up = nn.ModuleList(Block(a, b) for a, b in ups)  # a: from below and across
        self.head = nn.Conv2d(width, contrasts, 1)

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """Return x_hat."""
        i, j = x.shape[-2:]
        levels = self.levels(x)
        h = levels.pop()
        for grow, up in zip(self.grow, self.up, strict=True):
            h = up(torch.cat([grow(h), levels.pop()], 1))
        x_hat: Tensor = self.head(h)
        return x_hat[..., :i, :j]

    def levels(self, x: Float[Tensor, "b c i j"]) -> list[Tensor]:
        """Return what the encoder makes of ``x`` at each level, finest first."""
        h = self.down[0](padded(x, self.multiple, least=self.least))
        levels = [h]
        for block in self.down[1:]:
            h = block(self.shrink(h))
            levels.append(h)
        return levels
