"""The template that a recipe names: the built-in MNI152, or any brain-extracted image."""

from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from hale.core.errors import Refused
from hale.core.grid import Grid, resample
from hale.core.scan import Volume
from hale.core.types import Map
from hale.io.nifti import file_hash, read_volume
from hale.io.template import mni152
from hale.prep.brain.extracted import ML, already_extracted
from hale.prep.finite import finite
from hale.prep.settings import MNI152
from hale.prep.working import smoothed

TEMPLATE_BRAIN = 0.05
"""Of the template's maximum: where its brain is."""


@cache
def template_of(where: str) -> Volume:
    """Return a template, 0 to 1, and 0 outside the brain; read-only.

    Args:
        where: ``mni152``, or the path of a brain-extracted image.

    Raises:
        Refused: It cannot be read, or is no brain alone: what is not 0 is not one piece of a
            brain's size (MNI152: 1,890 ml).
    """
    if where == MNI152:
        return mni152()
    volume = read_volume(Path(where)).volume
    values = finite(volume.values).clip(min=0)
    if values[0, 0, 0] != 0 or already_extracted(Volume(values=values, grid=volume.grid)) is None:
        size = f"one piece of {ML[0]:.0f} to {ML[1]:.0f} ml"
        why = f"is no brain-extracted template: what is not 0 is not {size}"
        raise Refused(where, why, "give the template of the brain alone, 0 around it")
    values = (values / values.max()).astype(np.float32)
    values.setflags(write=False)
    return Volume(values=values, grid=volume.grid)


def template_hash(where: str) -> str:
    """Return what a template is known by: its name if built in, the hash of its file if not."""
    template_of(where)
    return where if where == MNI152 else file_hash(Path(where))


def middle_of(template: Volume) -> np.ndarray:
    """Return the middle of the box around the template's brain, mm."""
    at = np.argwhere(template.values > 0)
    middle: np.ndarray = template.grid.positions((at.min(0) + at.max(0))[None] / 2)[0]
    return middle


def template_on(grid: Grid, where: str = MNI152) -> Map:
    """Return the template on the model grid."""
    return resample(_smooth(where, min(grid.spacing)), template_of(where).grid, grid)


@lru_cache(maxsize=2)
def _smooth(where: str, spacing_mm: float) -> Map:
    """Return a template low-passed for a spacing, read-only; scans of a cohort share it."""
    values = smoothed(template_of(where), spacing_mm)
    values.setflags(write=False)
    return values
