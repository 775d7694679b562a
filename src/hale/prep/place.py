"""Where the template's positions lie in each contrast, and the contrasts brought there."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from hale.core.errors import Refused
from hale.core.grid import Grid, resample, resample_mask
from hale.core.scan import Contrast, Volume
from hale.core.types import Affine, Map, MapElsewhere, Mask, MaskElsewhere
from hale.io.cache import Cache, key_of
from hale.prep.register import register, smoothed
from hale.prep.settings import Preparation
from hale.prep.template import template_hash, template_of
from hale.prep.threads import single_threaded

VERSION = 1
"""Of the registrations' results: raise it when one finds something else."""
TIME_STEP = 0.125
"""Of the curvature flow."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Placed:
    """An exam on the model grid, not yet normalised, and the ways back."""

    images: Mapping[Contrast, Map]
    """The reference first."""
    inside: Mask
    """Brain of the reference, on the model grid."""
    brain: MaskElsewhere
    """The same on its native grid."""
    ways: Mapping[Contrast, Affine]
    """From template position to position in each contrast, mm."""
    grid: Grid


def to_reference(
    name: str, volume: Volume, brain: Mask, settings: Preparation, cache: Cache, content: str
) -> Affine:
    """Return template position to position in the reference contrast, mm.

    Raises:
        Refused: ITK finds no transform.
    """
    where = settings.template_of_reference

    def compute() -> dict[str, np.ndarray]:
        try:
            return {"to_native": register(volume, brain, template_of(where))}
        except RuntimeError as error:
            raise _failed(name, error) from None

    key = key_of(VERSION, template_hash(where), settings.bias, content)
    return np.asarray(cache.get("register", key, compute)["to_native"])


def to_other(
    name: str, other: Volume, reference: Volume, brain: Mask, cache: Cache, content: str
) -> Affine:
    """Return position in the reference contrast to position in another one, mm.

    Args:
        name: Of the exam.
        other: Moved; a whole head or a brain.
        reference: Stays.
        brain: Of the reference.
        cache: Where registrations are kept.
        content: Of ``other``, ``reference`` and ``brain``.

    Raises:
        Refused: ITK finds no transform.
    """

    def compute() -> dict[str, np.ndarray]:
        from hale.prep.register import register_rigid

        try:
            return {"to_other": register_rigid(other, reference, brain)}
        except RuntimeError as error:
            raise _failed(name, error) from None

    return np.asarray(cache.get("rigid", key_of(VERSION, content), compute)["to_other"])


def _failed(name: str, error: RuntimeError) -> Refused:
    """Return ITK's reason, which is in its last line."""
    why = f"registration failed ({str(error).strip().splitlines()[-1]})"
    return Refused(name, why, "check orientation and extraction")


def brought(
    volume: Volume, brain: Mask, transform: Affine, grid: Grid, settings: Preparation
) -> MapElsewhere:
    """Return the intensities on the model grid: their one interpolation.

    Args:
        volume: Native intensities.
        brain: Native; its values bound the result, since a cubic spline overshoots at edges.
        transform: Position on ``grid`` to native position, mm.
        grid: Of the model.
        settings: Of the recipe.
    """
    calm = _curvature_flow(volume, settings.curvature_flow)
    fine = Volume(values=smoothed(calm, min(grid.spacing)), grid=volume.grid)
    image = resample(fine.values, fine.grid, grid, transform=transform, order=3)
    inside = volume.values[brain]
    return image.clip(inside.min(), inside.max())


def covered(volume: Volume, transform: Affine, grid: Grid) -> MaskElsewhere:
    """Return where on ``grid`` the field of view of ``volume`` reaches."""
    return resample_mask(np.ones(volume.grid.shape, bool), volume.grid, grid, transform=transform)


def _curvature_flow(volume: Volume, iterations: int) -> Volume:
    """Return the volume after curvature flow (Sethian 1996), which spares edges."""
    if iterations == 0:
        return volume
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.values.T))
    image.SetSpacing(volume.grid.spacing)
    with single_threaded():
        flow = sitk.CurvatureFlow(image, TIME_STEP, iterations)
    values = np.ascontiguousarray(sitk.GetArrayFromImage(flow).T, dtype=np.float32)
    return Volume(values=values, grid=volume.grid)
