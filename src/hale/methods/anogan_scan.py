"""AnoGAN trained on the scan itself: slices are compared with the closest that it can generate.

Reference: Schlegl, Seeböck, Waldstein, Schmidt-Erfurth and Langs 2017, "Unsupervised anomaly
detection with generative adversarial networks to guide marker discovery", IPMI, arXiv:1703.05921;
networks of github.com/ApurvaMayank-iitb/24D0894_IE643_NIFTI.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from jaxtyping import Float
from torch import Generator as Draw
from torch import Tensor, nn
from torch.optim import Optimizer

from hale.core.method import State, Supervision, Training, refuse_foreign_state
from hale.core.run import Run
from hale.core.scan import Space
from hale.nets.blocks import to_channels_last
from hale.nets.scan_gan import LATENT, Discriminator, Generator, Head
from hale.train.latent_search import Search
from hale.train.per_scan import PerScan, fastest
from hale.train.single_scan import Place, ScanLessons

TOGETHER = 16
"""Latents that are searched for at once: more are no faster, only larger."""
GLANCE = 50
"""Steps of the search that the watched slices get."""
BETAS = (0.5, 0.999)
"""Of Adam, in training."""


@dataclass(frozen=True, kw_only=True)
class AnoGANScan(ScanLessons):
    """Generates slices of one scan; scores those it did not learn from by the closest it can."""

    supervision: ClassVar[Supervision] = Supervision.NONE

    epochs: Annotated[int, Ge(1)] = 500
    """Passes over the slices, at most."""
    check_every: Annotated[int, Ge(1)] = 10
    """Epochs between looks at the watched slices."""
    head: Head = Head.SMOOTH
    """How the generator gets from 32 x 32 to the slice."""
    lr: Annotated[float, Gt(0)] = 1e-4
    """Learning rate of both Adams."""
    matching: Annotated[float, Ge(0)] = 0.1
    """Weight in the generator's loss of the squared difference of mean discriminator features."""
    search_steps: Annotated[int, Ge(0)] = 500
    """Steps of the latent search; 0 keeps the random start."""
    search_lr: Annotated[float, Gt(0)] = 0.05
    """Learning rate of its Adam."""
    restarts: Annotated[int, Ge(1)] = 3
    """Random starts of the search, of which the best counts."""
    feature_weight: Annotated[float, Ge(0), Le(1)] = 0.1
    """Weight of the features' difference in the search."""
    published: bool = False
    """Legacy, as the public code: slices from 0 to 1 against a tanh of -1 to 1, single logits
    matched instead of mean features, batch statistics at test time too."""

    def fit(self, training: Training, run: Run) -> PerScan:
        """Learn nothing yet."""
        return PerScan(lessons=self, device=run.device, precision=run.precision, seed=run.seed)

    def restore(self, state: State, space: Space) -> PerScan:
        """Return the detector, which learns when it is given a scan."""
        refuse_foreign_state(state, {})
        return PerScan(lessons=self)

    def pupil(self, contrasts: int, place: Place) -> "Adversaries":
        """Return fresh networks and their optimisers."""
        return Adversaries(self, contrasts, place)


