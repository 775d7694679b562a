"""The post-processing that a recipe asks for, in its stated order."""

from dataclasses import replace

from hale.core.anomaly import AnomalyMap
from hale.core.grid import Grid
from hale.post.edges import eroded, median
from hale.post.settings import PostProcessing
from hale.post.smooth import smoothed


def processed(anomaly: AnomalyMap, grid: Grid, settings: PostProcessing) -> AnomalyMap:
    """Return the map after erosion, smoothing and median, on the same brain."""
    values, brain = anomaly.values, anomaly.brain
    if settings.erode:
        values = values * eroded(brain, times=settings.erode)
    if settings.smooth_mm:
        values = smoothed(values, brain, grid, fwhm_mm=settings.smooth_mm)
    if settings.median:
        values = median(values, brain, width=settings.median)
    return replace(anomaly, values=values)
