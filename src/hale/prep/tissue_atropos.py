"""Tissue classes by ANTs Atropos, with the template's tissues as priors.

Avants et al. 2011, DOI 10.1007/s12021-011-9109-y, through antspyx (extra ``ants``). Its own
wrapper leaves its files behind, so the library's function is called as the program would be.
"""

from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import numpy as np
from scipy.ndimage import gaussian_filter

from hale.core.errors import Refused
from hale.core.types import Labels, Map, Mask
from hale.prep.antspyx import antspyx
from hale.prep.tissue_priors import Priors

PRIOR_WEIGHT = 0.25
"""Of the priors against the intensities; a larger one draws over what is not where it should be."""
SMOOTHING = 0.1
"""Of the Markov random field over the nearest neighbours."""
ITERATIONS = 5
BLUR = 1.0
"""Standard deviation by which priors are widened, voxels: so much an affine registration errs."""
FLOOR = 0.01
"""Of a prior: no tissue is out of the question anywhere."""


def atropos(image: Map, brain: Mask, priors: Priors, name: str) -> Labels:
    """Return 1, 2, 3 for fluid, grey and white matter, 0 outside the brain; repeats to the bit.

    Args:
        image: Intensities, 0 to 1; a volume or one slice.
        brain: Where they are modelled.
        priors: On the same voxels.
        name: What to call the scan in an error.

    Raises:
        Refused: antspyx is not installed, or Atropos fails on this scan.
    """
    ants = antspyx("tissue segmentation")
    chances = [_chance(prior, brain) for prior in priors]
    total = np.sum(chances, axis=0)
    with TemporaryDirectory(prefix="hale-tissue-") as folder:
        where = Path(folder)
        _write(ants, where / "image.nii", image)
        _write(ants, where / "brain.nii", brain)
        for number, chance in enumerate(chances, start=1):
            _write(ants, where / f"prior{number:02d}.nii", chance / total * brain)
        status = import_module("ants.internal").get_lib_fn("Atropos")(_words(where, image))
        wanted = where / "classes.nii"
        if status != 0 or not wanted.is_file():
            why = f"Atropos ended with status {status} and no tissue classes"
            raise Refused(name, why, "check its preparation (`hale prepare`)")
        found = ants.image_read(str(wanted)).numpy()
    labels: Labels = np.rint(found).astype(np.int32).reshape(image.shape)
    return labels


def _words(where: Path, image: Map) -> list[str]:
    dimension = sum(side > 1 for side in image.shape)
    radius = "x".join(["1"] * dimension)
    return [
        *("-d", str(dimension)),
        *("-a", str(where / "image.nii")),
        *("-x", str(where / "brain.nii")),
        *("-i", f"PriorProbabilityImages[3,{where}/prior%02d.nii,{PRIOR_WEIGHT}]"),
        *("-m", f"[{SMOOTHING},{radius}]"),
        *("-c", f"[{ITERATIONS},0]"),
        *("-r", "0"),  # no random seed
        *("-o", f"[{where / 'classes.nii'}]"),
    ]


def _chance(prior: Map, brain: Mask) -> Map:
    """Return a prior, widened and above 0 in the brain."""
    wide: Map = gaussian_filter(prior, [BLUR if side > 1 else 0 for side in prior.shape])
    return wide.clip(FLOOR, 1)


def _write(ants: ModuleType, path: Path, values: np.ndarray) -> None:
    """Write voxels; where they are in space is nothing that Atropos asks."""
    ants.image_write(ants.from_numpy(values.squeeze().astype(np.float32)), str(path))
