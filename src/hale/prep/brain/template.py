"""Brain extraction by registration alone: the whole head to the template, whose brain is taken.

For contrasts and patients that no network has seen. It knows the template's outline only, so it is
coarser than a network: see `benchmarks/brain_extraction.py`.
"""

import numpy as np

from hale.core.errors import Refused
from hale.core.grid import resample_mask
from hale.core.scan import Volume
from hale.core.types import Mask
from hale.prep.descent import Effort, Freedom, Pair
from hale.prep.register import TOP_PERCENT, WORKING_MM, first_that_holds
from hale.prep.starts import COARSE_MM, Likeness, about_centres, refined
from hale.prep.threads import single_threaded
from hale.prep.working import capped, shrunk

BELOW_MM = (0.0, 20.0, 40.0, 60.0)
"""How far a head's centre of mass may lie below its brain's: as much neck as is seen."""
EFFORT = Effort(
    shrink=(4, 2), sampled=0.4, bins=32, first_step=1.0, last_step=0.001, iterations=200
)


def extract(volume: Volume, name: str, template: Volume) -> Mask:
    """Return the brain on the grid of ``volume``; not finite voxels count as 0.

    Args:
        volume: A whole head, any MR contrast, RAS+.
        name: What to call it in an error.
        template: A brain-extracted template, background 0.

    Raises:
        Refused: The head cannot be registered.
    """
    values = np.nan_to_num(volume.values, nan=0.0, posinf=0.0, neginf=0.0)
    if not (values > 0).any():
        raise Refused(name, "no brain found", "check the scan, or give --brain-mask")
    inside = template.values > 0
    with single_threaded():
        head = capped(shrunk(Volume(values=values, grid=volume.grid), WORKING_MM), TOP_PERCENT)
        rough, fine = (_pair(template, head, mm) for mm in (COARSE_MM, WORKING_MM))
        poses = [pose for below in BELOW_MM for pose in about_centres(rough, below_mm=below)]
        try:
            found = first_that_holds(
                fine, refined(rough, poses), Likeness(rough), Freedom.AFFINE, EFFORT
            )
        except RuntimeError:
            remedy = "take another extractor, or give --brain-mask"
            raise Refused(name, "cannot be registered to the template", remedy) from None
    back = np.linalg.inv(found.transform)
    return resample_mask(inside, template.grid, volume.grid, transform=back)


def _pair(template: Volume, head: Volume, spacing_mm: float) -> Pair:
    """Return copies that are compared within the template's brain.

    A rim around it would have to be explained by skull and scalp, which the template does not have:
    with one of 10 mm, 3 of 11 IXI brains came out 40 to 70 % too large.
    """
    fixed = shrunk(template, spacing_mm)
    within = resample_mask(template.values > 0, template.grid, fixed.grid)
    moving = head if spacing_mm == WORKING_MM else shrunk(head, spacing_mm)
    return Pair(fixed=fixed, moving=moving, within=within)
