"""What a threshold means among healthy scans: from the calibration's ladder.

The ladder holds the component masses of each healthy scan at a few thresholds. Between two steps
the lower one speaks: there each component is part of a heavier one, so shares and p are bounds from
above. The number of components is no such bound, and is interpolated.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hale.calibration import Calibration


def figures(calibration: Calibration | None, z: float, lightest: float | None) -> dict[str, Any]:
    """Return what healthy scans show at a threshold, as plain JSON; None where unknown.

    Args:
        calibration: Of the model; None if it is not here, or uncalibrated.
        z: The threshold.
        lightest: Mass (ml) of the lightest component shown; None without one.
    """
    steps = [] if calibration is None else [step for step in calibration.ladder if step <= z + 1e-9]
    if calibration is None or not steps:
        return {
            "healthy_share": None,
            "healthy_share_any": None,
            "false_components": None,
            "voxel_p": None,
            "ladder_z": None,
            "healthy_scans": None,
        }
    heaviest = _heaviest(calibration, steps[-1])
    share = None if heaviest is None or lightest is None else float((heaviest >= lightest).mean())
    return {
        "healthy_share": share,
        "healthy_share_any": None if heaviest is None else float((heaviest > 0).mean()),
        "false_components": false_components(calibration, z),
        "voxel_p": float(calibration.p_voxel(np.full((1, 1, 1), z, np.float32))[0, 0, 0]),
        "ladder_z": steps[-1],
        "healthy_scans": len(calibration.maxima),
    }


def p_values(calibration: Calibration | None, z: float, masses: Sequence[float]) -> list[Any]:
    """Return (1 + healthy scans with a component at least as heavy) / (n + 1), at most, of each.

    None where the calibration does not reach down to ``z``, or knows scans there, not people.
    """
    steps = [] if calibration is None else [step for step in calibration.ladder if step <= z + 1e-9]
    if calibration is None or not steps:
        return [None] * len(masses)
    heaviest = _heaviest(calibration, steps[-1])
    if heaviest is None:
        return [None] * len(masses)
    heaviest = np.sort(heaviest)
    heavier = len(heaviest) - np.searchsorted(heaviest, masses, side="left")
    found: list[Any] = ((1 + heavier) / (len(heaviest) + 1)).tolist()
    return found


def false_components(calibration: Calibration, z: float) -> float:
    """Return the mean number of components of a healthy scan, linear between the steps."""
    steps = list(calibration.ladder)
    means = [float(np.mean([len(masses) for masses in calibration.ladder[s]])) for s in steps]
    return float(np.interp(z, steps, means))


def _heaviest(calibration: Calibration, step: float) -> np.ndarray | None:
    """Return the mass of the heaviest component of each healthy person at a step, 0 without one.

    None where people have several scans: the ladder does not say whose each is.
    """
    if step == calibration.settings.z0:
        return calibration.maxima
    if len(calibration.ladder[step]) != len(calibration.maxima):
        return None
    return np.array([masses.max(initial=0.0) for masses in calibration.ladder[step]])
