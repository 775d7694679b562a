"""Registration to a template (affine) and between the contrasts of an exam (rigid).

Both rate many starts at 8 mm (`hale.prep.starts`), descend from the best on 2 mm copies, and ask
whether that made the volumes at least as alike as any start had; if not, the next start is tried.
All of it runs in one thread and repeats to the bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from hale.core.grid import resample_mask
from hale.core.scan import Volume
from hale.core.types import Affine, Mask
from hale.prep.descent import Effort, Freedom, Pair, descended
from hale.prep.starts import COARSE_MM, Likeness, about_centres, refined
from hale.prep.threads import single_threaded
from hale.prep.working import capped, shrunk

WORKING_MM = 2.0
RIM_MM = 6.0
"""Around a brain: what its outline is seen against."""
TOP_PERCENT = 99.0
"""Of a head's intensities: fat and vessels above it count as equal."""
HELD = 0.95
"""Of the best start's likeness: what a registration reaches, or it has failed."""
AFFINE = Effort(
    shrink=(4, 2), sampled=0.1, bins=32, first_step=1.0, last_step=0.001, iterations=200
)
"""A level at 2 mm and a rigid stage before gain nothing (Dice, correlation)."""
RIGID = Effort(shrink=(2,), sampled=0.4, bins=32, first_step=1.0, last_step=0.001, iterations=200)
"""Within a brain 8 mm leave too few voxels: T2w on T1w with 3 mm slices runs away."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Registered:
    """A transform, and how it was come by."""

    transform: Affine
    """Fixed position to moving position, mm RAS+."""
    likeness: float
    """Mutual information, nats; comparable for one template and one contrast."""
    starts: int
    """Tried with full effort: 1, or more where the first one failed."""


def register(moving: Volume, brain: Mask, template: Volume) -> Affine:
    """Return what `registered` finds: template position to scan position, mm RAS+."""
    return registered(moving, brain, template).transform


def registered(moving: Volume, brain: Mask, template: Volume) -> Registered:
    """Register a brain, however it lies, to a template: twelve degrees of freedom.

    Args:
        moving: The scan, bias corrected.
        brain: Its brain; everything else is ignored.
        template: A brain-extracted template of any contrast, background 0; the fixed one.

    Raises:
        RuntimeError: No start leads anywhere, or ITK's own.
    """
    scan = Volume(values=np.where(brain, moving.values, 0).astype(np.float32), grid=moving.grid)
    with single_threaded():
        pair = Pair(fixed=shrunk(template, WORKING_MM), moving=shrunk(scan, WORKING_MM))
        rough = coarse(pair)
        starts = refined(rough, about_centres(rough))
        return first_that_holds(pair, starts, Likeness(rough), Freedom.AFFINE, AFFINE)


def register_rigid(moving: Volume, fixed: Volume, fixed_brain: Mask) -> Affine:
    """Return what `registered_rigid` finds: position in fixed to position in moving, mm RAS+."""
    return registered_rigid(moving, fixed, fixed_brain).transform


def registered_rigid(moving: Volume, fixed: Volume, fixed_brain: Mask) -> Registered:
    """Register one contrast of an exam to another: six degrees of freedom.

    Starts are found on the whole volumes, the header's word first; the end is decided within the
    brain, since the jaw and the neck move apart from it.

    Args:
        moving: A whole head, or a brain; background near 0.
        fixed: The reference contrast, likewise.
        fixed_brain: Its brain.

    Raises:
        RuntimeError: No start leads anywhere, or ITK's own.
    """
    near = distance_transform_edt(~fixed_brain, sampling=fixed.grid.spacing) <= RIM_MM
    with single_threaded():
        there = capped(shrunk(moving, WORKING_MM), TOP_PERCENT)
        rough = coarse(Pair(fixed=shrunk(fixed, WORKING_MM), moving=there))
        starts = refined(rough, [np.eye(4), *about_centres(rough)])
        here = capped(shrunk(fixed, WORKING_MM, near), TOP_PERCENT)
        within = resample_mask(near, fixed.grid, here.grid)
        pair = Pair(fixed=here, moving=there, within=within)
        return first_that_holds(pair, starts, Likeness(pair), Freedom.RIGID, RIGID)


def coarse(pair: Pair) -> Pair:
    """Return 8 mm copies, of the whole volumes."""
    return Pair(fixed=shrunk(pair.fixed, COARSE_MM), moving=shrunk(pair.moving, COARSE_MM))


def first_that_holds(
    pair: Pair, starts: Sequence[Affine], alike: Likeness, freedom: Freedom, effort: Effort
) -> Registered:
    """Descend from one start after the other, until the end is no worse than every start.

    Args:
        pair: The working copies.
        starts: Fixed position to moving position, mm, the most promising first.
        alike: The judge.
        freedom: What may change.
        effort: How hard to try.

    Raises:
        RuntimeError: From no start.
    """
    bound = HELD * max(alike(start) for start in starts)
    for number, start in enumerate(starts, 1):
        found = descended(pair, start, freedom, effort)
        if alike(found) >= bound:
            return Registered(transform=found, likeness=alike(found), starts=number)
    msg = f"from none of {len(starts)} starts the volumes became more alike"
    raise RuntimeError(msg)
