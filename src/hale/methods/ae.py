"""Convolutional autoencoder with a dense latent: what does not pass the bottleneck is abnormal.

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
from hale.nets.autoencoder import AutoEncoder
from hale.nets.state import load
from hale.train.learn import Lessons, mean_l1
from hale.train.residual import Residual


@dataclass(frozen=True, kw_only=True)
class AE(Lessons):
    """Reconstruct healthy axial slices through a bottleneck; score the residual |x - x_hat|."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY

    latent: Annotated[int, Ge(1)] = 128
    """Numbers in the bottleneck."""
    width: Annotated[int, Ge(2)] = 32
    """Channels after the first halving of a slice; they double up to four times as many."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the latent, and of what is built from it, that training drops."""

    def fit(self, training: Training, run: Run) -> Residual:
        """Minimise the mean absolute reconstruction error of healthy slices."""
        torch.manual_seed(run.seed)
        own = self._network(training.space)
        self.teach(own, training, run, mean_l1)
        return Residual(net=own, device=run.device, precision=run.precision)

    def restore(self, state: State, space: Space) -> Residual:
        """Rebuild the network and load its weights."""
        net = self._network(space)
        load(net, state)
        return Residual(net=net)

    def _network(self, space: Space) -> AutoEncoder:
        i, j, _ = space.grid.shape
        return AutoEncoder(
            len(space.slots), (i, j), latent=self.latent, width=self.width, dropout=self.dropout
        )
