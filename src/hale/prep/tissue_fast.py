"""Tissue classes by FSL FAST, as the documentation of StRegA sets it.

Zhang, Brady and Smith 2001, DOI 10.1109/42.906424. The program is the user's own installation.
"""

import subprocess
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Contrast
from hale.core.types import Labels, Map
from hale.io.nifti import read_volume
from hale.prep.settings import FAST

SETTINGS = ("-n", "3", "-H", "0.1", "-I", "4", "-l", "20.0")
"""Classes, weight of the random field, bias-field iterations, smoothing of the bias field, mm."""
TYPE = {Contrast.T1W: "1", Contrast.T1W_CE: "1", Contrast.T2W: "2", Contrast.FLAIR: "2"}
"""What FAST calls the contrast; ``3``, proton density, otherwise."""
TIMEOUT_S = 1800.0
REMEDY = "run FSL's fast by hand on this scan, or set prep.segmenter = 'atropos'"


def fast(image: Map, grid: Grid, contrast: Contrast, name: str) -> Labels:
    """Return three classes in FAST's own order, by intensity, and 0 outside the brain.

    Args:
        image: Intensities, 0 outside the brain; a volume.
        grid: Where it is.
        contrast: Which of FAST's three types it is.
        name: What to call the scan in an error.

    Raises:
        Refused: FAST is not installed, is given a slice, or fails.
    """
    program = which(FAST)
    if program is None:
        remedy = "install FSL, or fit a model with --set prep.segmenter=atropos"
        raise Refused("FSL FAST", "there is no program `fast` on the path", remedy)
    if min(image.shape) == 1:
        raise Refused(name, "FSL FAST segments volumes, not slices", REMEDY)
    with TemporaryDirectory(prefix="hale-tissue-") as folder:
        given = Path(folder) / "brain.nii.gz"
        nib.save(nib.Nifti1Image(image, grid.affine), given)
        words = [
            "env",
            "FSLOUTPUTTYPE=NIFTI_GZ",
            program,
            *SETTINGS,
            "-t",
            TYPE.get(contrast, "3"),
            "-o",
            f"{folder}/tissue",
        ]
        _run([*words, str(given)], name)
        found = read_volume(Path(folder) / "tissue_seg.nii.gz").volume.values
    if found.shape != image.shape or not np.isin(found, (0, 1, 2, 3)).all():
        raise Refused(name, "FSL FAST wrote no three classes on this grid", REMEDY)
    labels: Labels = found.astype(np.int32)
    return labels


def _run(words: list[str], name: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise Refused(name, f"FSL FAST took more than {TIMEOUT_S:g} s", REMEDY) from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise Refused(name, f"FSL FAST ended with status {done.returncode} ({said})", REMEDY)
