"""Deformable registration: SyN by ANTs, on 2 mm copies.

Avants et al. 2008, DOI 10.1016/j.media.2007.06.004, through antspyx (extra ``ants``), which is
imported when it is wanted.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from hale.core.grid import resample
from hale.core.scan import Volume
from hale.core.types import Affine, Mask
from hale.core.warp import Displacement, Warp
from hale.prep.antspyx import antspyx
from hale.prep.itk import LPS
from hale.prep.working import shrunk, smoothed

WORKING_MM = 2.0
ITERATIONS = (40, 20, 0)
"""At 8, 4 and 2 mm."""
SEED = 20_111


def deform(moving: Volume, brain: Mask, template: Volume, affine: Affine) -> Warp:
    """Return what an affine registration leaves to do.

    Args:
        moving: The scan, bias corrected.
        brain: Its brain; everything else is ignored.
        template: A brain-extracted template, background 0; the fixed one.
        affine: Template position to scan position, mm RAS+.

    Returns:
        Template position to the position that ``affine`` takes for it: the scan shows ``p`` of the
        template at ``affine @ warp.points(p)``. Repeats to the bit.

    Raises:
        Refused: antspyx is not installed.
    """
    ants = antspyx("deformable registration")
    fixed = shrunk(template, WORKING_MM)
    scan = Volume(values=np.where(brain, moving.values, 0).astype(np.float32), grid=moving.grid)
    fine = Volume(values=smoothed(scan, WORKING_MM), grid=scan.grid)
    laid = resample(fine.values, fine.grid, fixed.grid, transform=affine)
    found = ants.registration(
        _image(ants, fixed),
        _image(ants, Volume(values=laid, grid=fixed.grid)),
        type_of_transform="SyNOnly",
        initial_transform="Identity",
        reg_iterations=ITERATIONS,
        random_seed=SEED,
        singleprecision=True,
    )
    try:
        forward, inverse = (
            _displacement(ants, next(file for file in found[way] if file.endswith("Warp.nii.gz")))
            for way in ("fwdtransforms", "invtransforms")
        )
    finally:
        for file in {*found["fwdtransforms"], *found["invtransforms"]}:
            Path(file).unlink(missing_ok=True)
    return Warp(grid=fixed.grid, forward=forward, inverse=inverse)


def _image(ants: ModuleType, volume: Volume) -> Any:
    lps, spacing = LPS @ volume.grid.affine, np.array(volume.grid.spacing)
    return ants.from_numpy(
        volume.values,
        origin=lps[:3, 3].tolist(),
        spacing=spacing.tolist(),
        direction=lps[:3, :3] / spacing,
    )


def _displacement(ants: ModuleType, path: str) -> Displacement:
    """Read a field as ANTs wrote it: a vector of mm LPS per voxel, last."""
    field = ants.image_read(path).numpy() * np.diag(LPS)[:3]
    return np.ascontiguousarray(np.moveaxis(field, -1, 0), dtype=np.float32)
