"""Slices on a square of fixed size, and back."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from hale.core.types import Mask

MARGIN = 1.125
"""Side of the square over the longest side of the brain."""


@dataclass(frozen=True, kw_only=True)
class Square:
    """A square of the plane of the slices, about the brain, sampled with ``size`` pixels a side."""

    start: tuple[int, int]
    """First voxel; may lie before the first of the slice."""
    extent: tuple[int, int]
    """Voxels along each side, the same in mm."""
    plane: tuple[int, int]
    """Voxels of a slice."""
    size: int

    def cut(self, x: Float[Tensor, "n c i j"]) -> Float[Tensor, "n c s s"]:
        """Return the square, 0 where the slices end; antialiased where it is shrunk."""
        inside = F.pad(x, self._pad(1))
        return F.interpolate(inside, (self.size, self.size), mode="bilinear", antialias=True)

    def paste(self, x: Float[Tensor, "n c s s"]) -> Float[Tensor, "n c i j"]:
        """Return slices with the square in its place, 0 around it."""
        inside = F.interpolate(x, self.extent, mode="bilinear", antialias=True)
        return F.pad(inside, self._pad(-1))

    def _pad(self, sign: int) -> list[int]:
        """Return what `F.pad` adds before and after, last axis first; below 0 it crops."""
        edges = [
            sign * n
            for first, extent, count in zip(self.start, self.extent, self.plane, strict=True)
            for n in (-first, first + extent - count)
        ]
        return [*edges[2:], *edges[:2]]


def square_about(brain: Mask, spacing_mm: tuple[float, float], size: int) -> Square:
    """Return the square about the brain.

    Args:
        brain: Slices along its last axis; not empty.
        spacing_mm: Within a slice.
        size: Pixels a side.
    """
    shadow = np.asarray(brain.any(2))
    spans = [np.flatnonzero(side) for side in (shadow.any(1), shadow.any(0))]
    sides = [(span[-1] - span[0] + 1) * mm for span, mm in zip(spans, spacing_mm, strict=True)]
    side_mm = MARGIN * max(sides)
    a, b = (max(1, ceil(side_mm / mm)) for mm in spacing_mm)
    i, j = (
        int(span[0] + span[-1] + 1 - extent) // 2
        for span, extent in zip(spans, (a, b), strict=True)
    )
    height, width = shadow.shape
    return Square(start=(i, j), extent=(a, b), plane=(height, width), size=size)
