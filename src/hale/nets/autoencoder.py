"""Convolutional autoencoder with a dense latent.

Reference: the unified network of Baur et al. 2021, "Autoencoders for unsupervised anomaly
segmentation in brain MR images: a comparative study", Medical Image Analysis 69:101952,
DOI 10.1016/j.media.2020.101952, arXiv:2004.03271.
"""

from itertools import pairwise
from math import log2

from jaxtyping import Float
from torch import Tensor, nn

from hale.nets.blocks import padded

SLOPE = 0.3
"""Of LeakyReLU below 0: the default of Keras, which the reference uses."""


class AutoEncoder(nn.Module):
    """Halve a slice to about 8 x 8, squeeze it through ``latent`` numbers, and build it again.

    Args:
        contrasts: Channels of a slice.
        plane: Its size, pixels; bound by the dense layers. 96 x 96 is halved three times
            (12 x 12), 128 x 128 four times (8 x 8).
        latent: Numbers in the bottleneck.
        width: Channels after the first halving; they double up to four times as many.
        dropout: Share of the latent, and of what is built from it, that training drops.
    """

    def __init__(
        self,
        contrasts: int,
        plane: tuple[int, int],
        *,
        latent: int = 128,
        width: int = 32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        halvings = max(1, int(log2(max(plane)) - log2(8)))
        self.multiple = 2**halvings
        i, j = (-(-side // self.multiple) for side in plane)  # of the bottleneck: rounded up
        down = [contrasts, *(min(4, 2**n) * width for n in range(halvings))]
        up = [down[-1], *(max(width, 4 * width // 2**n) for n in range(halvings))]
        thin = width // 2
        self.encode = nn.Sequential(
            *(_halve(a, b) for a, b in pairwise(down)),
            nn.Conv2d(down[-1], thin, 1),
            nn.Flatten(),
            nn.Linear(thin * i * j, latent),
            nn.Dropout(dropout),
        )
        self.decode = nn.Sequential(
            nn.Linear(latent, thin * i * j),
            nn.Dropout(dropout),
            nn.Unflatten(1, (thin, i, j)),
            nn.Conv2d(thin, down[-1], 1),
            nn.BatchNorm2d(down[-1]),
            nn.ReLU(),
            *(_double(a, b) for a, b in pairwise(up)),
            nn.Conv2d(up[-1], contrasts, 1),
        )

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """Return x_hat."""
        i, j = x.shape[-2:]
        x_hat: Tensor = self.decode(self.encode(padded(x, self.multiple)))
        return x_hat[..., :i, :j]


def _halve(come: int, go: int) -> nn.Module:
    conv = nn.Conv2d(come, go, 5, stride=2, padding=2)
    return nn.Sequential(conv, nn.BatchNorm2d(go), nn.LeakyReLU(SLOPE))


def _double(come: int, go: int) -> nn.Module:
    conv = nn.ConvTranspose2d(come, go, 5, stride=2, padding=2, output_padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(go), nn.LeakyReLU(SLOPE))
