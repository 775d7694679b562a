"""A scan slice by slice: only those with brain, a few at a time."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hale.core.scan import Scan
from hale.core.types import Image
from hale.train.slices import Slices, axial, together


def swept(
    scan: Scan, work: Callable[[Slices], Tensor], *, device: str, batch: int | None = None
) -> Image:
    """Return what ``work`` makes of the slices of ``scan`` that contain brain; 0 outside it.

    Args:
        scan: Is left alone.
        work: From slices on ``device``, from the feet up, to as many of as many channels.
        device: What torch calls it.
        batch: Slices that ``work`` is given at once; None: as many as the device likes.
    """
    levels = np.flatnonzero(scan.brain.any((0, 1)))
    slices = axial([scan])  # on the CPU; one batch at a time is moved
    image = np.zeros_like(scan.image)
    for which in torch.arange(len(levels)).split(batch or together(device)):
        made = work(slices[which].to(device)).detach()
        image[..., levels[which.numpy()]] = made.float().cpu().permute(1, 2, 3, 0).numpy()
    image[:, ~scan.brain] = 0
    return image
