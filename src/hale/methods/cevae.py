"""Context-encoding variational autoencoder: it learns to fill holes too.

Reference: Zimmerer, Kohl, Petersen, Isensee and Maier-Hein 2018, "Context-encoding variational
autoencoder for unsupervised anomaly detection", arXiv:1812.05941; network and squares of Baur et
al. 2021, Medical Image Analysis 69:101952, DOI 10.1016/j.media.2020.101952.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Le, Lt
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from hale.core.method import State, Supervision, Training
from hale.core.run import Run
from hale.core.scan import Space
from hale.nets.autoencoder import VariationalAutoEncoder
from hale.train.elbo import negative_elbo
from hale.train.slices import Slices
from hale.train.variational import Variational, VariationalLessons

MOST = 3
"""Squares cut out of a slice; 1 at least."""


class Target(StrEnum):
    """What is to come out of a slice with holes."""

    CLEAN = "clean"
    """The slice without them."""
    CORRUPTED = "corrupted"
    """The slice with them, as in the public code of Baur et al.: no filling is learnt."""


@dataclass(frozen=True, kw_only=True)
class CEVAE(VariationalLessons):
    """Reconstruct healthy axial slices through a Gaussian bottleneck, and fill holes in them."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY

    latent: Annotated[int, Ge(1)] = 128
    """Numbers in the bottleneck."""
    width: Annotated[int, Ge(2)] = 32
    """Channels after the first halving of a slice; they double up to four times as many."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the latent, and of what is built from it, that training drops."""
    edge: Annotated[int, Ge(1)] = 15
    """Of the one to three squares that are set to 0 inside the box of the brain, pixels."""
    share: Annotated[float, Ge(0), Le(1)] = 0.5
    """Of the loss that filling has. At 0.5 it is half the plain sum, which Adam does not mind."""
    target: Target = Target.CLEAN
    """What is to come out of a slice with holes."""

    def fit(self, training: Training, run: Run) -> Variational:
        """Minimise the negative evidence lower bound, and the error of filled slices."""
        torch.manual_seed(run.seed)
        own = self._network(training.space)
        self.teach(own, training, run, self.loss)
        return self.taught(own, run)

    def restore(self, state: State, space: Space) -> Variational:
        """Rebuild the network and load its weights."""
        return self.loaded(self._network(space), state)

    def loss(self, net: nn.Module, slices: Slices, draw: Generator) -> Float[Tensor, ""]:
        """Return (1 - share) times the negative ELBO plus share times the error of filling."""
        x = slices.x
        holes = squares(slices.brain.cpu(), edge=self.edge, draw=draw).to(x.device)
        elbo = negative_elbo(net(x, draw if net.training else None), x, self.beta).mean()
        filling = filling_error(net(x * ~holes).x_hat, x, holes, self.target)
        return (1 - self.share) * elbo + self.share * filling

    def _network(self, space: Space) -> VariationalAutoEncoder:
        i, j, _ = space.grid.shape
        return VariationalAutoEncoder(
            len(space.slots), (i, j), latent=self.latent, width=self.width, dropout=self.dropout
        )


def squares(
    brain: Bool[Tensor, "b 1 i j"], *, edge: int, draw: Generator
) -> Bool[Tensor, "b 1 i j"]:
    """Return one to three squares per slice, each within the box of its brain if that holds it.

    Args:
        brain: On the CPU.
        edge: Of the squares, pixels.
        draw: Decides how many and where.
    """
    count = torch.randint(1, MOST + 1, (len(brain), 1), generator=draw)
    rows, columns = (_spans(brain.any(axis).squeeze(1), edge=edge, draw=draw) for axis in (-1, -2))
    used = (torch.arange(MOST) < count)[..., None, None]
    return (used & rows[..., :, None] & columns[..., None, :]).any(1, keepdim=True)


def _spans(
    extent: Bool[Tensor, "b n"], *, edge: int, draw: Generator
) -> Bool[Tensor, "b squares n"]:
    """Return where along one axis each square is."""
    n = extent.shape[1]
    first = extent.int().argmax(1, keepdim=True)
    last = n - 1 - extent.flip(1).int().argmax(1, keepdim=True)
    room = (last - first + 2 - edge).clamp(min=1)
    start = first + (torch.rand(len(extent), MOST, generator=draw) * room).int()
    beyond = torch.arange(n) - start[..., None]
    return (beyond >= 0) & (beyond < edge)


def filling_error(
    x_hat: Float[Tensor, "b c i j"],
    x: Float[Tensor, "b c i j"],
    holes: Bool[Tensor, "b 1 i j"],
    target: Target = Target.CLEAN,
) -> Float[Tensor, ""]:
    """Return the L1 error of what was made of ``x`` with holes: sum over pixels, mean of slices."""
    wanted = x if target is Target.CLEAN else x * ~holes
    return (x_hat - wanted).abs().sum((1, 2, 3)).mean()
