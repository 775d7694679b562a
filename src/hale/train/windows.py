"""Neighbouring slices, for networks that look at several at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from hale.core.scan import Scan
from hale.train.slices import Slices, axial


@dataclass(frozen=True, eq=False)
class Windows:
    """A window of neighbours for each slice: around the last slices of a scan, its last window.

    A scan of fewer slices than a window's fills it with its last one.
    """

    slices: Slices
    """Of all scans, each from the feet up."""
    first: Int[Tensor, " n"]
    """Where the scan of each slice begins."""
    last: Int[Tensor, " n"]
    """Its last slice."""
    length: int

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, which: Int[Tensor, " m"]) -> Slices:
        first, last = self.first[which], self.last[which]
        start = torch.maximum(torch.minimum(which, last + 1 - self.length), first)
        window = torch.minimum(start[:, None] + torch.arange(self.length), last[:, None])
        return self.slices[window.flatten()]


def windows(scans: Sequence[Scan], length: int) -> Windows:
    """Return the windows of ``length`` neighbouring slices of all ``scans``."""
    counts = torch.tensor([int(scan.brain.any((0, 1)).sum()) for scan in scans])
    ends = counts.cumsum(0)
    first = (ends - counts).repeat_interleave(counts)
    last = (ends - 1).repeat_interleave(counts)
    return Windows(axial(scans), first, last, length)
