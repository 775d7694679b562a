"""A ball for a brain: scans that are small enough for a station's tests."""

import gzip

import nibabel as nib
import numpy as np

SHAPE = (24, 24, 24)
AFFINE = np.array([[-6.0, 0, 0, 69], [0, 6, 0, -69], [0, 0, 6, -69], [0, 0, 0, 1]])
"""Stored from right to left: the file's order is not RAS+."""


def ball(seed: int, *, lesions: int = 0) -> np.ndarray:
    """A ball of 1 litre for a brain, dark spots for lesions (dark is abnormal on T1w)."""
    rng = np.random.default_rng(seed)
    index = np.indices(SHAPE)
    brain = ((index - 11.5) ** 2).sum(0) < 110
    values = 600 + 30 * rng.standard_normal(SHAPE) + 5 * index[0]
    for number in range(lesions):
        at = (7 + 7 * number, 10, 12)
        values[tuple(slice(a, a + 3) for a in at)] = 150 + 60 * number
    return np.where(brain, np.rint(values).clip(1), 0).astype(np.int16)


def nifti(values: np.ndarray, affine: np.ndarray = AFFINE) -> bytes:
    """A file, compressed."""
    image = nib.Nifti1Image(values, affine)
    image.set_qform(affine, code=1)
    return gzip.compress(image.to_bytes(), 1, mtime=0)
