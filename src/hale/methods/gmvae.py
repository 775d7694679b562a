"""Variational autoencoder with a spatial latent and a mixture of Gaussians as its prior.

Reference: Dilokthanakul et al. 2016, "Deep unsupervised clustering with Gaussian mixture
variational autoencoders", arXiv:1611.02648; You, Tezcan, Chen and Konukoglu 2019, "Unsupervised
lesion detection via image restoration with a normative prior", MIDL, PMLR 102:540-556. The layers
are those of the repository soumickmj/StRegA; what its code gets wrong is put right here.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge

from hale.core.method import State, Supervision, Training
from hale.core.run import Run
from hale.core.scan import Space
from hale.nets.mixture_vae import MixtureVAE
from hale.train.elbo import Elbo
from hale.train.variational import Variational, VariationalLessons


@dataclass(frozen=True, kw_only=True)
class GMVAE(VariationalLessons):
    """Reconstruct healthy axial slices from a map of clustered numbers; score the residual."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY

    width: Annotated[int, Ge(1)] = 64
    """Channels of every layer."""

    def fit(self, training: Training, run: Run) -> Variational:
        """Minimise the negative evidence lower bound of healthy slices."""
        torch.manual_seed(run.seed)
        own = self._network(training.space)
        self.teach(own, training, run, Elbo(self.beta))
        return self.taught(own, run)

    def restore(self, state: State, space: Space) -> Variational:
        """Rebuild the network and load its weights."""
        return self.loaded(self._network(space), state)

    def _network(self, space: Space) -> MixtureVAE:
        return MixtureVAE(len(space.slots), width=self.width)
