"""Recognise a scan whose skull is gone already."""

import numpy as np
from scipy import ndimage

from hale.core.scan import Volume
from hale.core.types import Mask

MIN_BACKGROUND = 0.4
"""Share of voxels at one value outside a brain: 0.84 in a padded 1 mm brain, 0.3 to 0.55 in heads
whose air was set to 0."""
ML = (500.0, 2600.0)
"""Volume of a brain, an average template's (1,890 ml) enlarged included. What is left of a whole
head after its air is 3,000 ml and more."""


def already_extracted(volume: Volume) -> Mask | None:
    """Return the brain if everything around it is one constant value, None otherwise.

    The scan counts as extracted if one value (the background) fills the border and a good share of
    the grid, and the rest is one piece of the size of a brain.
    """
    values = volume.values
    background = values[0, 0, 0]
    inside = np.isfinite(values)
    if np.isfinite(background):
        inside &= values != background
    if 1 - inside.mean() < MIN_BACKGROUND:
        return None
    pieces, count = ndimage.label(inside)
    if count == 0:
        return None
    sizes = np.bincount(pieces.ravel())[1:]
    brain: Mask = ndimage.binary_fill_holes(pieces == 1 + sizes.argmax())
    ml = float(brain.sum()) * volume.grid.voxel_ml
    if sizes.max() < 0.95 * sizes.sum() or not ML[0] <= ml <= ML[1]:
        return None
    return brain
