"""Variational autoencoder with a spatial latent and a mixture of Gaussians as its prior.

References: Dilokthanakul et al. 2016, "Deep unsupervised clustering with Gaussian mixture
variational autoencoders", arXiv:1611.02648; You, Tezcan, Chen and Konukoglu 2019, "Unsupervised
lesion detection via image restoration with a normative prior", MIDL, PMLR 102:540-556; the layers
are those of the GMVAE in the repository soumickmj/StRegA.
"""

from math import log, pi

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from hale.nets.blocks import padded
from hale.nets.latent import Passed, divergence, drawn

CLUSTERS = 9
FREE = 0.5
"""Nats of the cluster prior, per position, that cost the same however few are spent."""


class MixtureVAE(nn.Module):
    """One latent number z per 4 x 4 pixels, whose prior is a mixture that a second one, w, sets.

    Args:
        contrasts: Channels of a slice.
        width: Channels of every layer between.
    """

    multiple = 4

    def __init__(self, contrasts: int, *, width: int = 64) -> None:
        super().__init__()
        strides = [2, 1, 1, 2, 1, 1]
        come = [contrasts, *[width] * 5]
        down = [
            nn.Sequential(nn.Conv2d(c, width, 3, stride=s, padding=1), nn.ReLU())
            for c, s in zip(come, strides, strict=True)
        ]
        self.encode = nn.Sequential(*down)
        self.heads = nn.Conv2d(width, 4, 1)  # mean and log-variance of w, then of z
        self.prior = nn.Sequential(nn.Conv2d(1, width, 1), nn.ReLU())
        self.prior_heads = nn.Conv2d(width, 2 * CLUSTERS, 1)  # means, then log inverse variances
        self.decode = nn.Sequential(
            *_stage(1, width), *_stage(width, width), _conv(width, width), nn.ReLU(),
            _conv(width, contrasts),
        )  # fmt: skip

    def forward(self, x: Float[Tensor, "b c i j"], draw: Generator | None = None) -> Passed:
        """Return x_hat, of a sample of the latent or, without ``draw``, of its mean."""
        heads = self.heads(self.encode(padded(x, self.multiple))).float()
        w_mu, w_log_variance, z_mu, z_log_variance = heads.split(1, dim=1)  # each b 1 p q
        w = drawn(w_mu, w_log_variance / 2, draw)
        z = drawn(z_mu, z_log_variance / 2, draw)
        mean, log_inverse = self.prior_heads(self.prior(w)).float().split(CLUSTERS, dim=1)
        log_inverse = log_inverse + 0.1
        p = responsibilities(z, mean, log_inverse)
        paid = (
            conditional_prior(p, z_mu, z_log_variance, mean, log_inverse)
            + divergence(w_mu, w_log_variance / 2)
            + cluster_prior(p)
        )
        i, j = x.shape[-2:]
        x_hat: Tensor = self.decode(z)
        return Passed(x_hat[..., :i, :j], paid.sum((1, 2, 3)))


def responsibilities(
    z: Float[Tensor, "b 1 p q"],
    mean: Float[Tensor, "b k p q"],
    log_inverse: Float[Tensor, "b k p q"],
) -> Float[Tensor, "b k p q"]:
    """Return the share of each component in each ``z``: softmax of its log density there.

    Args:
        z: Latent numbers.
        mean: Of each component.
        log_inverse: Log of each component's inverse variance.
    """
    squared = (z - mean).square()
    log_density = (log_inverse - squared * log_inverse.exp() - log(2 * pi)) / 2
    return torch.softmax(log_density, dim=1)


def conditional_prior(
    p: Float[Tensor, "b k p q"],
    mu: Float[Tensor, "b 1 p q"],
    log_variance: Float[Tensor, "b 1 p q"],
    mean: Float[Tensor, "b k p q"],
    log_inverse: Float[Tensor, "b k p q"],
) -> Float[Tensor, "b 1 p q"]:
    """Return sum_k p_k KL(N(mu, variance) || component k), nats."""
    spread = (log_variance.exp() + (mu - mean).square()) * log_inverse.exp()
    kl = (spread - log_inverse - log_variance - 1) / 2
    return (p * kl).sum(1, keepdim=True)


def cluster_prior(p: Float[Tensor, "b k p q"]) -> Float[Tensor, "b 1 p q"]:
    """Return KL of the shares ``p`` from equal ones, but at least `FREE`, nats."""
    relative = p.shape[1] * p.clamp(min=1e-30)  # the logarithm of 0 has no gradient
    return (p * relative.log()).sum(1, keepdim=True).clamp(min=FREE)


def _conv(come: int, go: int) -> nn.Conv2d:
    return nn.Conv2d(come, go, 3, padding=1)


def _stage(come: int, go: int) -> list[nn.Module]:
    """Return a convolution, two transposed ones, and a doubling of the size."""
    transposed = [nn.ConvTranspose2d(go, go, 3, padding=1) for _ in range(2)]
    relus = (layer for conv in (_conv(come, go), *transposed) for layer in (conv, nn.ReLU()))
    return [*relus, nn.Upsample(scale_factor=2)]
