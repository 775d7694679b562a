"""Plain intensity: how bright (or dark) a voxel is within its own brain. The baseline to beat.

Reference: Meissen et al. 2021, "Challenging current semi-supervised anomaly segmentation methods
for brain MRI", https://arxiv.org/abs/2109.06023
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

import numpy as np
from scipy.stats import rankdata

from hale.core.anomaly import AnomalyMap
from hale.core.method import State, Supervision, Training, refuse_foreign_state
from hale.core.run import Run
from hale.core.scan import Contrast, Scan, Space

SIGN: Final = {
    Contrast.T1W: -1,
    Contrast.T2W: 1,
    Contrast.FLAIR: 1,
    Contrast.PDW: 1,
    Contrast.T1W_CE: 1,
    Contrast.CT: 1,
}
"""Which way lesions usually depart: dark on T1w, bright elsewhere."""


class Transform(StrEnum):
    """What is done to the intensities of one brain."""

    ROBUST_Z = "robust_z"
    """Minus the median, over 1.4826 times the median absolute deviation; the wrong side is 0."""
    EQUALISED = "equalised"
    """Rank within the brain, in (0, 1]; equal voxels share the mean of their ranks."""


@dataclass(frozen=True, kw_only=True)
class Intensity:
    """Score each voxel by its intensity within its own brain; nothing is learnt."""

    supervision: ClassVar[Supervision] = Supervision.NONE

    transform: Transform = Transform.ROBUST_Z
    """How intensities of one brain become scores."""

    def fit(self, training: Training, run: Run) -> "IntensityDetector":
        """Learn nothing."""
        return self.restore({}, training.space)

    def restore(self, state: State, space: Space) -> "IntensityDetector":
        """Return the detector; the sign of a channel is that of its slot's first contrast."""
        refuse_foreign_state(state, {})
        signs = tuple(SIGN[slot[0]] for slot in space.slots)
        return IntensityDetector(transform=self.transform, signs=signs)


@dataclass(frozen=True, kw_only=True)
class IntensityDetector:
    """The transform, and the side that counts per channel."""

    transform: Transform
    signs: tuple[int, ...]

    def score(self, scan: Scan) -> AnomalyMap:
        """Return the highest signed score over the channels, 0 outside the brain."""
        values = np.zeros(scan.brain.shape, np.float32)
        for channel, sign in zip(scan.image, self.signs, strict=True):
            inside = sign * channel[scan.brain]
            values[scan.brain] = np.maximum(values[scan.brain], self._transformed(inside))
        return AnomalyMap(values=values, brain=scan.brain)

    def state(self) -> State:
        """Return nothing."""
        return {}

    def _transformed(self, inside: np.ndarray) -> np.ndarray:
        if self.transform is Transform.EQUALISED:
            rank: np.ndarray = rankdata(inside) / inside.size
            return rank.astype(np.float32)
        centre = np.median(inside)
        spread = 1.4826 * np.median(np.abs(inside - centre))
        z: np.ndarray = (inside - centre) / max(spread, 1e-6)
        return z.clip(0).astype(np.float32)
