"""Lesion-wise figures: how many lesions are found, how many findings are none.

A lesion is a 26-connected component of the reference. It is *detected* when at least 10 % of its
voxels are marked; a component of the found mask is *false* when none of its voxels is lesion.
`hale.metrics.evaluation.summarise` makes recall, precision and F1 of the counts of many scans.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import label

from hale.metrics.voxel import volume_of

MIN_OVERLAP = 0.1
"""Share of a lesion's voxels that must be marked for it to count as detected."""


class SizeBin(StrEnum):
    """Lesion volume."""

    SMALL = "below 1 ml"
    MEDIUM = "1 to 10 ml"
    LARGE = "above 10 ml"

    @classmethod
    def of(cls, volume_ml: float) -> "SizeBin":
        """Return the bin of a volume; 1 and 10 ml are medium."""
        if volume_ml < 1:
            return cls.SMALL
        return cls.MEDIUM if volume_ml <= 10 else cls.LARGE


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Lesions and findings of one scan."""

    volumes_ml: tuple[float, ...]
    """Of each reference lesion."""
    detected: tuple[bool, ...]
    """Whether each of them is found."""
    components: int
    """Components of the found mask."""
    false: int
    """Those that touch no lesion."""


def count(found: ArrayLike, truth: ArrayLike, *, voxel_ml: float) -> Counts:
    """Return the lesions and findings of one scan.

    Args:
        found: ``(i, j, k)``, booleans, 0 and 1, or numbered components.
        truth: Same shape, booleans or 0 and 1.
        voxel_ml: Volume of a voxel, ml.

    Raises:
        ValueError: The shapes differ or are not three-dimensional; a mask that is none; a volume
            that is not above 0.
    """
    if not 0 < voxel_ml < np.inf:
        msg = f"a voxel of {voxel_ml} ml is none"
        raise ValueError(msg)
    marked, lesion = volume_of(found, numbered=True), volume_of(truth)
    if marked.shape != lesion.shape:
        msg = f"needs two volumes of one shape, not {marked.shape} and {lesion.shape}"
        raise ValueError(msg)
    lesions, lesion_count = label(lesion, np.ones((3, 3, 3)))
    pieces, piece_count = label(marked, np.ones((3, 3, 3)))
    sizes = np.bincount(lesions[lesion], minlength=lesion_count + 1)[1:]
    covered = np.bincount(lesions[lesion & marked], minlength=lesion_count + 1)[1:]
    touching = np.unique(pieces[lesion & marked]).size
    return Counts(
        volumes_ml=tuple(float(size) * voxel_ml for size in sizes),
        # 1 of 10 voxels is 10 %, whatever 0.1 x 10 rounds to
        detected=tuple(bool(hit) for hit in covered >= MIN_OVERLAP * sizes - 1e-9),
        components=piece_count,
        false=piece_count - touching,
    )
