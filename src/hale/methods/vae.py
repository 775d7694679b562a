"""Variational autoencoder with a dense latent.

Reference: Baur, Denner, Wiestler, Navab and Albarqouni 2021, "Autoencoders for unsupervised
anomaly segmentation in brain MR images: a comparative study", Medical Image Analysis 69:101952,
DOI 10.1016/j.media.2020.101952, arXiv:2004.03271.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Lt

from hale.core.method import State, Supervision, Training
from hale.core.run import Run
from hale.core.scan import Space
from hale.nets.autoencoder import VariationalAutoEncoder
from hale.train.elbo import Elbo
from hale.train.variational import Variational, VariationalLessons


@dataclass(frozen=True, kw_only=True)
class VAE(VariationalLessons):
    """Reconstruct healthy axial slices through a Gaussian bottleneck; score the residual."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY

    latent: Annotated[int, Ge(1)] = 128
    """Numbers in the bottleneck."""
    width: Annotated[int, Ge(2)] = 32
    """Channels after the first halving of a slice; they double up to four times as many."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the latent, and of what is built from it, that training drops."""

    def fit(self, training: Training, run: Run) -> Variational:
        """Minimise the negative evidence lower bound of healthy slices."""
        torch.manual_seed(run.seed)
        own = self._network(training.space)
        self.teach(own, training, run, Elbo(self.beta))
        return self.taught(own, run)

    def restore(self, state: State, space: Space) -> Variational:
        """Rebuild the network and load its weights."""
        return self.loaded(self._network(space), state)

    def _network(self, space: Space) -> VariationalAutoEncoder:
        i, j, _ = space.grid.shape
        return VariationalAutoEncoder(
            len(space.slots), (i, j), latent=self.latent, width=self.width, dropout=self.dropout
        )
