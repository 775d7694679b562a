"""SADM: a segmenter is taught on what a diffusion model of healthy brains leaves over.

Reference: Behrendt et al. 2024, "Combining reconstruction-based unsupervised anomaly detection with
supervised segmentation for brain MRIs", MIDL, PMLR 250:87-102,
https://openreview.net/forum?id=iWfUcg4FrD; synthetic anomalies after Zavrtanik et al. 2021,
arXiv:2108.07610.

It learns from synthetic anomalies in healthy scans (`sadm`), or from patients whose lesions are
known (`sadm_cases`); the diffusion model stays as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Le
from jaxtyping import Int
from torch import Generator, Tensor

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.method import State, Supervision, Training
from hale.core.run import Run
from hale.core.scan import Case, Space
from hale.data.lesions.synthetic import Kind, corrupted
from hale.train.draws import batch_of
from hale.train.learn import Material
from hale.train.segmented import Segmented
from hale.train.segmenting import Marked, SegmentingLessons
from hale.train.slices import Slices, axial

MADE_OF_OTHERS = (Kind.FPI, Kind.PII, Kind.SHAPE)
"""Synthetic anomalies that need another scan, or real lesions."""
KINDS = 100
"""Of so many indices that follow each other, a share is of one kind of slice."""


@dataclass(frozen=True, kw_only=True)
class SADM(SegmentingLessons):
    """Segment what a diffusion model leaves over, taught by synthetic anomalies."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY

    anomaly: Kind = Kind.DRAEM
    """What is put into healthy slices."""
    share: Annotated[float, Ge(0), Le(1)] = 0.5
    """Of the slices, that which an anomaly is put into."""

    def __post_init__(self) -> None:
        """Refuse anomalies that healthy slices alone cannot make."""
        super().__post_init__()
        if self.anomaly in MADE_OF_OTHERS:
            raise ValueError(f"anomaly: '{self.anomaly}' is made of other scans; take 'draem'")

    def fit(self, training: Training, run: Run) -> Segmented:
        """Minimise the error of finding synthetic anomalies in healthy slices."""
        torch.manual_seed(run.seed)
        base = self.base_of(training.base)
        own = self.network(training.space)
        mm = training.space.grid.spacing

        def mark(slices: Slices, draw: Generator) -> Marked:
            return with_anomalies(slices, self.anomaly, share=self.share, mm=mm, draw=draw)

        self.teach(own, training, run, self.objective(base, mark))
        return self.detector(own, base, run)

    def restore(self, state: State, space: Space) -> Segmented:
        """Refuse: see `restore_on`."""
        raise no_base("sadm")


class Others(StrEnum):
    """What the slices are drawn from that are not chosen for their lesion."""

    CASES = "cases"
    """All slices of the cases, with lesion and without."""
    HEALTHY = "healthy"
    """Those of healthy scans: for cases of one slice each, which all show lesion."""


@dataclass(frozen=True, kw_only=True)
class SADMCases(SegmentingLessons):
    """Segment what a diffusion model leaves over, taught by patients whose lesions are known."""

    supervision: ClassVar[Supervision] = Supervision.LESION_MASKS

    share: Annotated[float, Ge(0), Le(1)] = 0.5
    """Of the slices, those that are drawn from slices with lesion."""
    others: Others = Others.CASES
    """What the rest is drawn from."""

    def fit(self, training: Training, run: Run) -> Segmented:
        """Minimise the error of finding the lesions of patients."""
        torch.manual_seed(run.seed)
        base = self.base_of(training.base)
        own = self.network(training.space)
        self.teach(own, training, run, self.objective(base, as_marked))
        return self.detector(own, base, run)

    def restore(self, state: State, space: Space) -> Segmented:
        """Refuse: see `restore_on`."""
        raise no_base("sadm_cases")

    def materials(self, training: Training) -> tuple[Material, Material | None]:
        """Return slices of cases, with as many lesions as asked for; held-out ones as they are.

        Raises:
            Refused: No case to learn from has a lesion.
        """
        slices = marked(training.cases)
        healthy = self.others is Others.HEALTHY
        rest = unmarked(axial(training.healthy)) if healthy else slices
        ill = slices[slices.lesion.flatten(1).any(1).nonzero()[:, 0]]
        if not len(ill):
            names = ", ".join(case.scan.id for case in training.cases)
            remedy = "give more cases, or hold out others (cohort.held_out)"
            raise Refused(f"cases {names}", "no lesion is left in them to learn from", remedy)
        watched = marked(training.held_out_cases) if training.held_out_cases else None
        return Balanced(ill, rest, self.share), watched


