"""The MNI152 template: brain-extracted T1w and its tissue maps, as nilearn ships them.

ICBM 152 nonlinear symmetric 2009a (Fonov et al. 2011, doi:10.1016/j.neuroimage.2010.07.033), 1 mm,
197 x 233 x 189 voxels. The files are found beside the package without importing it, which takes
seconds.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Volume


class Tissues(NamedTuple):
    """Share of a tissue in each voxel of the template, 0 to 1."""

    grey: Volume
    white: Volume


@cache
def mni152() -> Volume:
    """Return the brain-extracted T1w template, 0 to 1 and 0 outside the brain; read-only.

    Raises:
        Refused: nilearn, which carries the file, is not installed.
    """
    return _shipped("t1")


@cache
def mni152_tissues() -> Tissues:
    """Return the grey and the white matter map on the grid of `mni152`; read-only.

    Raises:
        Refused: nilearn, which carries the files, is not installed.
    """
    return Tissues(grey=_shipped("gm"), white=_shipped("wm"))


def _shipped(kind: str) -> Volume:
    spec = find_spec("nilearn")
    if spec is None or spec.origin is None:
        raise Refused("MNI152 template", "nilearn is not installed", "install hale's dependencies")
    name = f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
    path = Path(spec.origin).parent / "datasets" / "data" / name
    if not path.is_file():
        raise Refused(str(path), "this version of nilearn has no such file", "install nilearn 0.14")
    image = nib.as_closest_canonical(nib.load(path))
    values = np.asarray(image.dataobj, np.float32) / np.float32(255)
    values.setflags(write=False)
    grid = Grid(shape=values.shape, affine=np.asarray(image.affine, np.float64))
    return Volume(values=values, grid=grid)
