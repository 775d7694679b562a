"""Local optimisation of a transform by SimpleITK: descent on mutual information, coarse to fine.

Mutual information after Mattes et al. 2003, DOI 10.1109/TMI.2003.809072.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import SimpleITK as sitk

from hale.core.grid import Grid
from hale.core.scan import Volume
from hale.core.types import Affine, Mask
from hale.prep.itk import LPS, affine_of, image_of, mask_of
from hale.prep.working import centre_of_mass

SEED = 20_111
"""Of the voxels that are looked at."""


class Freedom(StrEnum):
    """What may change."""

    RIGID = "rigid"
    """Six degrees of freedom."""
    AFFINE = "affine"
    """Twelve."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How hard to try."""

    shrink: tuple[int, ...]
    """Of the volumes' spacing, level by level."""
    sampled: float
    """Share of the voxels that are looked at."""
    bins: int
    first_step: float
    """Of the voxel that moves most, in mm; halved or so at each turn."""
    last_step: float
    iterations: int
    """At most, per level."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """Two volumes to be laid on each other."""

    fixed: Volume
    moving: Volume
    within: Mask | None = None
    """Voxels of ``fixed`` that count; None: all."""


def descended(pair: Pair, start: Affine, freedom: Freedom, effort: Effort) -> Affine:
    """Return the transform found from ``start``; both fixed position to moving position, mm RAS+.

    The optimiser sees the moving volume as it lies when ``start`` is undone: it begins at the
    identity and never meets the poles of its angles. In one thread it repeats to the bit.

    Raises:
        RuntimeError: Of ITK: nothing overlaps, or the measure is undefined.
    """
    grid = pair.moving.grid
    undone = Grid(shape=grid.shape, affine=np.linalg.inv(start) @ grid.affine)
    transform: sitk.Transform = (
        sitk.Euler3DTransform() if freedom is Freedom.RIGID else sitk.AffineTransform(3)
    )
    centre = LPS[:3, :3] @ centre_of_mass(pair.fixed)
    transform.SetFixedParameters([*centre.tolist(), *transform.GetFixedParameters()[3:]])
    method = _method(effort)
    if pair.within is not None:
        method.SetMetricFixedMask(mask_of(pair.within, pair.fixed.grid))
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(image_of(pair.fixed), image_of(Volume(values=pair.moving.values, grid=undone)))
    found: Affine = start @ affine_of(transform)
    return found


def _method(effort: Effort) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(effort.bins)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(effort.sampled, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=effort.first_step,
        minStep=effort.last_step,
        numberOfIterations=effort.iterations,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-5,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(effort.shrink)
    method.SetSmoothingSigmasPerLevel([factor / 2 if factor > 1 else 0 for factor in effort.shrink])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    return method
