"""Intensities made comparable between scans, by robust statistics of the brain."""

import numpy as np

from hale.core.errors import Refused
from hale.core.types import Map, Mask
from hale.prep.settings import Normalisation, Preparation


def normalised(
    values: Map, brain: Mask, settings: Preparation, name: str
) -> tuple[Map, tuple[float, float]]:
    """Return unitless intensities, 0 outside the brain, and the (offset, scale) that undoes it.

    Raises:
        Refused: The brain is one grey value.
    """
    inside = values[brain]
    match settings.normalise:
        case Normalisation.PERCENTILE:
            low, high = np.percentile(inside, [settings.low, settings.high])
            offset, scale = float(low), float(high - low)
        case Normalisation.ROBUST_Z:
            offset = float(np.median(inside))
            scale = 1.4826 * float(np.median(np.abs(inside - offset)))
        case Normalisation.WINDOW:
            offset, scale = settings.window[0], settings.window[1] - settings.window[0]
        case Normalisation.CLASSES:
            offset, scale = 0.0, _classes(inside, name)
        case _:
            offset, scale = 0.0, 1.0
    if scale <= 0:
        raise Refused(name, "the brain has no contrast (one grey value)", "check the scan")
    unitless = (values - offset) / scale
    percentile = settings.normalise is Normalisation.PERCENTILE
    if settings.normalise is Normalisation.WINDOW or (settings.clip and percentile):
        unitless = unitless.clip(0, 1)
    return np.where(brain, unitless, 0).astype(np.float32), (offset, scale)


def _classes(inside: np.ndarray, name: str) -> float:
    """Return what the highest class is called.

    Raises:
        Refused: The scan is no map of classes.
    """
    if not np.isin(inside, (1, 2, 3)).all():
        why = "holds other values in the brain than the classes 1, 2 and 3"
        raise Refused(name, why, "give FAST's _seg file, or set prep.normalise = 'tissue'")
    return 3.0
