"""Points of discretised brains: where they are in [-1, 1], and which are drawn.

Reference: Naval Marimont and Tarroni 2021, arXiv:2106.05214.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float32, Int64, UInt8
from scipy.ndimage import binary_dilation
from torch import Tensor

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Scan
from hale.train.classes import Centres, Palette, classes_of

DILATION = 3
"""Voxels that the neighbourhood of a brain reaches beyond it."""


class Coordinates(StrEnum):
    """Which point of a voxel its position is, for a field of view of n voxels."""

    CENTRES = "centres"
    """(2i + 1) / n - 1, always."""
    RELEASED = "released"
    """2i / n - 1 where a code is fitted, 2i / (n - 1) - 1 where a volume is decoded: up to a voxel
    apart, as in the public code."""


class Axes(StrEnum):
    """Which way the three axes of positions point."""

    RAS = "RAS"
    """Right, front, up."""
    SPL = "SPL"
    """Up, back, left: z, y, x of the files that the public code reads."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Settings of classes and points. A method inherits them."""

    palette: Palette = Palette.COHORT
    """Where the classes of intensity come from."""
    mode_filter: Annotated[int, Ge(1)] = 3
    """Width of the mode filter on classes, voxels; 1: none."""
    field_of_view_mm: Annotated[float, Gt(0)] = 240.0
    """What positions from -1 to 1 span along each axis, about the middle of the grid, mm; whatever
    the size of the grid."""
    coordinates: Coordinates = Coordinates.CENTRES
    """Which point of a voxel its position is."""
    axes: Axes = Axes.RAS
    """Which way the axes of positions point."""
    inside: Annotated[float, Ge(0), Le(1)] = 0.5
    """Share of the points that are drawn in the brain and 3 voxels about it; the others are drawn
    anywhere on the grid."""

    def positions(self, grid: Grid, *, decoding: bool = False) -> Float32[np.ndarray, "v 3"]:
        """Return where the voxels of ``grid`` are, in the order of a flattened volume.

        Raises:
            Refused: The grid spans more than the field of view: positions would not be unique.
        """
        each = [
            self._along(count, spacing, flipped=flipped, decoding=decoding)
            for count, spacing, flipped in zip(
                grid.shape, grid.spacing, self._is_flipped, strict=True
            )
        ]
        table = np.stack([x.ravel() for x in np.meshgrid(*each, indexing="ij")], -1)
        if self.axes is Axes.SPL:
            table = table[:, ::-1]
        return np.ascontiguousarray(table, np.float32)

    @property
    def _is_flipped(self) -> tuple[bool, bool, bool]:
        return (True, True, False) if self.axes is Axes.SPL else (False, False, False)

    def _along(self, count: int, spacing: float, *, flipped: bool, decoding: bool) -> np.ndarray:
        """Return the positions of the voxels along one axis."""
        n = self.field_of_view_mm / spacing
        if count > n + 1e-6:
            given = f"field_of_view_mm {self.field_of_view_mm:g}"
            why = f"is less than the grid's {count * spacing:g} mm"
            raise Refused(given, why, "raise method.field_of_view_mm")
        i = (n - count) / 2 + np.arange(count)
        if self.coordinates is Coordinates.CENTRES:
            position = (2 * i + 1) / n - 1
            return -position if flipped else position
        i = n - 1 - i if flipped else i
        return 2 * i / ((n - 1) if decoding else n) - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """A discretised brain: the class of every voxel, and where its brain is."""

    classes: UInt8[Tensor, "v contrast"]
    near: Int64[Tensor, " near"]
    """Voxels in and about the brain."""

    def draw(self, count: int, inside: float, rng: np.random.Generator) -> Int64[Tensor, " n"]:
        """Return voxels, with replacement: a share ``inside`` near the brain, others anywhere."""
        near = round(count * inside) if len(self.near) else 0
        which = torch.from_numpy(rng.integers(len(self.near) or 1, size=near))
        anywhere = torch.from_numpy(rng.integers(len(self.classes), size=count - near))
        return torch.cat([self.near[which], anywhere]) if near else anywhere


def volume_of(scan: Scan, centres: Centres, sampling: Sampling) -> Volume:
    """Return a prepared scan as classes."""
    classes = classes_of(scan, centres, sampling.palette, width=sampling.mode_filter)
    about = binary_dilation(scan.brain, iterations=DILATION)
    return Volume(
        classes=torch.from_numpy(np.ascontiguousarray(classes.reshape(len(classes), -1).T)),
        near=torch.from_numpy(np.flatnonzero(about)),
    )


def volumes_of(scans: Sequence[Scan], centres: Centres, sampling: Sampling) -> list[Volume]:
    """Return prepared scans as classes."""
    return [volume_of(scan, centres, sampling) for scan in scans]
