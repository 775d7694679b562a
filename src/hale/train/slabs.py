"""Slabs of a scan: none is scored by a model that saw it, or what lies close to it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from hale.core.errors import Refused

Levels = Int[np.ndarray, " _"]
"""Numbers of slices, ascending."""
WATCHED = 5
"""One in so many slices that may be learnt from is watched instead, to stop early."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Slab:
    """Which slices are scored, and which the model that scores them has seen."""

    score: Levels
    learn: Levels
    watch: Levels
    """For early stopping; may be ``learn`` where that is all there is."""


def slabs(levels: Levels, *, count: int, gap_mm: float, spacing_mm: float) -> list[Slab]:
    """Divide the slices of a scan for cross-fitting.

    With one slab, or one slice, the model learns from what it scores.

    Args:
        levels: The slices that contain brain.
        count: Contiguous slabs, of about equal numbers of slices.
        gap_mm: Slices so near to a slab, between their middles, are not seen by its model.
        spacing_mm: Between slices.

    Raises:
        Refused: Some slab's model would have nothing to learn from.
    """
    if count == 1 or len(levels) == 1:
        return [Slab(score=levels, learn=levels, watch=levels)]
    found = []
    for score in np.array_split(levels, min(count, len(levels))):
        apart = np.maximum(score[0] - levels, levels - score[-1]) * spacing_mm
        seen = levels[apart > max(gap_mm, 0.0)]
        if seen.size == 0:
            extent = (levels[-1] - levels[0] + 1) * spacing_mm
            why = f"{len(levels)} slices over {extent:.0f} mm leave nothing to learn from"
            remedy = "lower method.slabs (1 learns from the scored slices) or method.gap_mm"
            raise Refused(f"{count} slabs with a gap of {gap_mm:g} mm", why, remedy)
        found.append(_divided(score, seen))
    return found


def evenly(levels: Levels, most: int) -> Levels:
    """Return at most ``most`` slices, spread over all of them."""
    count = min(most, len(levels))
    spread: Levels = levels[np.arange(count) * len(levels) // max(count, 1)]
    return spread


def _divided(score: Levels, seen: Levels) -> Slab:
    """Hold the middle fifth of what may be seen out of learning, in one run."""
    count = len(seen) // WATCHED
    if count == 0:
        return Slab(score=score, learn=seen, watch=seen)
    start = (len(seen) - count) // 2
    watch = seen[start : start + count]
    return Slab(score=score, learn=np.setdiff1d(seen, watch), watch=watch)
