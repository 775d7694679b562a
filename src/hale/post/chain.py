"""The post-processing that a recipe asks for, in the order that it states."""

from dataclasses import replace

from hale.core.anomaly import AnomalyMap
from hale.core.grid import Grid
from hale.post.edges import eroded, median
from hale.post.settings import Order, PostProcessing
from hale.post.smooth import smoothed


def processed(anomaly: AnomalyMap, grid: Grid, settings: PostProcessing) -> AnomalyMap:
    """Return the map after erosion, smoothing and median in the order asked for, on its brain."""
    values, brain = anomaly.values, anomaly.brain
    inner = eroded(brain, times=settings.erode)
    if settings.order is Order.ERODE_FIRST:
        values = values * inner
    if settings.smooth_mm:
        values = smoothed(values, brain, grid, fwhm_mm=settings.smooth_mm)
    if settings.median:
        values = median(values, brain, width=settings.median)
    if settings.order is Order.MEDIAN_FIRST:
        values = values * inner
    return replace(anomaly, values=values)
