"""How a scan got from its own grid to the model's: enough to bring anything back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter

from hale.core.grid import Grid
from hale.core.quality import ContrastSeen
from hale.core.types import Affine, Map, MapElsewhere, Mask
from hale.core.warp import Warp, Way


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """What preparation did to one scan."""

    native: Grid
    """Of the scan as read, RAS+."""
    model: Grid
    to_native: Affine
    """Position on the model grid to position on the native grid, mm."""
    brain: Mask
    """On the native grid."""
    warp: Warp | None = None
    """What the template's positions do before ``to_native``; None: nothing."""
    intensity: tuple[float, float] = (0.0, 1.0)
    """Offset and scale: native intensity = offset + scale x normalised."""
    checks: Mapping[str, float] = field(default_factory=dict)
    """Figures of extraction and registration: brain_ml, overlap_dice, correlation."""
    contrasts: tuple[ContrastSeen, ...] = ()
    """What each contrast looks like, where it could be compared with the template."""
    notes: tuple[str, ...] = ()
    """What was repaired or recognised, a sentence each."""
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def way(self) -> Way:
        """Return the way from the template to the scan, and back."""
        return Way(affine=self.to_native, warp=self.warp)

    def place(self) -> dict[str, Any]:
        """Return where the scan lies in the model's space as plain JSON; of a warp, that it is."""
        return {
            "affine": self.to_native.tolist(),
            "model_shape": list(self.model.shape),
            "model_affine": self.model.affine.tolist(),
            "warped": self.warp is not None,
        }

    def undo(self, values: Map, *, order: int = 1) -> MapElsewhere:
        """Return a map of the model grid on the native grid, 0 outside the native brain.

        Outside the brain a map says nothing: what it holds there does not dilute the border.
        """
        still = self.warp is None and np.array_equal(self.to_native, np.eye(4))
        if still and self.native.is_the_same_as(self.model):
            return np.where(self.brain, values, np.float32(0))
        inside = self.way.bring_mask(self.brain, self.native, self.model)
        box = _box(self.brain)
        part = Grid(
            shape=self.brain[box].shape,
            affine=self.native.affine @ _shift([axis.start for axis in box]),
        )
        moved = np.zeros(self.native.shape, np.float32)
        known = _continued(values, inside)
        moved[box] = self.way.take_back(known, self.model, part, order=order)
        moved[~self.brain] = 0
        return moved


def _continued(values: Map, inside: Mask) -> Map:
    """Return ``values``, and around ``inside`` the mean of those of the 26 neighbours within it."""
    within = np.where(inside, values, np.float32(0))
    share = uniform_filter(inside.astype(np.float32), 3, mode="constant")
    around = ~inside & (share > 0.5 / 27)
    mean: Map = uniform_filter(within, 3, mode="constant")
    within[around] = mean[around] / share[around]
    return within


def _box(mask: Mask) -> tuple[slice, slice, slice]:
    """Return the bounding box of ``mask``; all of it if it is empty."""
    spans = []
    for axis in range(3):
        found = np.flatnonzero(mask.any(tuple(a for a in range(3) if a != axis)))
        spans.append(slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, None))
    return spans[0], spans[1], spans[2]


def _shift(start: list[int]) -> Affine:
    matrix = np.eye(4)
    matrix[:3, 3] = start
    return matrix
