"""How well a method rebuilds a healthy scan, from the pseudo-healthy picture beside its map."""

from pathlib import Path

import numpy as np
from scipy.ndimage import binary_dilation, find_objects

from hale.core.scan import Volume
from hale.core.types import Mask
from hale.data.references import read_on
from hale.metrics import l1, psnr, ssim

PICTURE = "pseudo_healthy.nii.gz"
UNIT = 99
"""Percentile of the scan in the brain that counts as 1, whatever units its scanner has."""
MARGIN = 6
"""Voxels around the brain that the window of SSIM reaches, and no more."""


def rebuilt(scan: Volume, picture: Path, brain: Mask) -> dict[str, float]:
    """Return l1, SSIM and PSNR of a picture against the scan as it came.

    The picture has the scan's intensities without its bias field, so the field counts as a
    difference, the same for all methods. Around the brain both count as 0.

    Args:
        scan: On the map's grid.
        picture: File of the pseudo-healthy picture, on that grid too.
        brain: Where to compare.

    Raises:
        Refused: The picture cannot be read, or lies on another grid.
    """
    if not brain.any():
        return {}
    near = binary_dilation(brain, iterations=MARGIN)
    box = find_objects(near.astype(np.uint8))[0]
    unit = float(np.percentile(scan.values[brain], UNIT)) or 1.0

    x, x_hat = (
        (np.where(brain, values, 0)[box] / unit).astype(np.float32)
        for values in (scan.values, read_on(picture, scan.grid))
    )
    inside = brain[box]
    return {
        "l1": l1(x, x_hat, inside),
        "ssim": ssim(x, x_hat, inside),
        "psnr": psnr(x, x_hat, inside),
    }
