"""Brain extraction by deepbet, whose weights come with its package.

Fisch et al. 2024, "deepbet: Fast brain extraction of T1-weighted MRI using Convolutional Neural
Networks", DOI 10.1016/j.compbiomed.2024.108845. The one place outside the networks that uses torch,
loaded on demand.
"""

import warnings
from functools import cache
from typing import Any

import nibabel as nib
import numpy as np
import torch

from hale.core.errors import Refused
from hale.core.scan import Volume
from hale.core.types import Mask


def extract(volume: Volume, name: str) -> Mask:
    """Return the brain on the grid of ``volume``; not finite voxels count as 0.

    Args:
        volume: A whole head, any MR contrast, RAS+.
        name: What to call it in an error.

    Raises:
        Refused: No brain is found.
    """
    values = np.nan_to_num(volume.values, nan=0.0, posinf=0.0, neginf=0.0)
    try:
        with torch.inference_mode():
            _, mask, _ = _network().run(nib.Nifti1Image(values, volume.grid.affine))
    except (AssertionError, RuntimeError, ValueError):  # nothing that it could put a box around
        remedy = "check the scan, or give --brain-mask"
        raise Refused(name, "no brain found", remedy) from None
    return np.asarray(mask.dataobj) > 0


@cache
def _network() -> Any:
    from deepbet.bet import BrainExtraction

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its weights are TorchScript
        return BrainExtraction(no_gpu=True)


def set_threads(count: int) -> None:
    """Limit the threads of this process's networks."""
    torch.set_num_threads(count)
