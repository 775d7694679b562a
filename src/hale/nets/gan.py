"""Generator, critic and encoder of f-AnoGAN.

References: Schlegl et al. 2019, "f-AnoGAN: Fast unsupervised anomaly detection with generative
adversarial networks", Medical Image Analysis 54:30, DOI 10.1016/j.media.2019.01.010; layers after
Baur et al. 2021, DOI 10.1016/j.media.2020.101952, arXiv:2004.03271, and their public code.
"""

from jaxtyping import Float
from torch import Tensor, nn

from hale.nets.blocks import doubling, halving, padded

MULTIPLE = 8
"""Three halvings: 96 x 96 becomes 12 x 12, 128 x 128 becomes 16 x 16."""

Plane = tuple[int, int]


class SpatialNorm(nn.LayerNorm):
    """Each channel of each slice to mean 0 and spread 1, then a gain and an offset per pixel.

    Unlike BatchNorm it does not mix slices, which the gradient penalty could not bear. The 1e-3
    added to the variance is the default of Keras.
    """

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane, eps=1e-3)


class Generator(nn.Sequential):
    """Makes slices with intensities from 0 to 1 out of ``latent`` numbers.

    Args:
        contrasts: Channels of a slice.
        plane: Its size, pixels, multiples of `MULTIPLE`; bound by the dense layer and the norms.
        latent: Numbers that a slice is made of.
        width: Channels of the finest level; the coarsest of three has four times as many.
        dropout: Share of what the dense layer returns that training drops.
    """

    def __init__(
        self, contrasts: int, plane: Plane, *, latent: int, width: int, dropout: float = 0.0
    ) -> None:
        i, j = _halved(plane, 3)
        super().__init__(
            nn.Linear(latent, width // 2 * i * j),
            nn.Dropout(dropout),
            nn.Unflatten(1, (width // 2, i, j)),
            nn.Conv2d(width // 2, 4 * width, 1),
            SpatialNorm((i, j)),
            nn.ReLU(),
            doubling(4 * width, 4 * width, SpatialNorm(_halved(plane, 2))),
            doubling(4 * width, 2 * width, SpatialNorm(_halved(plane, 1))),
            doubling(2 * width, width, SpatialNorm(plane)),
            nn.Conv2d(width, contrasts, 1),
            nn.Sigmoid(),
        )


class Critic(nn.Module):
    """Says how real each patch of a slice looks, higher for real; arguments as of `Generator`."""

    def __init__(self, contrasts: int, plane: Plane, *, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            halving(contrasts, width, SpatialNorm(_halved(plane, 1))),
            halving(width, 2 * width, SpatialNorm(_halved(plane, 2))),
            halving(2 * width, 4 * width, SpatialNorm(_halved(plane, 3))),
        )
        self.head = nn.Conv2d(4 * width, 1, 1)

    def patches(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b 1 u v"]:
        """Return a score for each position of the coarsest level."""
        scores: Tensor = self.head(self.features(x))
        return scores

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, " b"]:
        """Return the mean score of each slice."""
        return self.patches(x).mean((1, 2, 3))


class LatentEncoder(nn.Sequential):
    """Finds numbers from -1 to 1 that a `Generator` makes a slice out of; arguments as of it."""

    def __init__(
        self, contrasts: int, plane: Plane, *, latent: int, width: int, dropout: float = 0.0
    ) -> None:
        i, j = _halved(plane, 3)
        super().__init__(
            halving(contrasts, width, nn.BatchNorm2d(width)),
            halving(width, 2 * width, nn.BatchNorm2d(2 * width)),
            halving(2 * width, 4 * width, nn.BatchNorm2d(4 * width)),
            nn.Conv2d(4 * width, width // 2, 1),
            nn.Flatten(),
            nn.Linear(width // 2 * i * j, latent),
            nn.Dropout(dropout),
            nn.Tanh(),
        )


class Restorer(nn.Module):
    """Maps a slice of any size to the generator's slice that the encoder finds for it."""

    def __init__(self, encode: LatentEncoder, generate: Generator) -> None:
        super().__init__()
        self.encode = encode
        self.generate = generate

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """Return G(E(x))."""
        i, j = x.shape[-2:]
        x_hat: Tensor = self.generate(self.encode(padded(x, MULTIPLE)))
        return x_hat[..., :i, :j]


def _halved(plane: Plane, times: int) -> Plane:
    i, j = plane
    return i >> times, j >> times
