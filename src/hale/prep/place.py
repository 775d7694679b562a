"""Where the template's positions lie in each contrast, and the contrasts brought there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Contrast, Volume
from hale.core.types import Affine, Map, MapElsewhere, Mask, MaskElsewhere
from hale.core.warp import Warp, Way
from hale.io.cache import Arrays, Cache, key_of
from hale.prep.log import Log
from hale.prep.register import Registered, registered, registered_rigid
from hale.prep.settings import Preparation, Registration
from hale.prep.template import template_hash, template_of
from hale.prep.threads import single_threaded
from hale.prep.working import smoothed

VERSION = 2
"""Of the registrations' results: raise it when one finds something else."""
TIME_STEP = 0.125
"""Of the curvature flow."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Clean:
    """A contrast in its own place: finite, bias corrected, its brain known."""

    contrast: Contrast
    volume: Volume
    brain: Mask
    content: str
    """A hash of what was read, and of its brain."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Placed:
    """An exam on the model grid, not yet normalised, and the ways back."""

    images: Mapping[Contrast, Map]
    """The reference first."""
    inside: Mask
    """Brain of the reference, on the model grid."""
    reached: Mapping[Contrast, Mask]
    """The part of it that each contrast shows."""
    brain: MaskElsewhere
    """The same on its native grid."""
    ways: Mapping[Contrast, Way]
    """From the template to each contrast."""
    grid: Grid


def to_reference(clean: Clean, name: str, settings: Preparation, cache: Cache, log: Log) -> Affine:
    """Return template position to position in the reference contrast, mm.

    Raises:
        Refused: ITK finds no transform.
    """
    where = settings.template_for(clean.contrast)

    def compute() -> dict[str, np.ndarray]:
        return _found(name, lambda: registered(clean.volume, clean.brain, template_of(where)))

    key = key_of(VERSION, template_hash(where), clean.content)
    return _noted(cache.get("register", key, compute), log)


def way_to(clean: Clean, name: str, settings: Preparation, cache: Cache, log: Log) -> Way:
    """Return the way from the template to the reference contrast.

    Raises:
        Refused: No transform is found, or ANTs is wanted and not installed.
    """
    affine = to_reference(clean, name, settings, cache, log)
    if settings.registration is Registration.AFFINE:
        return Way(affine=affine)
    where = settings.template_for(clean.contrast)

    def compute() -> dict[str, np.ndarray]:
        from hale.prep.deform import deform

        warp = deform(clean.volume, clean.brain, template_of(where), affine)
        grid = np.array([*warp.grid.shape], np.int64)
        fields = {"forward": warp.forward, "inverse": warp.inverse}
        return {**fields, "shape": grid, "affine": warp.grid.affine}

    found = cache.get(
        "deform", key_of(VERSION, template_hash(where), affine.tolist(), clean.content), compute
    )
    i, j, k = (int(n) for n in found["shape"])
    grid = Grid(shape=(i, j, k), affine=found["affine"])
    return Way(
        affine=affine, warp=Warp(grid=grid, forward=found["forward"], inverse=found["inverse"])
    )


def to_other(
    other: Volume, reference: Clean, name: str, contrast: Contrast, cache: Cache, log: Log
) -> Affine:
    """Return position in the reference contrast to position in another one, mm.

    Args:
        other: Moved; a whole head or a brain, finite.
        reference: Stays.
        name: Of the exam.
        contrast: Of ``other``.
        cache: Where registrations are kept.
        log: Takes how it was come by.

    Raises:
        Refused: ITK finds no transform.
    """

    def compute() -> dict[str, np.ndarray]:
        what = f"{name} {contrast}"
        return _found(what, lambda: registered_rigid(other, reference.volume, reference.brain))

    key = key_of(VERSION, other.values, other.grid.affine.tolist(), reference.content)
    return _noted(cache.get("rigid", key, compute), log, f"_{contrast}")


def _found(name: str, register: Callable[[], Registered]) -> dict[str, np.ndarray]:
    """Return a registration as arrays; ITK's reason for a failure is in its last line."""
    try:
        found = register()
    except RuntimeError as error:
        why = f"registration failed ({str(error).strip().splitlines()[-1]})"
        raise Refused(name, why, "check orientation and extraction") from None
    figures = np.array([found.likeness, found.starts], np.float64)
    return {"transform": found.transform, "figures": figures}


def _noted(found: Arrays, log: Log, suffix: str = "") -> Affine:
    """Note how alike the volumes became, and how many starts that took."""
    likeness, starts = found["figures"]
    log.checks[f"mutual_information{suffix}"] = float(likeness)
    log.checks[f"registration_starts{suffix}"] = float(starts)
    return np.asarray(found["transform"])


def brought(
    volume: Volume, brain: Mask, way: Way, grid: Grid, settings: Preparation
) -> MapElsewhere:
    """Return the intensities on the model grid: their one interpolation.

    Args:
        volume: Native intensities.
        brain: Native; its values bound the result, since a cubic spline overshoots at edges.
        way: From ``grid`` to the scan.
        grid: Of the model.
        settings: Of the recipe.
    """
    calm = _curvature_flow(volume, settings.curvature_flow)
    voxel = np.linalg.norm((way.affine @ grid.affine)[:3, :3], axis=0)  # a small head's is smaller
    fine = Volume(values=smoothed(calm, float(voxel.min())), grid=volume.grid)
    image = way.bring(fine.values, fine.grid, grid, order=3)
    inside = volume.values[brain]
    return image.clip(inside.min(), inside.max())


def covered(volume: Volume, way: Way, grid: Grid) -> MaskElsewhere:
    """Return where on ``grid`` the field of view of ``volume`` reaches."""
    return way.bring_mask(np.ones(volume.grid.shape, bool), volume.grid, grid)


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


def coarsened(placed: Placed, grid: Grid, factor: int) -> Placed:
    """Return an exam on ``grid`` in blocks of voxels: the mean of their brain, if it is half."""
    voxels = grid.summed(placed.brain.astype(np.float32), factor)
    whole = grid.summed(np.ones(grid.shape, np.float32), factor)
    inside = voxels >= whole / 2
    images = {
        contrast: grid.summed(np.where(placed.brain, values, np.float32(0)), factor)
        / np.maximum(voxels, 1)
        for contrast, values in placed.images.items()
    }
    return replace(placed, images=images, inside=inside, reached=dict.fromkeys(images, inside))
