"""A scan as something to learn from and to restore: slices on a square, divided into slabs."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hale.core.scan import Scan
from hale.core.types import Image, Mask
from hale.train.single_scan import ScanLessons, Which
from hale.train.slabs import Levels, Slab, slabs
from hale.train.square import Square, square_about


@dataclass(frozen=True, kw_only=True, eq=False)
class Exercise:
    """The slices of a scan, and which of them are scored by a model that saw which others."""

    x: Float[Tensor, "n c s s"]
    """All slices, brain or not."""
    square: Square
    slabs: list[Slab]
    axis: int
    """Of the scan, along which slices are numbered."""

    @property
    def levels(self) -> Levels:
        """Return the numbers of the slices that are scored."""
        return np.concatenate([slab.score for slab in self.slabs])

    def scored(self, brain: Mask) -> Mask:
        """Return the part of the brain that lies in slices which are scored."""
        levels = np.zeros(brain.shape[self.axis], bool)
        levels[self.levels] = True
        along = [1, 1, 1]
        along[self.axis] = -1
        part: Mask = brain & levels.reshape(along)
        return part

    def image_of(self, x: Float[Tensor, "n c s s"]) -> Image:
        """Return slices on the square as an image of the scan, 0 around the square."""
        image = np.moveaxis(self.square.paste(x).numpy(), 0, self.axis + 1)
        return np.ascontiguousarray(image, np.float32)


def exercise(scan: Scan, lessons: ScanLessons) -> Exercise:
    """Lay the slices of a scan on a square and divide them into slabs.

    They are axial; of a scan that is one slice along another axis, they are that slice.

    Raises:
        Refused: Too few slices for slabs.
    """
    shape = scan.brain.shape
    axis = 2 if 1 not in shape or shape[2] == 1 else shape.index(1)
    brain, spacing = np.moveaxis(scan.brain, axis, -1), list(scan.space.grid.spacing)
    spacing_mm = spacing.pop(axis)
    square = square_about(brain, (spacing[0], spacing[1]), lessons.size)
    levels = np.flatnonzero(brain.any((0, 1)))
    found = slabs(levels, count=lessons.slabs, gap_mm=lessons.gap_mm, spacing_mm=spacing_mm)
    if lessons.slices is Which.MOST_BRAIN:
        found = _only(int(brain.sum((0, 1)).argmax()), found)
    x = np.ascontiguousarray(np.moveaxis(scan.image, axis + 1, 0))  # k c i j
    return Exercise(x=square.cut(torch.from_numpy(x)), square=square, slabs=found, axis=axis)


def _only(level: int, found: list[Slab]) -> list[Slab]:
    """Return the slab of one slice; without cross-fitting the model learns from that slice."""
    (slab,) = (slab for slab in found if level in slab.score)
    score = np.array([level])
    if slab.learn is slab.score:
        return [Slab(score=score, learn=score, watch=score)]
    return [Slab(score=score, learn=slab.learn, watch=slab.watch)]
