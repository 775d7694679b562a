"""Between our volumes (positions RAS+) and ITK's images (positions LPS)."""

import numpy as np
import SimpleITK as sitk

from hale.core.grid import Grid
from hale.core.scan import Volume
from hale.core.types import Affine, Mask

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""RAS+ position to LPS position, and back."""


def image_of(volume: Volume) -> sitk.Image:
    """Return the volume as an ITK image, float32."""
    return _placed(sitk.GetImageFromArray(np.ascontiguousarray(volume.values.T)), volume.grid)


def mask_of(mask: Mask, grid: Grid) -> sitk.Image:
    """Return a mask as an ITK image of 0 and 1, uint8."""
    return _placed(sitk.GetImageFromArray(np.ascontiguousarray(mask.T.astype(np.uint8))), grid)


def _placed(image: sitk.Image, grid: Grid) -> sitk.Image:
    lps = LPS @ grid.affine
    spacing = np.array(grid.spacing)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def affine_of(transform: sitk.Transform) -> Affine:
    """Return a linear ITK transform (LPS) as a matrix on RAS+ positions, mm."""
    corners = [transform.TransformPoint(corner) for corner in np.eye(4, 3, k=-1).tolist()]
    origin, *ends = np.array(corners)
    lps = np.eye(4)
    lps[:3, :3] = (ends - origin).T
    lps[:3, 3] = origin
    ras: Affine = LPS @ lps @ LPS
    return ras
