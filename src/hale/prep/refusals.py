"""Exams that cannot be prepared, whatever the stage: said by name before any work."""

import numpy as np

from hale.core.errors import Refused
from hale.core.scan import Contrast, RawScan
from hale.prep.brain.ct import looks_like_ct
from hale.prep.finite import finite

MOSTLY = 0.95
"""Share of a slice that no brain fills."""
MIN_VOXELS = 8
"""Along each axis of a volume."""


def refuse_slices(raw: RawScan) -> None:
    """Refuse contrasts that are slices: nothing can be registered by them."""
    for contrast, volume in raw.volumes.items():
        if min(volume.grid.shape) < MIN_VOXELS:
            shape = " x ".join(map(str, volume.grid.shape))
            what = raw.id if len(raw.volumes) == 1 else f"{raw.id} {contrast}"
            why = f"has {shape} voxels: slices, not a volume"
            raise Refused(
                what, why, "take a one-slice model, --method for a single scan, or a whole brain"
            )


def refuse_no_background(raw: RawScan) -> None:
    """Refuse slices whose brain would have to be found: what is not 0 is nearly all of them."""
    share = np.count_nonzero(finite(raw.reference.values)) / raw.reference.values.size
    if raw.brain is None and share > MOSTLY:
        why = f"has no background of 0 ({100 * share:.0f} % is not 0): its brain cannot be told"
        raise Refused(raw.id, why, "give --brain-mask, or set to 0 what is not brain")


def refuse_hidden_ct(raw: RawScan) -> None:
    """Refuse a CT that is called something else."""
    for contrast, volume in raw.volumes.items():
        if contrast is not Contrast.CT and looks_like_ct(volume):
            why = f"is a CT (values down to {np.nanmin(volume.values):.0f} HU), not {contrast}"
            raise Refused(raw.id, why, "say --contrast CT, and take a method for single scans")
