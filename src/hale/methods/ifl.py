"""Implicit field learning: a network that knows, for each point of a brain, which tones are likely.

Reference: Naval Marimont and Tarroni 2021, "Implicit field learning for unsupervised anomaly
detection in medical images", MICCAI, arXiv:2106.05214.
"""

import time
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor

from hale.core.anomaly import AnomalyMap
from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.method import State, Supervision, Training, refuse_foreign_state
from hale.core.run import Precision, Run
from hale.core.scan import Scan, Space
from hale.core.types import Image, Map
from hale.nets.implicit_field import CLASSES, ImplicitField, multiplied_out
from hale.nets.state import arrays, load
from hale.post.pool import mean, mean_with_zeros, minimum, widths
from hale.train.auto_decoder import cross_entropy
from hale.train.classes import Centres, centres_of
from hale.train.points import Volume, volume_of
from hale.train.restoration import BATCH, Found, Restoration, Target, decoded, found_code

WATCHED = 4
"""Held-out scans, at most, that are restored after a fit; their loss is logged."""


@dataclass(frozen=True, kw_only=True)
class IFL(Restoration):
    """Learn which tones are likely where; score how unlikely those of a scan are."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY

    minimum_mm: Annotated[float, Ge(0)] = 4.5
    """Box over which the lowest score is taken, mm; the nearest odd number of voxels."""
    mean_mm: Annotated[float, Ge(0)] = 22.5
    """Box over which scores are averaged after that, mm."""
    masked: bool = True
    """Decode and filter inside the brain alone; off: on the whole grid, zeros beyond it."""

    def fit(self, training: Training, run: Run) -> "IFLDetector":
        """Learn field, codes and classes from healthy scans."""
        if not training.healthy:
            raise Refused("healthy cohort", "is empty", "give healthy scans")
        torch.manual_seed(run.seed)
        centres = centres_of(training.healthy, self.palette)
        learnt = self.grow(training, centres, run)
        net = self.field(len(centres), normed=False)
        net.load_state_dict(multiplied_out(learnt.field))
        detector = IFLDetector(
            settings=self,
            net=net,
            centres=centres,
            mean_code=learnt.mean_code().cpu(),
            device=run.device,
            precision=run.precision,
            seed=run.seed,
        )
        if watched := training.held_out[:WATCHED]:
            run.log(held_out=float(np.mean([detector.find(scan).loss for scan in watched])))
        return detector

    def restore(self, state: State, space: Space) -> "IFLDetector":
        """Rebuild the network and load its weights."""
        contrasts = len(space.slots)
        net = self.field(contrasts, normed=False)
        own = {"centres": (contrasts, CLASSES), "mean_code": (self.code,)}
        shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
        refuse_foreign_state(state, {**shapes, **own})
        load(net, {name: state[name] for name in shapes})
        return IFLDetector(
            settings=self,
            net=net,
            centres=np.array(state["centres"]),
            mean_code=torch.from_numpy(np.array(state["mean_code"])),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class IFLDetector:
    """A field, the centres of its classes, and where a restoration begins."""

    settings: IFL
    net: ImplicitField
    centres: Centres
    mean_code: Float[Tensor, " code"]
    device: str = "cpu"
    precision: Precision = Precision.FULL
    seed: int = 0

    def __post_init__(self) -> None:
        """Take a copy of the network, place it and freeze it."""
        net = deepcopy(self.net).requires_grad_(requires_grad=False).eval()
        object.__setattr__(self, "net", net.to(self.device))

    def score(self, scan: Scan) -> AnomalyMap:
        """Return -log p of the observed classes, its minimum and then its mean over boxes."""
        volume = volume_of(scan, self.centres, self.settings)
        at, logits = self._decoded(scan, volume, draw=0)
        unlikely = np.zeros(scan.brain.size, np.float32)
        unlikely[at] = cross_entropy(logits, volume.classes[at]).numpy()
        values = self._filtered(unlikely.reshape(scan.brain.shape), scan)
        return AnomalyMap(
            values=values, brain=scan.brain, pseudo_healthy=self._painted(scan, at, logits)
        )

    def reconstruct(self, scan: Scan, *, draw: int = 0, level: int | None = None) -> Image:
        """Return the centres of the likeliest classes; another ``draw`` finds the code anew.

        There are no levels, so ``level`` is disregarded.
        """
        volume = volume_of(scan, self.centres, self.settings)
        return self._painted(scan, *self._decoded(scan, volume, draw=draw))

    def estimate(self, scan: Scan) -> float:
        """Return the seconds that a score takes at most, by the time of a batch of points."""
        wanted = np.count_nonzero(scan.brain) if self.settings.masked else scan.brain.size
        where, seconds = torch.zeros(BATCH, 3), 0.0
        for _ in range(2):  # the first one wakes the machine up
            begin = time.perf_counter()
            decoded(self.net, self.mean_code, where, device=self.device, precision=self.precision)
            seconds = time.perf_counter() - begin
        return seconds * self.settings.passes(int(wanted)) / BATCH

    def find(self, scan: Scan, *, draw: int = 0) -> Found:
        """Return the code of a scan."""
        return self._found(scan, volume_of(scan, self.centres, self.settings), draw)

    def state(self) -> State:
        """Return the weights, the centres and the mean code."""
        own = {"centres": self.centres.copy(), "mean_code": self.mean_code.numpy().copy()}
        return {**arrays(self.net), **own}

    def _found(self, scan: Scan, volume: Volume, draw: int) -> Found:
        rng = np.random.default_rng([self.seed, int(scan.content, 16), draw])
        target = Target(
            volume=volume,
            where=self._where(scan.space.grid, decoding=False),
            device=self.device,
            precision=self.precision,
        )
        return found_code(self.net, self.mean_code, target, self.settings, rng)

    def _where(self, grid: Grid, *, decoding: bool) -> Float[Tensor, "v 3"]:
        return torch.from_numpy(self.settings.positions(grid, decoding=decoding))

    def _decoded(
        self, scan: Scan, volume: Volume, *, draw: int
    ) -> tuple[np.ndarray, Float[Tensor, "m logits"]]:
        """Return the flat indices that are decoded, and their logits."""
        code = self._found(scan, volume, draw).code
        wanted = scan.brain if self.settings.masked else np.ones_like(scan.brain)
        at = np.flatnonzero(wanted)
        where = self._where(scan.space.grid, decoding=True)[at]
        logits = decoded(self.net, code, where, device=self.device, precision=self.precision)
        return at, logits

    def _filtered(self, unlikely: Map, scan: Scan) -> Map:
        grid = scan.space.grid
        low, wide = (widths(grid, mm) for mm in (self.settings.minimum_mm, self.settings.mean_mm))
        if self.settings.masked:
            return mean(minimum(unlikely, scan.brain, low), scan.brain, wide)
        everywhere = np.ones_like(scan.brain)
        smooth = mean_with_zeros(minimum(unlikely, everywhere, low), wide)
        return np.where(scan.brain, smooth, np.float32(0))

    def _painted(self, scan: Scan, at: np.ndarray, logits: Float[Tensor, "m logits"]) -> Image:
        likeliest = logits.unflatten(-1, (-1, CLASSES)).argmax(-1).numpy()  # m contrast
        flat = np.zeros((len(self.centres), scan.brain.size), np.float32)
        for contrast, row in enumerate(self.centres):
            flat[contrast, at] = row[likeliest[:, contrast]]
        image: Image = flat.reshape(scan.image.shape)
        image[:, ~scan.brain] = 0
        return image
