"""Masks as a result holds them and as a browser sends them."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np


def mask_of(folder: Path) -> np.ndarray:
    """The mask of a result."""
    return np.asarray(nib.load(folder / "mask.nii.gz").dataobj)


def drawn(labels: np.ndarray) -> bytes:
    """As a browser sends a mask: the file's order, i fastest."""
    return gzip.compress(labels.astype(np.uint8).tobytes(order="F"))
