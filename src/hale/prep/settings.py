"""What a recipe decides about preparation."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from hale.core.grid import Grid
from hale.core.scan import Contrast

SMALLEST = 8
"""Voxels along an axis that a model grid has at least."""


class Mode(StrEnum):
    """How much of the preparation is left to do."""

    FULL = "full"
    """A raw or brain-extracted exam anywhere in space: extract, correct, register, resample."""
    GIVEN = "given"
    """Brain-extracted and in the model's space already: only normalise."""


class Normalisation(StrEnum):
    """What becomes of intensities inside the brain."""

    PERCENTILE = "percentile"
    """Linear, ``low`` percentile to 0 and ``high`` percentile to 1."""
    ROBUST_Z = "robust_z"
    """Minus the median, over the robust spread (1.4826 x median absolute deviation)."""
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Settings of the preparation; the `[prep]` table of a recipe."""

    slots: tuple[tuple[Contrast, ...], ...] = ((Contrast.T1W,),)
    """One per channel: the contrasts it accepts."""
    mode: Mode = Mode.FULL
    """How much of the preparation is left to do."""
    spacing_mm: Annotated[float, Gt(0)] = 2.0
    """Of the model grid, isotropic."""
    shape: tuple[int, int, int] = (96, 96, 80)
    """Of the model grid, voxels."""
    centre_mm: tuple[float, float, float] = (0.0, -17.0, 5.0)
    """Middle of the model grid in MNI152: the middle of the template's brain."""
    bias: bool = True
    """Correct the bias field (N4)."""
    normalise: Normalisation = Normalisation.PERCENTILE
    """What becomes of intensities inside the brain."""
    low: Annotated[float, Ge(0), Le(100)] = 1.0
    """Percentile of the brain that becomes 0."""
    high: Annotated[float, Ge(0), Le(100)] = 99.0
    """Percentile of the brain that becomes 1."""
    clip: bool = True
    """Limit normalised intensities to [0, 1] (percentile only)."""
    min_overlap: Annotated[float, Ge(0), Le(1)] = 0.85
    """Dice of the registered brain with the template's below which registration has failed."""
    min_resemblance: Annotated[float, Ge(0), Le(1)] = 0.1
    """Share of the intensities that the template must explain, else it was no brain."""

    def __post_init__(self) -> None:
        """Refuse settings that do not go together."""
        if not self.slots or not all(self.slots):
            raise ValueError("slots: give one or more, each with a contrast, such as [['T1w']]")
        if self.mode is Mode.FULL and min(self.shape) < SMALLEST:
            given = " x ".join(map(str, self.shape))
            raise ValueError(f"shape: {given} voxels; give {SMALLEST} or more along each axis")
        if self.low >= self.high:
            raise ValueError(f"low: {self.low:g} is not below high = {self.high:g}")

    @property
    def grid(self) -> Grid:
        """Return the model grid in template space."""
        affine = np.diag([self.spacing_mm] * 3 + [1.0])
        half = (np.array(self.shape) - 1) / 2 * self.spacing_mm
        affine[:3, 3] = np.array(self.centre_mm) - half
        return Grid(shape=self.shape, affine=affine)
