"""Operating points from healthy scans alone: standardise, p-values, a promise per scan."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Calibrating:
    """Settings of the calibration; the `[calibration]` table of a recipe."""

    alpha: float = 0.1
    """Promised share of healthy scans that are flagged."""
    z0: float = 3.0
    """Standardised score that forms components. Never tuned on calibrate or test scans."""
    smooth_mm: float = 8.0
    """Full width at half maximum that smooths the normative mean and spread, mm."""
    floor: float = 0.5
    """Smallest spread, as a share of the brain's median spread."""
