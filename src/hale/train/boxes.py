"""Boxes on a slice: the grid of patches that a patched model restores one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from jaxtyping import Bool
from torch import Generator, Tensor


@dataclass(frozen=True)
class Box:
    """Rows and columns of a slice; ``x`` counts columns, ``y`` rows, the ends are not in it."""

    x0: int
    y0: int
    x1: int
    y1: int

    def mask(self, plane: tuple[int, int]) -> Bool[Tensor, "i j"]:
        """Return the pixels of the box on a slice of ``plane`` rows and columns."""
        inside = torch.zeros(plane, dtype=torch.bool)
        inside[self.y0 : self.y1, self.x0 : self.x1] = True
        return inside


def grid(plane: tuple[int, int], patch: int, stride: int) -> list[Box]:
    """Return the fewest boxes of ``patch`` pixels, at most ``stride`` apart, that cover a slice.

    They are spread evenly from edge to edge, and run along the first row, then the next.

    Args:
        plane: Rows and columns of a slice.
        patch: Side of a box; a slice that is smaller has one box in that direction.
        stride: At most ``patch``.
    """
    rows, columns = (_origins(side, patch, stride) for side in plane)
    return [
        Box(x, y, min(x + patch, plane[1]), min(y + patch, plane[0]))
        for y, x in product(rows, columns)
    ]


def cells(boxes: Sequence[Box]) -> list[Box]:
    """Return the part of each box of a grid that is nearest to its middle: together, all pixels."""
    across = _halfway(sorted({(box.x0, box.x1) for box in boxes}))
    down = _halfway(sorted({(box.y0, box.y1) for box in boxes}))
    return [Box(across[b.x0][0], down[b.y0][0], across[b.x0][1], down[b.y0][1]) for b in boxes]


def random_boxes(plane: tuple[int, int], patch: int, count: int, draw: Generator) -> list[Box]:
    """Return boxes whose first corner is any pixel, cut off where the slice ends."""
    rows, columns = (torch.randint(side, (count,), generator=draw).tolist() for side in plane)
    return [
        Box(x, y, min(x + patch, plane[1]), min(y + patch, plane[0]))
        for y, x in zip(rows, columns, strict=True)
    ]


def _origins(side: int, patch: int, stride: int) -> list[int]:
    """Return where boxes begin along a side: 0 and 36 for patches of 60 on 96 pixels."""
    room = max(side - patch, 0)
    gaps = -(-room // stride)
    return [round(n * room / gaps) for n in range(gaps + 1)] if gaps else [0]


def _halfway(spans: Sequence[tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """Return, by where a span begins, its part up to the middle of what it shares with others."""
    edges = [(a[1] + b[0]) // 2 for a, b in pairwise(spans)]
    starts, ends = [spans[0][0], *edges], [*edges, spans[-1][1]]
    return {span[0]: (a, b) for span, a, b in zip(spans, starts, ends, strict=True)}
