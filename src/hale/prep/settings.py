"""What a recipe decides about preparation."""

from dataclasses import dataclass, field
from enum import StrEnum
from shutil import which
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from hale.core.grid import Grid
from hale.core.scan import Contrast, Slots

MNI152 = "mni152"
FAST = "fast"
"""The program of FSL."""
SMALLEST = 8
"""Voxels along an axis that a model grid has at least."""


class Mode(StrEnum):
    """How much of the preparation is left to do."""

    FULL = "full"
    """A raw or brain-extracted exam anywhere in space: extract, correct, register, resample."""
    GIVEN = "given"
    """Brain-extracted and in the model's space already: only normalise."""
    NATIVE = "native"
    """Where the scanner put it, for methods that learn from the scan itself: extract, correct."""


class Extraction(StrEnum):
    """How the brain of a whole head is found. CT: always by thresholds."""

    DEEPBET = "deepbet"
    """A network for any MR contrast, its weights at hand."""
    TEMPLATE = "template"
    """Where the registered template's brain is: coarse, needs no network."""
    COMMAND = "command"
    """A program of the user's: ``brain_command``."""


class Registration(StrEnum):
    """How freely the template is moved onto the scan."""

    AFFINE = "affine"
    """12 degrees of freedom."""
    DEFORMABLE = "deformable"
    """Affine, then symmetric normalisation (SyN) by ANTs; needs hale[ants]."""


class Normalisation(StrEnum):
    """What becomes of intensities inside the brain."""

    PERCENTILE = "percentile"
    """Linear, ``low`` percentile to 0 and ``high`` percentile to 1."""
    ROBUST_Z = "robust_z"
    """Minus the median, over the robust spread (1.4826 x median absolute deviation)."""
    WINDOW = "window"
    """Linear, ``window`` (in the scan's own units: HU for CT) to 0 and 1, limited to them."""
    TISSUE = "tissue"
    """The tissue instead of the intensity: fluid 1/3, grey matter 2/3, white matter 1."""
    CLASSES = "classes"
    """The scan is a map of tissue classes already, 0 to 3 (FSL FAST's ``_seg``): over 3."""
    NONE = "none"


class Segmenter(StrEnum):
    """Who finds the tissue classes."""

    FAST = "fast"
    """FSL FAST, a program to be installed apart; volumes only."""
    ATROPOS = "atropos"
    """ANTs Atropos with the template's tissues as priors; needs hale[ants]."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Settings of the preparation; the `[prep]` table of a recipe."""

    slots: Slots = ((Contrast.T1W,),)
    """One per channel: the contrasts it accepts. The first channel is registered to the template,
    the others to it."""
    mode: Mode = Mode.FULL
    """How much of the preparation is left to do."""
    spacing_mm: Annotated[float, Gt(0)] = 2.0
    """Of the model grid, isotropic."""
    shape: tuple[int, int, int] = (96, 96, 80)
    """Of the model grid, voxels."""
    centre_mm: tuple[float, float, float] | None = None
    """Middle of the model grid in the template; left out: the middle of the template's brain."""
    template: str = MNI152
    """``mni152``, or the path of a brain-extracted image, background 0."""
    templates: dict[Contrast, str] = field(default_factory=dict)
    """Templates of the reference's contrasts where they differ from ``template``, in one space."""
    registration: Registration = Registration.AFFINE
    """How freely the template is moved onto the scan."""
    brain: Extraction = Extraction.DEEPBET
    """How the brain of a whole head is found, unless a mask is given or it is extracted already."""
    brain_command: str = ""
    """With ``{in}`` and ``{out}``, e.g. ``mri_synthstrip -i {in} -m {out}``."""
    bias: bool = True
    """Correct the bias field (N4). Never on CT."""
    curvature_flow: Annotated[int, Ge(0)] = 0
    """Iterations of curvature-flow smoothing (time step 0.125) before resampling."""
    coarsen: Annotated[int, Ge(1)] = 1
    """Voxels along each axis (of a slice: in its plane) that the model sees as one, the mean of
    their brain (given only). A map comes back to the scan's own voxels."""
    normalise: Normalisation = Normalisation.PERCENTILE
    """What becomes of intensities inside the brain."""
    segmenter: Segmenter | None = None
    """Who finds the tissue classes (tissue only); left out: FAST where it is installed, else
    Atropos, and the model's own recipe says which it was."""
    low: Annotated[float, Ge(0), Le(100)] = 1.0
    """Percentile of the brain that becomes 0."""
    high: Annotated[float, Ge(0), Le(100)] = 99.0
    """Percentile of the brain that becomes 1."""
    window: tuple[float, float] = (0.0, 80.0)
    """What becomes 0 and 1, in the scan's own units (window only); a brain window in HU."""
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
        if self.coarsen > 1 and self.mode is not Mode.GIVEN:
            raise ValueError("coarsen: goes with mode = 'given'; the others have spacing_mm")
        unused = [contrast for contrast in self.templates if contrast not in self.slots[0]]
        if unused:
            raise ValueError(f"templates: {unused[0]} is none of the reference's contrasts")
        if self.low >= self.high:
            raise ValueError(f"low: {self.low:g} is not below high = {self.high:g}")
        if self.window[0] >= self.window[1]:
            raise ValueError(f"window: {self.window[0]:g} is not below {self.window[1]:g}")
        if (self.brain is Extraction.COMMAND) != bool(self.brain_command):
            raise ValueError("brain_command: goes with brain = 'command', and it with that")
        self._settle_tissue()

    def _settle_tissue(self) -> None:
        """Refuse what has no tissue classes; write down who finds them."""
        given = self.mode is Mode.GIVEN and self.coarsen == 1
        if self.normalise is Normalisation.CLASSES and not given:
            raise ValueError("normalise: classes are not to be resampled; set mode = 'given'")
        if self.normalise is not Normalisation.TISSUE:
            return
        if self.mode is Mode.NATIVE:
            raise ValueError("normalise: tissue priors need a scan in the template's space")
        if any(Contrast.CT in slot for slot in self.slots):
            raise ValueError("normalise: a CT has no tissue classes")
        if self.segmenter is None:
            here = Segmenter.FAST if which(FAST) else Segmenter.ATROPOS
            object.__setattr__(self, "segmenter", here)

    def template_for(self, contrast: Contrast) -> str:
        """Return the template that a reference of this contrast is registered to."""
        return self.templates.get(contrast, self.template)

    @property
    def template_of_reference(self) -> str:
        """Return the template of the reference's first contrast, where the model grid lies."""
        return self.template_for(self.slots[0][0])

    def grid_about(self, middle_mm: np.ndarray) -> Grid:
        """Return the model grid in template space, about ``centre_mm`` or else ``middle_mm``."""
        affine = np.diag([self.spacing_mm] * 3 + [1.0])
        half = (np.array(self.shape) - 1) / 2 * self.spacing_mm
        centre = middle_mm if self.centre_mm is None else np.array(self.centre_mm)
        affine[:3, 3] = centre - half
        return Grid(shape=self.shape, affine=affine)