class Adversaries:
    """A generator and a discriminator, learning from each other."""

    def __init__(self, settings: AnoGANScan, contrasts: int, place: Place) -> None:
        self.generator = Generator(contrasts, settings.size, head=settings.head)
        self.judge = Discriminator(contrasts)
        self.net = to_channels_last(nn.ModuleList([self.generator, self.judge]), place.device)
        self.adams = [
            torch.optim.Adam(net.parameters(), lr=settings.lr, betas=BETAS)
            for net in (self.generator, self.judge)
        ]
        self.settings, self.place = settings, place

    def learn(self, x: Float[Tensor, "b c s s"], draw: Draw) -> None:
        """Do one step of the discriminator, then one of the generator."""
        generator, judge = self.generator.train(), self.judge.train()
        for_generator, for_judge = self.adams
        real = self.place.put(self._as_generated(x))
        z = self.place.put(torch.randn(len(x), LATENT, generator=draw))
        with self.place.arithmetic():
            fake = generator(z)
            told = judge.judged(judge.features(real)), judge.judged(judge.features(fake.detach()))
            loss = cross_entropy(told[0], 1.0) + cross_entropy(told[1], 0.0)
        descend(for_judge, loss)
        with self.place.arithmetic():
            with torch.no_grad():
                wanted = judge.features(real)
            seen = judge.features(fake)
            loss = cross_entropy(judge.judged(seen), 1.0)
            loss = loss + self.settings.matching * self._apart(seen, wanted)
        descend(for_generator, loss)

    def look(self, x: Float[Tensor, "n c s s"]) -> float:
        """Return the mean difference after a short search from the same starts."""
        draw = torch.Generator().manual_seed(0)
        return float((self._closest(x, draw, steps=GLANCE, restarts=1) - x).abs().mean())

    def restored(self, x: Float[Tensor, "n c s s"], draw: Draw) -> Float[Tensor, "n c s s"]:
        """Return the closest slices that can be generated."""
        settings = self.settings
        return self._closest(x, draw, steps=settings.search_steps, restarts=settings.restarts)

    def seconds_to_restore(self, x: Float[Tensor, "n c s s"]) -> float:
        """Return how long `restored` takes, from three steps with some of the slices."""
        restarts, part = self.settings.restarts, x[: together(self.settings.restarts)]
        draw = torch.Generator().manual_seed(0)
        one, three = (
            fastest(partial(self._closest, part, draw, steps=steps, restarts=restarts))
            for steps in (1, 3)
        )
        step = max(three - one, 0.0) / 2
        return (one + self.settings.search_steps * step) * len(x) / len(part)

    def _closest(
        self, x: Float[Tensor, "n c s s"], draw: Draw, *, steps: int, restarts: int
    ) -> Float[Tensor, "n c s s"]:
        generator, judge = self.generator.train(self.settings.published), self.judge.eval()
        search = Search(
            generate=generator,
            features=judge.features,
            steps=steps,
            lr=self.settings.search_lr,
            weight=self.settings.feature_weight,
        )
        z0 = torch.randn(restarts, len(x), LATENT, generator=draw)
        found = []
        for which in torch.arange(len(x)).split(together(restarts)):
            with self.place.arithmetic():
                wanted = self.place.put(self._as_generated(x[which]))
                z, _ = search.closest(wanted, self.place.put(z0[:, which]))
                with torch.no_grad():
                    found.append(generator(z).float().cpu())
        x_hat = torch.cat(found)
        return x_hat if self.settings.published else (x_hat + 1) / 2

    def _as_generated(self, x: Float[Tensor, "b c s s"]) -> Float[Tensor, "b c s s"]:
        """Return slices in the range of the generator."""
        return x if self.settings.published else 2 * x - 1

    def _apart(
        self, seen: Float[Tensor, "b k u v"], wanted: Float[Tensor, "b k u v"]
    ) -> Float[Tensor, ""]:
        """Return what the generator is to make small: the distance of mean features."""
        if self.settings.published:
            return F.mse_loss(self.judge.judged(seen), self.judge.judged(wanted))
        return F.mse_loss(seen.mean(0), wanted.mean(0))


def together(restarts: int) -> int:
    """Return for how many slices latents are searched at once."""
    return max(1, TOGETHER // restarts)


def cross_entropy(logits: Float[Tensor, "b 1 u v"], real: float) -> Float[Tensor, ""]:
    """Return the binary cross-entropy of patches that are all real (1) or all fake (0)."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, real))


def descend(adam: Optimizer, loss: Float[Tensor, ""]) -> None:
    """Do one step down ``loss``."""
    adam.zero_grad()
    loss.backward()
    adam.step()
