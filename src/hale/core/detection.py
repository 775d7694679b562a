"""What `detect` found in one scan, on the grid that the scan came on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hale.core.quality import ContrastSeen, Quality
from hale.core.scan import Contrast, Volume
from hale.core.types import Labels, Map, Mask


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """One component of the mask."""

    label: int
    """Its number in the mask, 1 for the heaviest."""
    volume_ml: float
    centre_mm: tuple[float, float, float]
    """Native position of its centre of mass, mm RAS+."""
    centre_mni_mm: tuple[float, float, float] | None
    """The same in MNI152, if the scan was registered to it."""
    peak: float
    """Highest standardised score."""
    peak_mm: tuple[float, float, float]
    mass: float
    """Sum of (z - z0) times voxel volume, ml: what the p-value is of."""
    p: float
    """Chance of a component at least as heavy anywhere in a healthy scan."""


@dataclass(frozen=True, kw_only=True)
class Validity:
    """Whether the calibration speaks for this scan."""

    holds: bool
    reasons: tuple[str, ...] = ()
    """Why not: each a known difference from the calibration cohort."""
    not_checked: tuple[str, ...] = ()
    """What could not be compared, because the file does not say."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Detection:
    """Everything that is written for one scan. Arrays are on the native grid, RAS+."""

    id: str
    contrasts: Mapping[Contrast, Volume]
    """The scan as it was read, one volume per contrast; the first one's grid is the output's."""
    brain: Mask
    anomaly: Map
    """Standardised score z where calibrated, the method's own score otherwise; 0 off the brain."""
    pvalue: Map | None
    """Voxel-wise p, 1 outside the brain; None where uncalibrated."""
    mask: Labels | None
    """Numbered lesions; None where uncalibrated."""
    pseudo_healthy: Map | None
    """In the scan's own intensities, without their bias field."""
    lesions: tuple[Lesion, ...]
    score: float
    """Scan-level score: mean of the top 1 % of the standardised map in the brain."""
    flagged: bool | None
    validity: Validity | None
    """None where uncalibrated."""
    checks: Mapping[str, float]
    """Figures of extraction and registration: brain_ml, overlap_dice, correlation, ..."""
    quality: Quality = field(default_factory=Quality)
    """Whether the scan and its preparation are fit for use; apart from what was found in it."""
    contrasts_seen: tuple[ContrastSeen, ...] = ()
    """What each contrast looks like, beside what it was called."""
    template: Mapping[str, Any] = field(default_factory=dict)
    """Registration pictures: ``scan`` (contrast i j k) and ``template`` (i j k) on the model grid,
    if registered."""
    notes: tuple[str, ...] = ()
    """What was repaired or is in doubt, a sentence each."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time per stage."""
    own: Map | None = None
    """The method's own score before it was standardised, where it was asked for."""
    place: Mapping[str, Any] | None = None
    """Where the scan lies in the model's space, as `Trace.place` tells it."""
    calibration: Mapping[str, Any] | None = None
    """alpha, z0, n scans, n voxels, realised-rate interval; None where uncalibrated."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """recipe, method, reference, model hash, versions, input hash, precision, ..."""
