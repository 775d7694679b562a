"""Generator and discriminator of the single-scan AnoGAN.

Reference: Schlegl et al. 2017, arXiv:1703.05921. The layers are those of the public code
github.com/ApurvaMayank-iitb/24D0894_IE643_NIFTI, and so are the names of its weights.
"""

from enum import StrEnum
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

LATENT = 25
"""Numbers that a slice is generated from."""
COARSE = 32
"""Pixels along a side before the last enlargement; the side of a slice is a multiple of it."""
SLOPE = 0.2
"""Of LeakyReLU below 0."""


class Head(StrEnum):
    """How the generator gets from 32 x 32 to the slice."""

    TILES = "tiles"
    """One transposed convolution without overlap, as published: independent tiles, blocky."""
    SMOOTH = "smooth"
    """Nearest neighbour, then two 3 x 3 convolutions."""


class Generator(nn.Module):
    """From 25 numbers to a slice in [-1, 1]; 224,977 parameters with tiles at 256 x 256.

    Args:
        contrasts: Channels of a slice.
        size: Pixels along its side, a multiple of 32.
        head: How it gets there from 32 x 32.
    """

    def __init__(self, contrasts: int, size: int, *, head: Head = Head.SMOOTH) -> None:
        super().__init__()
        scale = size // COARSE
        last: list[nn.Module] = (
            [nn.ConvTranspose2d(16, contrasts, scale, stride=scale)]
            if head is Head.TILES
            else [
                nn.Upsample(scale_factor=scale),
                nn.Conv2d(16, 16, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(16, contrasts, 3, padding=1),
            ]
        )
        self.net = nn.Sequential(
            *_double(LATENT, 128, stride=1, padding=0),
            *(layer for a, b in pairwise((128, 64, 32, 16)) for layer in _double(a, b)),
            *last,
            nn.Tanh(),
        )

    def forward(self, z: Float[Tensor, "b 25"]) -> Float[Tensor, "b c i j"]:
        """Return the slices of latents."""
        x: Tensor = self.net(z[:, :, None, None])
        return x


class Discriminator(nn.Module):
    """How real each patch of a slice is; 175,025 parameters, 13 x 13 patches of 256 x 256.

    Args:
        contrasts: Channels of a slice; its side is 64 pixels or more.
    """

    def __init__(self, contrasts: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(contrasts, 16, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            *(layer for a, b in pairwise((16, 32, 64, 128)) for layer in _halve(a, b)),
            nn.Conv2d(128, 1, 4),
            nn.Sigmoid(),
        )

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b 1 _ _"]:
        """Return the probability of each patch to be real."""
        p: Tensor = self.net(x)
        return p

    def features(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b 128 _ _"]:
        """Return what the last convolution sees: 16 x 16 of a slice of 256 x 256."""
        h: Tensor = self.net[:-2](x)
        return h

    def judged(self, features: Float[Tensor, "b 128 _ _"]) -> Float[Tensor, "b 1 _ _"]:
        """Return the log odds of each patch to be real."""
        logits: Tensor = self.net[-2](features)
        return logits


def _double(come: int, go: int, *, stride: int = 2, padding: int = 1) -> tuple[nn.Module, ...]:
    conv = nn.ConvTranspose2d(come, go, 4, stride=stride, padding=padding)
    return conv, nn.BatchNorm2d(go), nn.ReLU()


def _halve(come: int, go: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(come, go, 4, stride=2, padding=1)
    return conv, nn.BatchNorm2d(go), nn.LeakyReLU(SLOPE)