@dataclass(frozen=True, eq=False)
class Balanced:
    """Slices of which a stated share is drawn from those with lesion, the others from the rest.

    An index stands for one slice, whatever other indices it is asked for with: so a batch is the
    same however processes share it. Of all indices, `share` (to a hundredth) are of the first kind.
    """

    ill: Marked
    rest: Marked
    share: float

    def __len__(self) -> int:
        return KINDS * len(self.ill) * len(self.rest)

    def __getitem__(self, which: Int[Tensor, " m"]) -> Marked:
        is_ill, n = which % KINDS < round(self.share * KINDS), which // KINDS
        a, b = self.ill[n % len(self.ill)], self.rest[n % len(self.rest)]
        first = is_ill[:, None, None, None]
        return Marked(
            torch.where(first, a.x, b.x),
            torch.where(first, a.brain, b.brain),
            torch.where(first, a.lesion, b.lesion),
        )


def with_anomalies(
    slices: Slices, kind: Kind, *, share: float, mm: Sequence[float], draw: Generator
) -> Marked:
    """Return slices of which some have a synthetic anomaly, and where it is.

    Args:
        slices: Healthy.
        kind: Of anomaly.
        share: Chance of a slice to be given one.
        mm: Size of a voxel.
        draw: On the CPU.
    """
    batch = batch_of(draw, len(slices))
    chosen = (torch.rand(batch.size, generator=batch.draw) < share)[batch.mine]
    seeds = torch.randint(2**63 - 1, (batch.size,), generator=batch.draw)[batch.mine]
    x, brain = slices.x.cpu().clone(), slices.brain.cpu().numpy()
    lesion = torch.zeros(brain.shape, dtype=torch.bool)
    _, _, i, j = x.shape
    grid = Grid(shape=(i, j, 1), affine=np.diag([*mm, 1.0]))
    for n in chosen.nonzero()[:, 0].tolist():
        rng = np.random.default_rng(int(seeds[n]))
        image, place = x[n, ..., None].numpy(), brain[n, 0, ..., None]
        image, abnormal = corrupted(image, place, kind, rng=rng, grid=grid)
        x[n], lesion[n, 0] = torch.from_numpy(image[..., 0]), torch.from_numpy(abnormal[..., 0])
    device = slices.x.device
    placed = x.to(device, memory_format=torch.channels_last)
    return Marked(placed, slices.brain, lesion.to(device))


def as_marked(slices: Slices, draw: Generator) -> Marked:
    """Return slices of cases as they are; nothing is drawn."""
    assert isinstance(slices, Marked)
    return slices


def marked(cases: Sequence[Case]) -> Marked:
    """Return the slices of all ``cases`` that contain brain, with their lesions."""
    slices = axial([case.scan for case in cases])
    levels = [case.scan.brain.any((0, 1)) for case in cases]
    lesions = [np.moveaxis(c.lesion, -1, 0)[k] for c, k in zip(cases, levels, strict=True)]
    lesion = torch.from_numpy(np.concatenate(lesions))[:, None]
    return Marked(slices.x, slices.brain, lesion)


def unmarked(slices: Slices) -> Marked:
    """Return slices without lesion."""
    return Marked(slices.x, slices.brain, torch.zeros_like(slices.brain))


def no_base(method: str) -> Refused:
    """Return the refusal of a model without the one that it builds on."""
    why = "cannot work without the diffusion model that it builds on"
    return Refused(f"method {method}", why, "load the whole model folder")
