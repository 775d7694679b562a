"""What is measured and recognised of an exam once it lies in the model's space."""

from functools import cache

import numpy as np
from scipy.ndimage import distance_transform_edt

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.quality import ContrastSeen
from hale.core.scan import Contrast, RawScan
from hale.core.types import Affine, Map, Mask
from hale.io.template import mni152
from hale.prep.artefacts import artefacts
from hale.prep.contrast import agrees, is_clear, recognise
from hale.prep.log import Log
from hale.prep.measures import CORE_MM, Registered, contrast_measures, measures
from hale.prep.place import Placed
from hale.prep.register import register
from hale.prep.settings import MNI152, Preparation
from hale.prep.template import TEMPLATE_BRAIN, template_of, template_on

LIES_ON_TEMPLATE = 0.8
"""Dice from which on a brain that was not registered is taken to lie in the template's space."""


def inspect_registered(raw: RawScan, placed: Placed, settings: Preparation, log: Log) -> None:
    """Measure a registered exam, recognise its contrasts; refuse what lies in the wrong place.

    Args:
        raw: As read.
        placed: On the model grid.
        settings: Of the recipe.
        log: Takes figures and contrasts.

    Raises:
        Refused: Too little overlap with the template, or a contrast that it does not explain.
    """
    reference, *_ = placed.images
    template = template_on(placed.grid, settings.template_for(reference))
    for contrast, image in placed.images.items():
        registered = Registered(
            image=image,
            inside=placed.reached[contrast],
            template=template,
            grid=placed.grid,
            to_native=placed.ways[contrast].affine,
        )
        if contrast is reference:
            log.checks.update(measures(raw.reference, placed.brain, registered))
            _refuse_misplaced(raw.id, settings, log)
        else:
            found = contrast_measures(raw.volumes[contrast], registered)
            log.checks.update({f"{key}_{contrast}": value for key, value in found.items()})
        _refuse_unlike(raw.id, contrast, settings, log, first=contrast is reference)
        grid = in_mni(placed.grid, settings.template_of_reference)
        log.contrasts.append(_seen(contrast, image, placed.reached[contrast], grid))


def inspect_given(raw: RawScan, brain: Mask, log: Log) -> None:
    """Recognise the contrasts of an exam that was not registered, if it lies on the template."""
    grid = raw.reference.grid
    there = template_on(grid) > TEMPLATE_BRAIN
    dice = 2 * float((brain & there).sum()) / max(1.0, float(brain.sum() + there.sum()))
    if dice < LIES_ON_TEMPLATE:
        _not_compared(raw, "it does not lie on the template", log)
        return
    if min(grid.shape) > 1:
        log.checks["brain_ml"] = float(brain.sum()) * grid.voxel_ml
    for contrast, volume in raw.volumes.items():
        log.contrasts.append(_seen(contrast, volume.values, brain, grid))


def inspect_native(raw: RawScan, brain: Mask, log: Log) -> None:
    """Measure the image of a scan that stays where it is; the bounds are not those of a CT."""
    volume = raw.reference
    _not_compared(raw, "it is not registered", log)
    log.checks["brain_ml"] = float(brain.sum()) * volume.grid.voxel_ml
    if Contrast.CT in raw.volumes:
        return
    depth = distance_transform_edt(brain, sampling=volume.grid.spacing)
    log.checks.update(artefacts(volume, np.argwhere(depth > CORE_MM)))


def _not_compared(raw: RawScan, why: str, log: Log) -> None:
    """Say that no contrast could be recognised."""
    for contrast in raw.volumes:
        said = f"not compared with the template's tissues: {why}"
        log.contrasts.append(ContrastSeen(claimed=contrast, recognised=None, agrees=True, why=said))


def in_mni(grid: Grid, template: str) -> Grid:
    """Return the model grid where it lies in MNI152, whose tissues are known."""
    if template == MNI152:
        return grid
    return Grid(shape=grid.shape, affine=_to_mni(template) @ grid.affine)


@cache
def _to_mni(template: str) -> Affine:
    """Return position in a template to position in MNI152, mm; registered once a process.

    Raises:
        Refused: The template looks like no brain.
    """
    volume = template_of(template)
    try:
        return np.linalg.inv(register(volume, volume.values > 0, mni152()))
    except RuntimeError:
        why = "cannot be registered to MNI152: it looks like no brain"
        raise Refused(template, why, "give a brain-extracted template") from None


def _seen(contrast: Contrast, image: Map, inside: Mask, grid: Grid) -> ContrastSeen:
    found = recognise(image, inside, grid)
    return ContrastSeen(
        claimed=contrast,
        recognised=found.contrast,
        agrees=agrees(found, contrast),
        why=found.reason,
        is_clear=is_clear(found),
    )


def _refuse_misplaced(name: str, settings: Preparation, log: Log) -> None:
    """Refuse a registration that does not lay brain on brain."""
    dice = log.checks["overlap_dice"]
    if dice < settings.min_overlap:
        why = f"registration failed: Dice with the template's brain {dice:.2f}"
        remedy = f"the bound is {settings.min_overlap}; check orientation and extraction"
        raise Refused(name, why, remedy)


def _refuse_unlike(
    name: str, contrast: Contrast, settings: Preparation, log: Log, *, first: bool
) -> None:
    """Refuse a contrast whose tissue does not lie on the template's."""
    alike = log.checks["resemblance" if first else f"resemblance_{contrast}"]
    if alike >= settings.min_resemblance:
        return
    explained = f"the template explains {100 * alike:.0f} % of its intensities"
    why = f"no brain found: {explained}" if first else f"{contrast} does not fit: {explained}"
    bound = f"the bound is {100 * settings.min_resemblance:g} %"
    raise Refused(name, why, f"{bound}; check the scan and its extraction")
