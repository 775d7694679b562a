"""Variational autoencoder whose slices know their neighbours. Not the published network.

The idea is that of Behrendt et al. 2022, "Capturing inter-slice dependencies of 3D brain MRI-scans
for unsupervised anomaly detection", MIDL, https://openreview.net/forum?id=db8wDgKH4p4, whose layer
sizes are not published; encoder and decoder are those of Baur et al. 2021,
DOI 10.1016/j.media.2020.101952.
"""

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from hale.nets.autoencoder import Sizes, decoder, features
from hale.nets.blocks import padded
from hale.nets.latent import Passed, divergence, drawn


class SequentialVAE(nn.Module):
    """The dense autoencoder with a recurrent layer over the latents of neighbouring slices.

    Args:
        contrasts: Channels of a slice.
        plane: Its size, pixels.
        latent: Numbers in the bottleneck of a slice, and in each direction's memory.
        width: Channels after the first halving; they double up to four times as many.
    """

    def __init__(
        self, contrasts: int, plane: tuple[int, int], *, latent: int = 128, width: int = 32
    ) -> None:
        super().__init__()
        sizes = Sizes(contrasts, plane, width)
        self.multiple = sizes.multiple
        self.features = nn.Sequential(*features(sizes), nn.Linear(sizes.flat, latent))
        self.neighbours = nn.GRU(latent, latent, batch_first=True, bidirectional=True)
        self.mu = nn.Linear(2 * latent, latent)
        self.log_sigma = nn.Linear(2 * latent, latent)
        self.decode = decoder(sizes, latent)

    def forward(
        self,
        x: Float[Tensor, "b c i j"],
        draw: Generator | None = None,
        *,
        length: int | None = None,
    ) -> Passed:
        """Return x_hat, of a sample of the latent or, without ``draw``, of its mean.

        Args:
            x: Neighbouring slices, in order.
            draw: Of the sample; on the CPU.
            length: After so many slices another sequence begins; None: there is one.
        """
        h = self.features(padded(x, self.multiple))
        h = self._remembered(h.unflatten(0, (-1, length or len(h)))).flatten(0, 1)
        mu, log_sigma = self.mu(h).float(), self.log_sigma(h).float()
        x_hat: Tensor = self.decode(drawn(mu, log_sigma, draw))
        i, j = x.shape[-2:]
        return Passed(x_hat[..., :i, :j], divergence(mu, log_sigma).sum(1))

    def _remembered(self, h: Float[Tensor, "n length z"]) -> Float[Tensor, "n length both"]:
        """Return the memory of both directions; cuDNN has no gradient of it but while learning."""
        if self.training:
            memory, _ = self.neighbours(h)
        else:
            with torch.backends.cudnn.flags(enabled=False):
                memory, _ = self.neighbours(h)
        both: Tensor = memory
        return both
