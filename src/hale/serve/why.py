"""Why a voxel is what it is: its score among healthy scans there, its tones, the other side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hale.calibration import Calibration
from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.warp import Way
from hale.prep.settings import Mode
from hale.serve.place import way_of
from hale.serve.results import MAPS, Found
from hale.serve.shelf import Standard
from hale.serve.volumes import Result, grid_of, opened, voxel_at

NO_MODEL = "the model is not here: start hale serve with --models on its folder"
NO_WAY = (
    "where this scan lies in the model's space was not kept; "
    "bring the scan to the station, which keeps it"
)
OTHER_GRID = "the model has another grid than this result was made on"
OUTSIDE = "the place lies outside the model's space"
MIRROR = np.array([-1.0, 1.0, 1.0])
"""Left to right through x = 0, the midsagittal plane of template space."""


def why(
    found: Found,
    result: Result,
    standard: Standard | None,
    scans: Mapping[str, Path],
    position: Sequence[float],
) -> dict[str, Any]:
    """Return what is known of a place, as plain JSON; None where unknown.

    Args:
        found: The result.
        result: Its map and brain.
        standard: Of its model, if that is here.
        scans: The file of each contrast.
        position: mm, RAS+.

    Raises:
        Refused: The place lies outside the scan.
    """
    voxel = voxel_at(result.grid, position)
    if voxel is None:
        raise Refused("the place", "lies outside the scan", "click within it")
    value = float(result.anomaly[voxel])
    calibrated = found.detection.get("calibration") is not None
    place = way_of(found.folder, found.detection.get("place")) or _given(found, standard)
    healthy, unknown = _healthy(standard, place, position) if calibrated else (None, "")
    calibration = None if standard is None else standard.calibration
    score = value if healthy is None else value * healthy["spread"] + healthy["mean"]
    inside = bool(result.brain[voxel])
    return {
        "mm": [round(float(x), 1) for x in position],
        "voxel": list(voxel),
        "in_brain": inside,
        "score": None if calibrated and healthy is None else round(score, 5),
        "z": round(value, 3) if calibrated else None,
        "p": _p(found, calibration, value, position) if calibrated and inside else None,
        "healthy": healthy,
        "healthy_unknown": unknown,
        "scan": {contrast: tone_at(path, position) for contrast, path in scans.items()},
        "pseudo_healthy": tone_at(found.folder / MAPS["pseudo_healthy"], position),
        "mirror": _mirror(result, place, scans, position, mni=_is_in_template(found)),
        "percentile": percentile(result, value) if inside else None,
    }


def percentile(result: Result, value: float) -> float:
    """Return the share of the brain whose score is lower, in per cent."""
    inside = result.anomaly[result.brain]
    return round(100 * float((inside < value).mean()), 2)


def tone_at(path: Path, position: Sequence[float]) -> float | None:
    """Return the intensity of a file at a place, None where it does not reach or is not there."""
    if not path.is_file():
        return None
    voxel = voxel_at(grid_of(path), position)
    if voxel is None:
        return None
    value = float(np.asarray(opened(path).dataobj[voxel]))
    return round(value, 4) if np.isfinite(value) else None


def _given(found: Found, standard: Standard | None) -> tuple[Way, Grid] | None:
    """Return the way of a scan that was taken where it lay, in the space of its model."""
    if standard is None or _mode(found) != Mode.GIVEN:
        return None
    return Way(affine=np.eye(4)), standard.grid


def _healthy(
    standard: Standard | None, place: tuple[Way, Grid] | None, position: Sequence[float]
) -> tuple[dict[str, float] | None, str]:
    """Return mean and spread of the score of healthy scans at a place; without them, why."""
    if standard is None:
        return None, NO_MODEL
    if place is None:
        return None, NO_WAY
    (way, grid), norm = place, standard.calibration.norm
    if grid.shape != norm.mean.shape:
        return None, OTHER_GRID
    voxel = voxel_at(grid, way.back(np.array([position], float))[0].tolist())
    if voxel is None:
        return None, OUTSIDE
    mean, spread = norm.mean[voxel], norm.spread[voxel]
    return {"mean": round(float(mean), 5), "spread": round(float(spread), 5)}, ""


def _p(
    found: Found, calibration: Calibration | None, z: float, position: Sequence[float]
) -> float | None:
    if calibration is None:
        return tone_at(found.folder / MAPS["pvalue"], position)
    return float(calibration.p_voxel(np.full((1, 1, 1), z, np.float32))[0, 0, 0])


def _is_in_template(found: Found) -> bool:
    """Say whether the model's space is that of a template, with its middle at x = 0."""
    return bool(_mode(found) == Mode.FULL)


def _mode(found: Found) -> Any:
    """Return how much was prepared; None if it is not said."""
    recipe = found.detection["provenance"].get("recipe") or {}
    return recipe.get("prep", {}).get("mode")


def _mirror(
    result: Result,
    place: tuple[Way, Grid] | None,
    scans: Mapping[str, Path],
    position: Sequence[float],
    *,
    mni: bool,
) -> dict[str, Any] | None:
    """Return the same place on the other side, and how the side was found; None outside."""
    at = np.array([position], float)
    if mni and place is not None:
        other = place[0].there(place[0].back(at) * MIRROR)[0].tolist()
        how = "template"
    else:
        other = [2 * _middle(result) - position[0], *position[1:]]
        how = "middle of the brain"
    voxel = voxel_at(result.grid, other)
    if voxel is None:
        return None
    return {
        "mm": [round(float(x), 1) for x in other],
        "z": round(float(result.anomaly[voxel]), 3),
        "in_brain": bool(result.brain[voxel]),
        "scan": {contrast: tone_at(path, other) for contrast, path in scans.items()},
        "how": how,
    }


def _middle(result: Result) -> float:
    """Return the x (mm) of the middle of the brain's box."""
    spans = []
    for axis in range(3):
        found = np.flatnonzero(result.brain.any(tuple(a for a in range(3) if a != axis)))
        spans.append((found[0], found[-1]) if found.size else (0, result.grid.shape[axis] - 1))
    middle = np.array([[(first + last) / 2 for first, last in spans]])
    return float(result.grid.positions(middle)[0, 0])
