"""Convolutional autoencoders with a dense latent, plain and variational.

Reference: the unified network of Baur et al. 2021, "Autoencoders for unsupervised anomaly
segmentation in brain MR images: a comparative study", Medical Image Analysis 69:101952,
DOI 10.1016/j.media.2020.101952, arXiv:2004.03271.
"""

from itertools import pairwise
from math import log2

from jaxtyping import Float
from torch import Generator, Tensor, nn

from hale.nets.blocks import doubling, halving, padded
from hale.nets.latent import Passed, divergence, drawn


class Sizes:
    """Sizes of the unified network for a slice of a given size.

    Args:
        contrasts: Channels of a slice.
        plane: Its size, pixels; bound by the dense layers. 96 x 96 is halved three times
            (12 x 12), 128 x 128 four times (8 x 8).
        width: Channels after the first halving; they double up to four times as many.
    """

    def __init__(self, contrasts: int, plane: tuple[int, int], width: int) -> None:
        halvings = max(1, int(log2(max(plane)) - log2(8)))
        self.multiple = 2**halvings
        i, j = (-(-side // self.multiple) for side in plane)  # of the bottleneck: rounded up
        self.bottleneck = (width // 2, i, j)
        self.flat = (width // 2) * i * j
        self.down = [contrasts, *(min(4, 2**n) * width for n in range(halvings))]
        self.up = [self.down[-1], *(max(width, 4 * width // 2**n) for n in range(halvings))]


class AutoEncoder(nn.Module):
    """Halve a slice to about 8 x 8, squeeze it through ``latent`` numbers, and build it again.

    Args:
        contrasts: Channels of a slice.
        plane: Its size, pixels.
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
        sizes = Sizes(contrasts, plane, width)
        self.multiple = sizes.multiple
        self.encode = nn.Sequential(
            *features(sizes), nn.Linear(sizes.flat, latent), nn.Dropout(dropout)
        )
        self.decode = decoder(sizes, latent, dropout)

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """Return x_hat."""
        i, j = x.shape[-2:]
        x_hat: Tensor = self.decode(self.encode(padded(x, self.multiple)))
        return x_hat[..., :i, :j]


class VariationalAutoEncoder(nn.Module):
    """The autoencoder with a Gaussian in its bottleneck: one dense head for mu, one for log sigma.

    Args:
        contrasts: Channels of a slice.
        plane: Its size, pixels.
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
        sizes = Sizes(contrasts, plane, width)
        self.multiple = sizes.multiple
        self.features = nn.Sequential(*features(sizes))
        self.mu = nn.Linear(sizes.flat, latent)
        self.log_sigma = nn.Linear(sizes.flat, latent)
        self.drop = nn.Dropout(dropout)
        self.decode = decoder(sizes, latent, dropout)

    def forward(self, x: Float[Tensor, "b c i j"], draw: Generator | None = None) -> Passed:
        """Return x_hat, of a sample of the latent or, without ``draw``, of its mean."""
        mu, log_sigma = self.posterior(x)
        x_hat: Tensor = self.decode(self.drop(drawn(mu, log_sigma, draw)))
        i, j = x.shape[-2:]
        return Passed(x_hat[..., :i, :j], divergence(mu, log_sigma).sum(1))

    def posterior(
        self, x: Float[Tensor, "b c i j"]
    ) -> tuple[Float[Tensor, "b z"], Float[Tensor, "b z"]]:
        """Return mu and log sigma of the latent of each slice, in float32."""
        h = self.features(padded(x, self.multiple))
        return self.mu(h).float(), self.log_sigma(h).float()


def features(sizes: Sizes) -> list[nn.Module]:
    """Return the layers from a padded slice to the flat bottleneck."""
    halve = [halving(a, b, nn.BatchNorm2d(b)) for a, b in pairwise(sizes.down)]
    return [*halve, nn.Conv2d(sizes.down[-1], sizes.bottleneck[0], 1), nn.Flatten()]


def decoder(sizes: Sizes, latent: int, dropout: float = 0.0) -> nn.Sequential:
    """Return the layers from the latent to a padded slice."""
    return nn.Sequential(
        nn.Linear(latent, sizes.flat),
        nn.Dropout(dropout),
        nn.Unflatten(1, sizes.bottleneck),
        nn.Conv2d(sizes.bottleneck[0], sizes.down[-1], 1),
        nn.BatchNorm2d(sizes.down[-1]),
        nn.ReLU(),
        *(doubling(a, b, nn.BatchNorm2d(b)) for a, b in pairwise(sizes.up)),
        nn.Conv2d(sizes.up[-1], sizes.down[0], 1),
    )
