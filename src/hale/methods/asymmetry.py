"""Left against right: how a voxel differs from its mirror image across the midsagittal plane.

Reference: Joshi et al. 2003, "Exact MAP estimates from digital brain symmetry", and the review of
Liu et al. 2001, "Robust midsagittal plane extraction", https://doi.org/10.1109/42.918469
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from hale.core.anomaly import AnomalyMap
from hale.core.errors import Refused
from hale.core.grid import resample, resample_mask
from hale.core.method import State, Supervision, Training, refuse_foreign_state
from hale.core.run import Run
from hale.core.scan import Scan, Space
from hale.post.smooth import smoothed

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
"""Left to right through x = 0, the midsagittal plane of template space."""
MAX_OFF_MIDDLE_MM = 5.0


@dataclass(frozen=True, kw_only=True)
class Asymmetry:
    """Score each voxel by its difference from the mirrored scan; nothing is learnt."""

    supervision: ClassVar[Supervision] = Supervision.NONE

    smooth_mm: Annotated[float, Ge(0)] = 4.0
    """Full width at half maximum of the Gaussian that forgives imperfect symmetry, mm."""

    def fit(self, training: Training, run: Run) -> "AsymmetryDetector":
        """Learn nothing."""
        return self.restore({}, training.space)

    def restore(self, state: State, space: Space) -> "AsymmetryDetector":
        """Return the detector."""
        refuse_foreign_state(state, {})
        _refuse_lopsided(space)
        return AsymmetryDetector(smooth_mm=self.smooth_mm)


def _refuse_lopsided(space: Space) -> None:
    """Refuse a grid whose middle is not x = 0: a scan that is not in template space."""
    grid = space.grid
    corners = grid.positions(np.array([[0, 0, 0], [n - 1 for n in grid.shape]]))
    if abs(corners[:, 0].sum()) / 2 > MAX_OFF_MIDDLE_MM:
        why = f"needs template space: the middle of this grid is {corners[:, 0].mean():.0f} mm off"
        raise Refused("asymmetry", why, "take --method asymmetry-default, which registers")


@dataclass(frozen=True, kw_only=True)
class AsymmetryDetector:
    """How much is smoothed before left meets right."""

    smooth_mm: float

    def score(self, scan: Scan) -> AnomalyMap:
        """Return |x - mirrored x|, mean over channels, where both sides are brain."""
        grid = scan.space.grid
        difference = np.zeros(scan.brain.shape, np.float32)
        for channel in scan.image:
            smooth = smoothed(channel, scan.brain, grid, fwhm_mm=self.smooth_mm)
            mirrored = resample(smooth, grid, grid, transform=MIRROR)
            difference += np.abs(smooth - mirrored) / len(scan.image)
        both = scan.brain & resample_mask(scan.brain, grid, grid, transform=MIRROR)
        return AnomalyMap(values=np.where(both, difference, 0), brain=scan.brain)

    def state(self) -> State:
        """Return nothing."""
        return {}
