"""Where the template's positions lie in each contrast, and the contrasts brought there."""

from collections.abc import Mapping

import numpy as np
import SimpleITK as sitk

from hale.core.errors import Refused
from hale.core.grid import Grid, resample, resample_mask
from hale.core.scan import Contrast, Volume
from hale.core.types import Affine, Map, MapElsewhere, Mask, MaskElsewhere
from hale.io.cache import Cache, key_of
from hale.prep.log import Log
from hale.prep.quality import resemblance
from hale.prep.register import register, smoothed
from hale.prep.settings import Preparation
from hale.prep.template import TEMPLATE_BRAIN, template_hash, template_of, template_on
from hale.prep.threads import single_threaded

VERSION = 1
"""Of the registrations' results: raise it when one finds something else."""
TIME_STEP = 0.125
"""Of the curvature flow."""


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


def check_place(
    name: str,
    images: Mapping[Contrast, Map],
    inside: Mask,
    settings: Preparation,
    grid: Grid,
    log: Log,
) -> None:
    """Refuse a registration that does not lay brain on brain, and tissue on tissue.

    Raises:
        Refused: Too little overlap with the template, or a contrast that it does not explain.
    """
    template = template_on(grid, settings.template_of_reference)
    there = template > TEMPLATE_BRAIN
    both = inside & there
    dice = 2 * float(both.sum()) / max(1.0, float(inside.sum() + there.sum()))
    log.checks["overlap_dice"] = dice
    if dice < settings.min_overlap:
        why = f"registration failed: Dice with the template's brain {dice:.2f}"
        remedy = f"the bound is {settings.min_overlap}; check orientation and extraction"
        raise Refused(name, why, remedy)
    for number, (contrast, image) in enumerate(images.items()):
        suffix = "" if number == 0 else f"_{contrast}"
        if image[both].std() > 0:
            correlation = np.corrcoef(image[both], template[both])[0, 1]
            log.checks[f"correlation{suffix}"] = float(correlation)
        alike = resemblance(image, template, both, grid)
        log.checks[f"resemblance{suffix}"] = alike
        if not alike >= settings.min_resemblance:
            _refuse_unlike(name, contrast, alike, settings, first=number == 0)


def _refuse_unlike(
    name: str, contrast: Contrast, alike: float, settings: Preparation, *, first: bool
) -> None:
    explained = f"the template explains {100 * alike:.0f} % of its intensities"
    why = f"no brain found: {explained}" if first else f"{contrast} does not fit: {explained}"
    bound = f"the bound is {100 * settings.min_resemblance:g} %"
    raise Refused(name, why, f"{bound}; check the scan and its extraction")
