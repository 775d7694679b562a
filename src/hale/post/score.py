"""The anomaly map of a scan by the score that a recipe asks for."""

from collections.abc import Callable
from typing import Final

import numpy as np

from hale.core.anomaly import AnomalyMap
from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.method import Detector, Reconstructs
from hale.core.scan import Scan
from hale.core.types import Image, Map
from hale.post.mahalanobis import Samples, blurred, distance, rescaled
from hale.post.normative import NormativeResidual
from hale.post.settings import PostProcessing, Score
from hale.post.ssim import ensemble, range_of, similarity

REMEDY = "take score 'own'"
RESIDUALS: Final[dict[Score, Callable[[np.ndarray], np.ndarray]]] = {
    Score.L1: np.abs,
    Score.L2: np.square,
    Score.BRIGHTER: lambda residual: residual.clip(min=0),
    Score.DARKER: lambda residual: (-residual).clip(min=0),
}
"""Scores that are one function of x - x_hat."""


def scored(
    detector: Detector,
    scan: Scan,
    settings: PostProcessing,
    norm: NormativeResidual | None = None,
) -> AnomalyMap:
    """Return the anomaly map of ``scan`` by ``settings.score``, before any other post-processing.

    Args:
        detector: Its own score, or its pseudo-healthy pictures: draw 0, or draws 1 to n for `mhd`.
        scan: Prepared; intensities of about 0 to 1 for `ssim`, `ssim_ens` and `mhd`.
        settings: Which score, and how.
        norm: Of healthy scans; `normative` needs it.

    Raises:
        Refused: The detector makes no pseudo-healthy picture, its draws are all the same, or
            nothing is known of healthy scans' residual.
    """
    if settings.score is Score.OWN:
        return detector.score(scan)
    if not isinstance(detector, Reconstructs):
        raise no_picture(settings.score, "this method")
    if settings.score is Score.MHD:
        return _outside_samples(drawn(detector, scan, settings), scan, settings)
    x_hat = detector.reconstruct(scan, level=settings.level)
    if settings.score is Score.NORMATIVE:
        if norm is None:
            why = "the model knows no healthy residual: it is not calibrated"
            raise Refused("post.score = 'normative'", why, "`hale fit` or `hale calibrate` it")
        values = norm.magnitude(scan.image - x_hat, scan.brain)
    else:
        values = _departure(scan.image, x_hat, scan.space.grid, settings) * scan.brain
    return AnomalyMap(values=values, brain=scan.brain, pseudo_healthy=x_hat)


def drawn(detector: Reconstructs, scan: Scan, settings: PostProcessing) -> Samples:
    """Return draws 1 to n of the pseudo-healthy picture.

    Raises:
        Refused: They are all the same.
    """
    pictures = [
        detector.reconstruct(scan, draw=draw, level=settings.level)
        for draw in range(1, settings.samples + 1)
    ]
    if all(np.array_equal(pictures[0], picture) for picture in pictures[1:]):
        raise no_draws("this method")
    return np.stack(pictures)


def refuse_score(score: Score, detector: type, method: str) -> None:
    """Refuse a score that a method cannot have, as far as the class of its detector tells.

    Args:
        score: That a recipe asks for.
        detector: What the method's `restore` says it returns.
        method: Its name.

    Raises:
        Refused: The class makes no pseudo-healthy picture, or draws nothing.
    """
    if score is Score.OWN or detector is Detector:
        return
    if not issubclass(detector, Reconstructs):
        raise no_picture(score, method)
    if score is Score.MHD and "seed" not in getattr(detector, "__dataclass_fields__", ()):
        raise no_draws(method)


def no_picture(score: Score, method: str) -> Refused:
    """Return the refusal of a method that shows no pseudo-healthy picture."""
    why = f"{method} makes no pseudo-healthy picture to compare with"
    return Refused(f"post.score = '{score}'", why, f"{REMEDY}, or a method that reconstructs")


def no_draws(method: str) -> Refused:
    """Return the refusal of a method whose pictures of one scan are all the same."""
    why = f"{method} draws nothing: all its pictures of a scan are the same"
    return Refused("post.score = 'mhd'", why, f"{REMEDY} or 'ssim_ens', or a method that samples")


def _outside_samples(samples: Samples, scan: Scan, settings: PostProcessing) -> AnomalyMap:
    """Return (1 - similarity with the mean sample) times the Mahalanobis distance."""
    grid, brain = scan.space.grid, scan.brain
    mean = samples.mean(0, dtype=np.float64).astype(np.float32)
    far = rescaled(distance(scan.image, samples, brain), settings.normalise)
    values = _departure(scan.image, mean, grid, settings) * blurred(far, brain, grid)
    return AnomalyMap(values=values, brain=brain, pseudo_healthy=mean)


def _departure(x: Image, x_hat: Image, grid: Grid, settings: PostProcessing) -> Map:
    """Return residual, squared residual or 1 - similarity, mean over contrasts."""
    parts = [_of_contrast(a, b, grid, settings) for a, b in zip(x, x_hat, strict=True)]
    mean: Map = np.mean(parts, axis=0).astype(np.float32)
    return mean


def _of_contrast(x: Map, x_hat: Map, grid: Grid, settings: PostProcessing) -> np.ndarray:
    """Return the departure in one contrast."""
    if settings.score in RESIDUALS:
        return RESIDUALS[settings.score](x - x_hat)
    width = range_of(x, x_hat, settings.data_range)
    if settings.score is Score.SSIM_ENS:
        return 1 - ensemble(x, x_hat, grid, weights=settings.weights, data_range=width)
    return 1 - similarity(x, x_hat, grid, data_range=width)
