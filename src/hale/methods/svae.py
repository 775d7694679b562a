"""Sequential variational autoencoder: slices restored with their neighbours in mind.

Not the published network: the layer sizes of Behrendt et al. are not published, so this is a
variant of our own, and its figures say nothing about theirs.

Reference: Behrendt, Bengs, Bhattacharya, Krüger, Opfer and Schlaefer 2022, "Capturing inter-slice
dependencies of 3D brain MRI-scans for unsupervised anomaly detection", MIDL,
https://openreview.net/forum?id=db8wDgKH4p4
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from jaxtyping import Float
from torch import Generator, Tensor, nn

from hale.core.method import State, Supervision, Training
from hale.core.run import Run
from hale.core.scan import Scan, Space
from hale.nets.sequential_vae import SequentialVAE
from hale.train.elbo import negative_elbo
from hale.train.slices import Slices
from hale.train.variational import Variational, VariationalLessons
from hale.train.windows import Windows, windows


@dataclass(frozen=True, kw_only=True)
class SVAE(VariationalLessons):
    """Reconstruct healthy slices with their neighbours' help; not the published network."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY

    latent: Annotated[int, Ge(1)] = 128
    """Numbers in the bottleneck of a slice, and in the memory of each direction."""
    width: Annotated[int, Ge(2)] = 32
    """Channels after the first halving of a slice; they double up to four times as many."""
    length: Annotated[int, Ge(1)] = 8
    """Neighbouring slices that training shows at once; a scan is restored as one sequence."""
    batch: Annotated[int, Ge(1)] = 4
    """Such windows per step."""
    validate_slices: Annotated[int, Ge(1)] = 256
    """Such windows of held-out scans looked at, at most; always the same."""

    def material(self, scans: Sequence[Scan]) -> Windows:
        """Return what is drawn from ``scans``: windows of neighbouring slices."""
        return windows(scans, self.length)

    def fit(self, training: Training, run: Run) -> Variational:
        """Minimise the negative evidence lower bound of healthy slices."""
        torch.manual_seed(run.seed)
        own = self._network(training.space)
        self.teach(own, training, run, self.loss)
        return self.taught(own, run, whole=True)

    def restore(self, state: State, space: Space) -> Variational:
        """Rebuild the network and load its weights."""
        return self.loaded(self._network(space), state, whole=True)

    def loss(self, net: nn.Module, slices: Slices, draw: Generator) -> Float[Tensor, ""]:
        """Return the negative evidence lower bound, mean over slices."""
        passed = net(slices.x, draw if net.training else None, length=self.length)
        return negative_elbo(passed, slices.x, self.beta).mean()

    def _network(self, space: Space) -> SequentialVAE:
        i, j, _ = space.grid.shape
        return SequentialVAE(len(space.slots), (i, j), latent=self.latent, width=self.width)
