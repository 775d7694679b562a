"""Voxel-wise normative atlas: how far a voxel is from what healthy scans hold at its place.

Reference: the model-based view of Van Leemput et al. 2001, "Automated segmentation of multiple
sclerosis lesions by model outlier detection", https://doi.org/10.1109/42.938237
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from hale.core.anomaly import AnomalyMap
from hale.core.method import State, Supervision, Training, refuse_foreign_state
from hale.core.run import Run
from hale.core.scan import Scan, Space
from hale.core.types import Image


@dataclass(frozen=True, kw_only=True)
class Atlas:
    """Robust mean and spread of every voxel over healthy scans; the score is |z|."""

    supervision: ClassVar[Supervision] = Supervision.HEALTHY

    floor: Annotated[float, Gt(0)] = 0.05
    """Smallest spread, in normalised intensity."""

    def fit(self, training: Training, run: Run) -> "AtlasDetector":
        """Take median and 1.4826 x median absolute deviation over the scans that cover a voxel.

        Where fewer than three scans have brain, the medians of the whole brain stand in.
        """
        scans = (*training.healthy, *training.held_out)
        covered = np.stack([scan.brain for scan in scans])
        anywhere, often = covered.any(0), covered.sum(0) >= min(3, len(scans))
        mean = np.zeros((len(training.space.slots), *anywhere.shape), np.float32)
        spread = np.full_like(mean, self.floor)
        for channel in range(len(mean)):
            values = np.stack([scan.image[channel][anywhere] for scan in scans])
            values[~covered[:, anywhere]] = np.nan
            here = often[anywhere]
            centre, width = _robust(values, here)
            mean[channel][anywhere], spread[channel][anywhere] = centre, width
        return AtlasDetector(mean=mean, spread=spread.clip(self.floor))

    def restore(self, state: State, space: Space) -> "AtlasDetector":
        """Rebuild from the two images."""
        shape = (len(space.slots), *space.grid.shape)
        refuse_foreign_state(state, {"mean": shape, "spread": shape})
        return AtlasDetector(mean=state["mean"], spread=state["spread"])


@dataclass(frozen=True, kw_only=True, eq=False)
class AtlasDetector:
    """Voxel-wise centre and spread of healthy intensity."""

    mean: Image
    spread: Image

    def score(self, scan: Scan) -> AnomalyMap:
        """Return the highest |z| over the channels, 0 outside the brain."""
        z = np.abs((scan.image - self.mean) / self.spread).max(0)
        values = np.where(scan.brain, z, 0).astype(np.float32)
        return AnomalyMap(values=values, brain=scan.brain, pseudo_healthy=self.reconstruct(scan))

    def reconstruct(self, scan: Scan, *, draw: int = 0, level: int | None = None) -> Image:
        """Return the healthy mean in the brain of ``scan``; nothing here is drawn."""
        return np.where(scan.brain, self.mean, 0).astype(np.float32)

    def state(self) -> State:
        """Return the two images."""
        return {"mean": self.mean, "spread": self.spread}


def _robust(values: np.ndarray, often: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return centre and spread per column of ``values`` (scan voxel), NaN where not covered."""
    centre, width = np.empty(values.shape[1]), np.empty(values.shape[1])
    centre[often] = np.nanmedian(values[:, often], 0)
    width[often] = 1.4826 * np.nanmedian(np.abs(values[:, often] - centre[often]), 0)
    rest = ~often
    if rest.any():
        known = often.any()
        centre[rest] = np.median(centre[often]) if known else np.nanmedian(values)
        width[rest] = np.median(width[often]) if known else np.nanstd(values)
    return centre, width
