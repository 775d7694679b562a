"""Bias field correction: N4 (Tustison et al. 2010, DOI 10.1109/TMI.2010.2046908) by SimpleITK."""

import numpy as np
import SimpleITK as sitk

from hale.core.grid import Grid, resample
from hale.core.scan import Volume
from hale.core.types import Map, MapElsewhere, Mask
from hale.prep.threads import single_threaded

COARSE_MM = 6.0
ITERATIONS = (50, 50, 50, 50)
TOLERANCE = 1e-3


def coarse_grid(volume: Volume) -> Grid:
    """Return a grid of about 6 mm over the same block."""
    grid = volume.grid
    steps = [max(1, round(COARSE_MM / s)) for s in grid.spacing]
    i, j, k = (-(-n // step) for n, step in zip(grid.shape, steps, strict=True))
    return Grid(shape=(i, j, k), affine=grid.affine @ np.diag([*map(float, steps), 1.0]))


def log_bias(volume: Volume, brain: Mask) -> MapElsewhere:
    """Return the natural logarithm of the bias field on `coarse_grid`, 0 mean in the brain.

    Args:
        volume: Native intensities, finite.
        brain: Where the field is estimated, on the grid of ``volume``.
    """
    grid = coarse_grid(volume)
    steps = [round(c / n) for c, n in zip(grid.spacing, volume.grid.spacing, strict=True)]
    every = tuple(slice(None, None, step) for step in steps)
    values, inside = volume.values[every], brain[every]
    lifted = values - min(0.0, float(values[inside].min()))  # N4 takes logarithms
    image = sitk.GetImageFromArray(np.ascontiguousarray(lifted.T))
    image.SetSpacing(grid.spacing)
    mask = sitk.GetImageFromArray(np.ascontiguousarray(inside.T.astype(np.uint8)))
    mask.SetSpacing(grid.spacing)
    with single_threaded():
        n4 = sitk.N4BiasFieldCorrectionImageFilter()
        n4.SetMaximumNumberOfIterations(ITERATIONS)
        n4.SetConvergenceThreshold(TOLERANCE)
        n4.Execute(image, mask)
        found = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image))
    field: MapElsewhere = np.ascontiguousarray(found.T, dtype=np.float32)
    field -= field[inside].mean()
    return field


def corrected(volume: Volume, field: Map) -> Volume:
    """Return ``volume`` divided by the field that `log_bias` found."""
    fine = resample(_padded(field), _padded_grid(coarse_grid(volume)), volume.grid)
    return Volume(values=volume.values / np.exp(fine), grid=volume.grid)


def _padded(field: Map) -> MapElsewhere:
    """Repeat the last coarse voxel, so that the fine grid's end lies inside."""
    return np.pad(field, [(0, 1)] * 3, mode="edge")


def _padded_grid(grid: Grid) -> Grid:
    i, j, k = grid.shape
    return Grid(shape=(i + 1, j + 1, k + 1), affine=grid.affine)
