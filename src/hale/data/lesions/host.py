"""What an anomaly is put into, and the few questions that every kind asks of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from hale.core.grid import Grid
from hale.core.types import Image, Mask, MaskElsewhere

Box = tuple[slice, slice, slice]
"""A block of voxels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What some kinds of anomaly are made of; the others leave it alone."""

    donor: Image | None = None
    """Another healthy scan or slice, voxel by voxel on the same grid: for ``fpi`` and ``pii``."""
    shapes: Path | None = None
    """A NIfTI mask of a lesion, or a folder of them: for ``shape``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Host:
    """A healthy scan or slice that is to be corrupted. Its brain is not empty."""

    image: Image
    brain: Mask
    grid: Grid
    material: Material

    @property
    def limits(self) -> tuple[float, float]:
        """Return the least and the greatest intensity to which a change may lead.

        0 and 1, between which prepared intensities lie, or the image's own where they are wider.
        """
        return min(0.0, float(self.image.min())), max(1.0, float(self.image.max()))

    def centre(self, rng: np.random.Generator) -> np.ndarray:
        """Return the index (3,) of a voxel of the brain; each is as likely."""
        inside = np.flatnonzero(self.brain)
        chosen = inside[rng.integers(len(inside))]
        return np.array(np.unravel_index(chosen, self.brain.shape))

    def around(
        self, centre: np.ndarray, reach_mm: float
    ) -> tuple[Box, Float[np.ndarray, "u v w 3"]]:
        """Return the block that holds all voxels within ``reach_mm``, and their offsets, mm."""
        matrix = self.grid.affine[:3, :3]
        steps = np.linalg.norm(np.linalg.inv(matrix), axis=1)  # voxels per mm, at most
        reach = np.ceil(reach_mm * steps).astype(int)
        low = np.maximum(centre - reach, 0)
        high = np.minimum(centre + reach + 1, self.brain.shape)
        i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        index = np.indices(high - low).reshape(3, -1).T + (low - centre)
        return (i, j, k), (index @ matrix.T).reshape(*(high - low), 3)

    def with_values(
        self, box: Box, inside: MaskElsewhere, values: Float[np.ndarray, "contrast n"]
    ) -> tuple[Image, Mask]:
        """Return a copy with ``values`` where ``inside`` is, in the block, and that mask."""
        mask = np.zeros_like(self.brain)
        mask[box] = inside
        image = self.image.copy()
        image[:, mask] = values
        return image, mask
