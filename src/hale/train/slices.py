"""Scans as axial slices: what a slice-wise network learns from, and how it restores a scan."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int
from torch import Tensor, nn

from hale.core.errors import Refused
from hale.core.run import Precision
from hale.core.scan import Scan
from hale.core.types import Image
from hale.train.device import arithmetic

BATCH = 8
"""Slices that a network restores at once: on a CPU larger ones are no faster, only larger."""
GPU_BATCH = 64
"""The same on a GPU: a volume at 2 mm and more."""


@dataclass(frozen=True, eq=False)
class Slices:
    """Axial slices and the brain in each."""

    x: Float32[Tensor, "n c i j"]
    brain: Bool[Tensor, "n 1 i j"]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, which: Int[Tensor, " m"]) -> "Slices":
        return Slices(self.x[which], self.brain[which])

    def to(self, device: str) -> "Slices":
        """Return them on ``device``, in the memory layout that convolutions like."""
        x = self.x.to(device, memory_format=torch.channels_last)
        return Slices(x, self.brain.to(device))


def axial(scans: Sequence[Scan]) -> Slices:
    """Return the slices of all ``scans`` that contain brain, from the feet up.

    Raises:
        Refused: There is none.
    """
    levels = [_levels(scan) for scan in scans]
    count = sum(len(ks) for ks in levels)
    if not count:
        given = scans[0].id if len(scans) == 1 else f"{len(scans)} scans"
        raise Refused(given, "no slice contains brain", "give brain-extracted scans")
    contrasts, i, j, _ = scans[0].image.shape
    x = np.empty((count, contrasts, i, j), np.float32)
    brain = np.empty((count, 1, i, j), bool)
    n = 0
    for scan, ks in zip(scans, levels, strict=True):  # one at a time: a cohort fits only once
        here = slice(n, n + len(ks))
        x[here] = np.moveaxis(scan.image, -1, 0)[ks]
        brain[here, 0] = np.moveaxis(scan.brain, -1, 0)[ks]
        n = here.stop
    return Slices(torch.from_numpy(x), torch.from_numpy(brain))


def together(device: str) -> int:
    """Return how many slices a network restores at once on a device."""
    return BATCH if torch.device(device).type == "cpu" else GPU_BATCH


def evenly(slices: Slices, most: int) -> Slices:
    """Return at most ``most`` slices, spread over all of them: the same ones each time."""
    count = min(most, len(slices))
    return slices[torch.arange(count) * len(slices) // max(count, 1)]


def restored(net: nn.Module, scan: Scan, *, device: str, precision: Precision) -> Image:
    """Return what ``net`` makes of the slices of ``scan`` that contain brain; 0 elsewhere.

    Args:
        net: Maps slices to slices; on ``device`` and in evaluation mode.
        scan: Is left alone.
        device: What torch calls it.
        precision: ``FULL`` or ``BF16``.
    """
    image = np.zeros_like(scan.image)
    levels = _levels(scan)
    slices = axial([scan])  # on the CPU; one batch at a time is moved
    with torch.inference_mode(), arithmetic(device, precision):
        for which in torch.arange(len(levels)).split(BATCH):
            x_hat = net(slices[which].to(device).x)
            image[..., levels[which.numpy()]] = x_hat.float().cpu().permute(1, 2, 3, 0).numpy()
    image[:, ~scan.brain] = 0
    return image


def _levels(scan: Scan) -> np.ndarray:
    """Return the k of the slices that contain brain."""
    return np.flatnonzero(scan.brain.any((0, 1)))
