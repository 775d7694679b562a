"""Convolutional autoencoder trained on the scan itself: what the rest does not explain stands out.

Reference: https://github.com/ApurvaMayank-iitb/24D0894_IE643_NIFTI, a course project without a
paper; its autoencoders, trained and scored as its README describes and its code does not.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Lt
from jaxtyping import Float
from torch import Generator, Tensor

from hale.core.method import State, Supervision, Training, refuse_foreign_state
from hale.core.run import Run
from hale.core.scan import Space
from hale.nets.blocks import to_channels_last
from hale.nets.scan_autoencoder import Layout, ScanAutoEncoder
from hale.train.per_scan import PerScan, fastest
from hale.train.single_scan import Place, ScanLessons


@dataclass(frozen=True, kw_only=True)
class ConvAEScan(ScanLessons):
    """Learns to reconstruct the slices of one scan; scores slabs that it did not learn from."""

    supervision: ClassVar[Supervision] = Supervision.NONE

    network: Layout = Layout.DEEP
    """Which of the two published networks."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    """Share of the code that training drops."""
    lr: Annotated[float, Gt(0)] = 1e-3
    """Learning rate of Adam."""

    def fit(self, training: Training, run: Run) -> PerScan:
        """Learn nothing yet."""
        return PerScan(lessons=self, device=run.device, precision=run.precision, seed=run.seed)

    def restore(self, state: State, space: Space) -> PerScan:
        """Return the detector, which learns when it is given a scan."""
        refuse_foreign_state(state, {})
        return PerScan(lessons=self)

    def pupil(self, contrasts: int, place: Place) -> "Autoencoding":
        """Return a fresh network and its optimiser."""
        net = ScanAutoEncoder(contrasts, layout=self.network, dropout=self.dropout)
        return Autoencoding(net, lr=self.lr, batch=self.batch, place=place)


class Autoencoding:
    """Minimises the squared error of reconstructed slices."""

    def __init__(self, net: ScanAutoEncoder, *, lr: float, batch: int, place: Place) -> None:
        self.net = to_channels_last(net, place.device)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=lr)
        self.batch, self.place = batch, place

    def learn(self, x: Float[Tensor, "b c s s"], draw: Generator) -> None:
        """Do one step."""
        x = self.place.put(x)
        with self.place.arithmetic():
            loss = F.mse_loss(self.net.train()(x), x)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()

    def look(self, x: Float[Tensor, "n c s s"]) -> float:
        """Return the squared error, mean over pixels."""
        return float(F.mse_loss(self._reconstructed(x), x))

    def restored(self, x: Float[Tensor, "n c s s"], draw: Generator) -> Float[Tensor, "n c s s"]:
        """Return x_hat; nothing is drawn."""
        return self._reconstructed(x)

    def seconds_to_restore(self, x: Float[Tensor, "n c s s"]) -> float:
        """Return how long `restored` takes, from one slice."""
        return len(x) * fastest(lambda: self._reconstructed(x[:1]))

    @torch.inference_mode()
    def _reconstructed(self, x: Float[Tensor, "n c s s"]) -> Float[Tensor, "n c s s"]:
        self.net.eval()
        with self.place.arithmetic():
            parts = [self.net(self.place.put(part)).float().cpu() for part in x.split(self.batch)]
        return torch.cat(parts)
