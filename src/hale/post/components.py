"""What is done about pieces of a mask that are too small to be believed.

Reference: Behrendt et al. 2023, "Patched diffusion models for unsupervised anomaly detection in
brain MRI", MIDL, arXiv:2303.03758.
"""

import numpy as np
from scipy.ndimage import binary_fill_holes, find_objects, label

from hale.core.grid import Grid
from hale.core.types import Mask

SMALLEST_MM3 = 64.0
"""8 voxels of 2 mm: the public code drops up to 7 of them."""
SMALLEST_IN_TEXT_MM3 = 56.0
"""7 voxels of 2 mm: the text drops fewer than 7."""
TWENTY_SIX = np.ones((3, 3, 3), bool)
"""Voxels that touch at a corner belong together."""


def without_small(found: Mask, grid: Grid, *, smallest_mm3: float = SMALLEST_MM3) -> Mask:
    """Return the mask without its 26-connected components below a volume.

    Args:
        found: What a threshold marked.
        grid: Of the mask.
        smallest_mm3: That is kept. The holes of a component count as parts of it; they stay holes.
    """
    fewest = smallest_mm3 / (1000 * grid.voxel_ml) * (1 - 1e-6)  # or 8 voxels of 2 mm fall short
    pieces, _ = label(found, TWENTY_SIX)
    kept = found.copy()
    for number, box in enumerate(find_objects(pieces), start=1):
        piece = pieces[box] == number
        if binary_fill_holes(piece, TWENTY_SIX).sum() < fewest:
            kept[box] &= ~piece
    return kept
