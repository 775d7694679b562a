"""Convolutional autoencoder with additive skips. It can copy its input, lesions included.

Reference: the Skip AE of Chatterjee et al. 2022, "StRegA: unsupervised anomaly detection in brain
MRIs using a compact context-encoding variational autoencoder", Computers in Biology and Medicine
149:106093, DOI 10.1016/j.compbiomed.2022.106093, in the repository soumickmj/StRegA.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Lt

from hale.core.method import State, Supervision, Training
from hale.core.run import Run
from hale.core.scan import Space
from hale.nets.skip_autoencoder import Head, SkipAutoEncoder
from hale.nets.state import load
from hale.train.learn import Lessons, mean_l1
from hale.train.residual import Residual


@dataclass(frozen=True, kw_only=True)
class SkipAE(Lessons):
    """Reconstruct healthy axial slices with skips at every level; score the residual."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY

    width: Annotated[int, Ge(1)] = 64
    """Channels of the finest level; they double up to eight times as many."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    """Share that training drops after the last three sums."""
    head: Head = Head.LINEAR
    """What the network ends with."""

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

    def _network(self, space: Space) -> SkipAutoEncoder:
        return SkipAutoEncoder(
            len(space.slots), width=self.width, dropout=self.dropout, head=self.head
        )
