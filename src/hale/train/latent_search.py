"""The latent whose generated slice is closest to a given one.

Reference: Schlegl et al. 2017, "Unsupervised anomaly detection with generative adversarial networks
to guide marker discovery", IPMI, arXiv:1703.05921, equations 2 to 4, with feature matching.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Maps = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Search:
    """How latents are looked for. The networks are frozen and in evaluation mode."""

    generate: Maps
    """Latents to slices."""
    features: Maps
    """Slices to what the discriminator's last convolution sees."""
    steps: int
    lr: float
    """Of Adam."""
    weight: float
    """Of the features' difference; the slices' has one minus it."""

    def objective(
        self,
        z: Float[Tensor, "b d"],
        x: Float[Tensor, "b c s s"],
        f: Float[Tensor, "b k u v"],
    ) -> Float[Tensor, " b"]:
        """Return (1 - a) sum |x - G(z)| + a sum |f(x) - f(G(z))| of each slice."""
        g = self.generate(z)
        residual = (x - g).abs().flatten(1).sum(1)
        apart = (f - self.features(g)).abs().flatten(1).sum(1)
        return (1 - self.weight) * residual + self.weight * apart

    def closest(
        self, x: Float[Tensor, "b c s s"], z0: Float[Tensor, "r b d"]
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, " b"]]:
        """Return the best latent of each slice over restarts, and its objective.

        All are one batch; as each has a loss of its own, they do not influence each other.

        Args:
            x: Slices as the generator makes them, in [-1, 1].
            z0: Where to start, per restart.
        """
        restarts, count, _ = z0.shape
        z = z0.flatten(0, 1).clone().requires_grad_()
        slices = x.repeat(restarts, 1, 1, 1)
        with torch.no_grad():
            f = self.features(x).repeat(restarts, 1, 1, 1)
        adam = torch.optim.Adam([z], lr=self.lr)
        for _ in range(self.steps):
            total = self.objective(z, slices, f).sum()
            (z.grad,) = torch.autograd.grad(total, [z])
            adam.step()
        with torch.no_grad():
            found = self.objective(z, slices, f).view(restarts, count)
        best = found.argmin(0)
        every = torch.arange(count, device=best.device)
        return z.detach().view(restarts, count, -1)[best, every], found[best, every]
