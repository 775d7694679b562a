"""U-Net that segments anomalies from a residual and the image it belongs to.

Reference: Behrendt et al. 2024, "Combining reconstruction-based unsupervised anomaly detection with
supervised segmentation for brain MRIs", MIDL, PMLR 250:87-102,
https://openreview.net/forum?id=iWfUcg4FrD; its blocks are those of Kascenas et al. 2022 (PMLR 172,
kascenas22a).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hale.nets.blocks import padded
from hale.nets.denoising_unet import decoded, decoder, encoded, encoder


class SiameseUNet(nn.Module):
    """One encoder sees the residual and the image, one decoder both results; 16,736,705 parameters.

    Args:
        contrasts: Channels of a residual, and of an image.
        width: Channels of the encoder's first level; each further one has twice as many, and the
            decoder twice as many again.
    """

    multiple = 8
    least = 16
    """Rows, and columns: reflection needs two on the coarsest level."""

    def __init__(self, contrasts: int, *, width: int = 64) -> None:
        super().__init__()
        self.down = encoder(contrasts, width)
        self.grow, self.up = decoder(2 * width)
        self.head = nn.Conv2d(2 * width, 1, 1)

    def forward(
        self, residual: Float[Tensor, "b c i j"], x: Float[Tensor, "b c i j"]
    ) -> Float[Tensor, "b 1 i j"]:
        """Return the log odds of each pixel to be abnormal.

        Args:
            residual: x - x_hat, signed.
            x: The image.
        """
        i, j = x.shape[-2:]
        both = [
            encoded(self.down, padded(seen, self.multiple, least=self.least))
            for seen in (residual, x)
        ]
        levels = [torch.cat(level, 1) for level in zip(*both, strict=True)]
        logits: Tensor = self.head(decoded(self.grow, self.up, levels))
        return logits[..., :i, :j]
