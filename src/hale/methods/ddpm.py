"""Denoising diffusion model with simplex noise, restoring a scan in a single pass.

Reference: Wyatt, Leach, Schmon and Willcocks 2022, "AnoDDPM: anomaly detection with denoising
diffusion probabilistic models using simplex noise", CVPR Workshops, DOI
10.1109/CVPRW56347.2022.00080; as the baseline of Behrendt et al. 2023, arXiv:2303.03758, and 2025,
DOI 10.1016/j.compbiomed.2025.109660.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from hale.core.method import State, Supervision, Training
from hale.core.run import Run
from hale.core.scan import Space
from hale.nets.state import load
from hale.train.denoiser import Denoiser, Noised
from hale.train.denoising import DenoisingLessons, posed
from hale.train.slices import Slices


@dataclass(frozen=True, kw_only=True)
class DDPM(DenoisingLessons):
    """Restore noised healthy axial slices; score the residual of scans that are noised once."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY

    def fit(self, training: Training, run: Run) -> Denoiser:
        """Minimise the L1 error of what the network says of noised healthy slices."""
        torch.manual_seed(run.seed)
        own = self.unet(training.space)
        self.teach(own, training, run, self.loss)
        return self.detector(own, at_once, run)

    def restore(self, state: State, space: Space) -> Denoiser:
        """Rebuild the network and load its weights."""
        net = self.unet(space)
        load(net, state)
        return self.detector(net, at_once)

    def loss(self, net: nn.Module, slices: Slices, draw: Generator) -> Float[Tensor, ""]:
        """Return the error on slices noised to levels drawn at random, intensities -1 to 1."""
        task = posed(slices, self, draw, training=net.training)
        out: Tensor = net(task.noised.x_t, task.noised.t)
        return (out - task.target).abs().mean()


def at_once(net: nn.Module, x: Float[Tensor, "b c i j"], noised: Sequence[Noised]) -> list[Tensor]:
    """Return what the U-Net says of whole slices, a pass for each level."""
    return [net(one.x_t, one.t) for one in noised]
