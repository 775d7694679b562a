"""Intensities as classes: what an implicit field predicts.

Reference: Naval Marimont and Tarroni 2021, arXiv:2106.05214.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import numpy as np
from jaxtyping import Float32, UInt8

from hale.core.scan import Scan
from hale.core.types import Map, Mask
from hale.nets.implicit_field import CLASSES

Classes = UInt8[np.ndarray, "i j k"]
"""0 to 9 per voxel."""
Centres = Float32[np.ndarray, "contrast 10"]
"""The intensity that each class stands for."""

PUBLISHED: Final = (
    *(0.00833687, 0.16112877, 0.25637716, 0.33246470, 0.40169780),
    *(0.47404640, 0.55933600, 0.66161925, 0.79282230, 0.96524215),
)
"""K-means of HCP T2w, background included."""
ENOUGH = 2_000
"""Voxels of one brain that its cohort's centres are fitted on."""


class Palette(StrEnum):
    """Where the classes of intensity come from."""

    COHORT = "cohort"
    """Class 0 outside the brain; 1 to 9 by k-means on the brains of the cohort."""
    PUBLISHED = "published"
    """The ten centres of the public code, background and darkest tissue in one class."""


def centres_of(scans: Sequence[Scan], palette: Palette) -> Centres:
    """Return the centres, one row per contrast of ``scans``."""
    contrasts = len(scans[0].space.slots)
    if palette is Palette.PUBLISHED:
        return np.tile(np.array(PUBLISHED, np.float32), (contrasts, 1))
    inside = [scan.image[:, scan.brain] for scan in scans]
    some = np.concatenate([x[:, :: max(1, x.shape[1] // ENOUGH)] for x in inside], axis=1)
    rows = [np.concatenate([[0.0], k_means(row, CLASSES - 1)]) for row in some]
    return np.array(rows, np.float32)


def k_means(values: Float32[np.ndarray, " n"], count: int) -> Float32[np.ndarray, " count"]:
    """Return ``count`` ascending centres of ``values``, by Lloyd's rounds from their quantiles.

    Reference: Lloyd 1982, DOI 10.1109/TIT.1982.1056489. In one dimension a cluster is an interval
    of the sorted values, so that a round costs ``count`` searches.
    """
    values = np.sort(values).astype(np.float64)
    total = np.concatenate([[0.0], values.cumsum()])
    centres = np.quantile(values, (np.arange(count) + 0.5) / count)
    for _ in range(300):
        ends = np.searchsorted(values, (centres[1:] + centres[:-1]) / 2)
        edges = np.concatenate([[0], ends, [len(values)]])
        sizes = np.diff(edges)
        moved = np.where(sizes, np.diff(total[edges]) / np.maximum(sizes, 1), centres)
        if np.allclose(moved, centres, rtol=0, atol=1e-6):
            break
        centres = moved
    ascending: np.ndarray = centres.astype(np.float32)
    return ascending


def nearest(values: Map, centres: Float32[np.ndarray, " count"]) -> Classes:
    """Return the index of the nearest of ascending ``centres``; the lower one of two."""
    boundaries = (centres[1:] + centres[:-1]) / 2
    return np.searchsorted(boundaries, values).astype(np.uint8)


def mode(classes: Classes, *, width: int, lowest: int = 0) -> Classes:
    """Return the most frequent class in a cube of ``width`` voxels, the lowest of several.

    The cube of an odd width is about its voxel; an even one reaches a voxel further down. Beyond
    the volume is class 0. Along an axis that is shorter than ``width`` it is as wide as the axis.

    Args:
        classes: 0 to 9.
        width: Voxels along each axis; 1 changes nothing.
        lowest: Classes below it are not counted; where nothing is counted the result is this.
    """
    size = [min(width, length) for length in classes.shape]
    around = np.pad(classes, [(n // 2, (n - 1) // 2) for n in size])
    best = np.zeros(classes.shape, np.uint16)
    winner = np.full(classes.shape, lowest, np.uint8)
    for label in range(lowest, CLASSES):
        count = (around == label).astype(np.uint16)
        for axis, n in enumerate(size):
            count = _summed(count, n, axis)
        more = count > best
        best[more], winner[more] = count[more], label
    return winner


def _summed(values: np.ndarray, width: int, axis: int) -> np.ndarray:
    """Return the sums of ``width`` neighbours along ``axis``, where there are as many."""
    rows = np.moveaxis(values, axis, 0)
    last = len(rows) - width
    total = sum(rows[n : n + last + 1] for n in range(width))
    return np.moveaxis(np.asarray(total), 0, axis)


def classes_of(
    scan: Scan, centres: Centres, palette: Palette, *, width: int
) -> UInt8[np.ndarray, "contrast i j k"]:
    """Return the classes of a prepared scan after the mode filter.

    With the cohort's own centres brain voxels are 1 to 9, judged by their neighbours in the brain,
    and all others 0.
    """
    if palette is Palette.PUBLISHED:
        found = [nearest(x, row) for x, row in zip(scan.image, centres, strict=True)]
        return np.stack([mode(classes, width=width) for classes in found])
    found = [
        masked(nearest(x, row[1:]) + np.uint8(1), scan.brain)
        for x, row in zip(scan.image, centres, strict=True)
    ]
    return np.stack([masked(mode(classes, width=width, lowest=1), scan.brain) for classes in found])


def masked(classes: Classes, brain: Mask) -> Classes:
    """Return ``classes``, 0 outside ``brain``."""
    return np.where(brain, classes, np.uint8(0))
