"""The two convolutional autoencoders for single scans, without a dense latent.

Reference: the public code github.com/ApurvaMayank-iitb/24D0894_IE643_NIFTI (no paper).
"""

from enum import StrEnum
from itertools import pairwise
from math import sqrt
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn


class Layout(StrEnum):
    """Which of the two."""

    WIDE = "A"
    """Halves twice; its code holds four times more numbers than the slice: it can copy."""
    DEEP = "B"
    """Halves four times: 16 x 16 of a slice of 256 x 256."""


class ScanAutoEncoder(nn.Module):
    """From a slice to a slice in [0, 1]; 27,169 (A) or 775,425 (B) parameters.

    Args:
        contrasts: Channels of a slice, whose side is a multiple of 16.
        layout: Which of the two.
        dropout: Share of the code that training drops.
    """

    def __init__(
        self, contrasts: int, *, layout: Layout = Layout.DEEP, dropout: float = 0.0
    ) -> None:
        super().__init__()
        build = _wide if layout is Layout.WIDE else _deep
        self.encoder, self.decoder = build(contrasts)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """Return x_hat."""
        x_hat: Tensor = self.decoder(self.drop(self.encoder(x)))
        return x_hat


def _wide(contrasts: int) -> tuple[nn.Sequential, nn.Sequential]:
    encoder: list[nn.Module] = []
    for a, b in pairwise((contrasts, 32, 64)):
        encoder += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    decoder = (
        nn.ConvTranspose2d(64, 32, 2, stride=2),
        nn.ReLU(),
        nn.ConvTranspose2d(32, contrasts, 2, stride=2),
        nn.Sigmoid(),
    )
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


def _deep(contrasts: int) -> tuple[nn.Sequential, nn.Sequential]:
    widths = (32, 64, 128, 256)
    encoder: list[nn.Module] = []
    for a, b in pairwise((contrasts, *widths)):
        encoder += [_started(nn.Conv2d(a, b, 3, stride=2, padding=1), 9.0 * a), nn.ReLU()]
    decoder: list[nn.Module] = []
    for a, b in pairwise((*widths[::-1], contrasts)):
        conv = nn.ConvTranspose2d(a, b, 3, stride=2, padding=1, output_padding=1)
        decoder += [_started(conv, 9.0 * a / 4), nn.ReLU()]  # a quarter of the taps meet a pixel
    return nn.Sequential(*encoder), nn.Sequential(*decoder[:-1], nn.Sigmoid())


def _started(conv: nn.Conv2d | nn.ConvTranspose2d, taps: float) -> nn.Module:
    """Set initial weights that keep the spread through ReLUs.

    torch's own lose it: eight layers without norms then return one grey value for the first hundred
    steps. He et al. 2015, arXiv:1502.01852, equation 10.
    """
    nn.init.normal_(conv.weight, std=sqrt(2 / taps))
    nn.init.zeros_(cast("Tensor", conv.bias))
    return conv
