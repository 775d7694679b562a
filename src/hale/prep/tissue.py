"""A scan as its tissues: fluid, grey matter, white matter, whatever the contrast.

StRegA (Chatterjee et al. 2022, DOI 10.1016/j.compbiomed.2022.106093) learns healthy anatomy from
tissue maps, since these look alike in every contrast. Its public code leaves the classes in the
order of their intensities, which differs between contrasts; here they are in the order of the
tissues, which the template's tissue maps (MNI152) tell apart.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Contrast
from hale.core.types import Labels, Map, Mask
from hale.prep.settings import Segmenter
from hale.prep.tissue_atropos import atropos
from hale.prep.tissue_fast import fast
from hale.prep.tissue_priors import Priors, priors_on

FLUID, GREY, WHITE = 1, 2, 3
"""The classes; over 3 they are what a method sees."""
VERSION = 1
"""Of the classes: raise it when they are found another way."""
ON_TEMPLATE = 0.5
"""Dice of the brain with the template's from which on the template's tissues lie where its are."""
TAILS = (0.5, 99.5)
"""Percentiles of the brain at which intensities are cut before they are modelled."""


def tissue_map(
    image: Map,
    brain: Mask,
    grid: Grid,
    *,
    contrast: Contrast = Contrast.T1W,
    segmenter: Segmenter = Segmenter.ATROPOS,
) -> Map:
    """Return fluid as 1/3, grey matter as 2/3, white matter as 1, and 0 outside the brain.

    This is what ``prep.normalise = "tissue"`` makes of a scan on the model's grid; the arguments
    are those of `tissue_classes`.
    """
    return coded(tissue_classes(image, brain, grid, contrast=contrast, segmenter=segmenter))


def tissue_classes(
    image: Map,
    brain: Mask,
    grid: Grid,
    *,
    contrast: Contrast,
    segmenter: Segmenter,
    name: str = "scan",
) -> Labels:
    """Return 1 for fluid, 2 for grey and 3 for white matter, and 0 outside the brain.

    Neither scale nor offset of the intensities matters. A single slice is segmented in 2-D.

    Args:
        image: Intensities, bias corrected.
        brain: Where the brain is.
        grid: Where both are, mm in MNI152.
        contrast: Of the image; only FAST asks.
        segmenter: Who finds the classes.
        name: What to call the scan in an error.

    Raises:
        Refused: The brain is one grey value or does not lie on the template, or the segmenter is
            not installed or failed.
    """
    priors = priors_on(grid)
    _refuse_elsewhere(brain, priors, name)
    low, high = np.percentile(image[brain], TAILS)
    if high <= low:
        raise Refused(name, "the brain has no contrast (one grey value)", "check the scan")
    flat = np.where(brain, ((image - low) / (high - low)).clip(0, 1), 0).astype(np.float32)
    if segmenter is Segmenter.FAST:
        found = by_tissue(fast(flat, grid, contrast, name), priors)
    else:
        found = atropos(flat, brain, priors, name)
    return np.where(brain, found, 0).astype(np.int32)


def coded(labels: Labels) -> Map:
    """Return classes as the grey values that a method sees: 0, 1/3, 2/3, 1."""
    return (labels / WHITE).astype(np.float32)


def by_tissue(labels: Labels, priors: Priors) -> Labels:
    """Return classes of any order as fluid, grey, white: the naming that fits the priors best."""
    shares = np.array(
        [[prior[labels == label].sum() for prior in priors] for label in (FLUID, GREY, WHITE)]
    )
    _, tissue = linear_sum_assignment(-shares)
    names = np.array([0, *(tissue + 1)], np.int32)
    named: Labels = names[labels]
    return named


def _refuse_elsewhere(brain: Mask, priors: Priors, name: str) -> None:
    """Refuse a brain that does not lie where the template's does."""
    there: Mask = priors.fluid + priors.grey + priors.white > ON_TEMPLATE
    dice = 2 * float((brain & there).sum()) / max(1.0, float(brain.sum() + there.sum()))
    if dice < ON_TEMPLATE:
        why = f"does not lie on the template, whose tissues are the priors (Dice {dice:.2f})"
        raise Refused(name, why, "let hale register it (prep.mode = 'full')")
