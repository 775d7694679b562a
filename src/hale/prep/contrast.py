"""What contrast a scan is, by what its cerebrospinal fluid, grey and white matter look like.

The scan lies in MNI152, so the template's tissue maps say where to look: at the fluid of the
ventricles, and at grey matter against the white matter beside it, with and without what lies at
sulci, whose fluid darkens or brightens it. Each contrast has another order of the three:

- T1w: white > grey > fluid, and with gadolinium as well, so both are one family here,
- T2w: fluid >> grey > white,
- FLAIR: grey about as bright as white or brighter, the fluid darkest (a CT as well),
- PDw: grey > white, and the fluid near them.

Distances are counted in scatters of white matter (1.4826 x the median absolute deviation from its
surroundings), so neither scale nor offset matters, and noise makes the answer None. White matter is
compared near by: a bias field cancels, and so does much of old white-matter disease, which hugs the
ventricles and leaves the white matter under the cortex alone. A scan more than about 6 mm off the
template, or a T2w of inverted intensities, is beyond this: check the registration first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter

from hale.core.grid import Grid
from hale.core.scan import Contrast
from hale.core.types import Map, Mask
from hale.prep.tissue_priors import priors_on

VENTRICLES_MM = ((-35.0, 35.0), (-55.0, 40.0), (-2.0, 40.0))
"""Box in MNI152, x, y, z, that holds the lateral and the third ventricle."""
PURE_FLUID, PURE_GREY, PURE_WHITE = 0.7, 0.8, 0.9
"""Share of the tissue in a voxel from which on it stands for the tissue."""
MIN_VOXELS = 50
"""Of each tissue, within the brain."""
NEAR_MM = 4.0
"""Standard deviation of the Gaussian over which grey is compared with the white beside it."""
ONE_VALUE = 1e-3
"""Of the distance from white to fluid: a fluid that varies less has been erased."""

WET = 0.7
"""Of the way from white to fluid: from here on a voxel is mostly fluid."""
SULCUS_MM = 2.0
"""How far from a wet voxel grey matter may hold some of its fluid."""

CLEAR = 2.0
"""Scatters between two tissues that nobody would call alike."""
CLEAR_DRY = 1.25
"""Likewise, of the grey away from sulci, which keeps what is nearest to the white."""
ALIKE = 1.0
"""Scatters by which grey may lie on the wrong side of white without telling."""
FLUID = 3.0
"""Scatters between white and fluid in a FLAIR or T2w."""
FLAIR_DIP = 0.05
"""Of the way from white to fluid: how far down dry grey may be in a FLAIR. Unlike scatters, noise
does not move it: a noisy T1w is no FLAIR."""
T2_RISE = 0.35
"""Of the way from white to fluid: how far up grey may be in a T2w."""


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """What a scan was recognised as, and from what."""

    contrast: Contrast | None
    """T1w stands for T1w-ce as well; None: cannot tell."""
    margins: Mapping[Contrast, float]
    """By how many scatters of white matter each contrast's relations hold (below 0: fail); at most
    one holds. Empty if a tissue was not found."""
    fluid: float
    """Ventricles minus white matter, scatters; NaN if a tissue was not found."""
    grey: float
    """Grey matter minus the white matter beside it, scatters; NaN likewise."""
    dry: float
    """The same for grey matter away from sulci."""
    reason: str
    """One clause."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Regions:
    """Where the template's tissues are pure."""

    fluid: Mask
    grey: Mask
    white: Mask


FAMILY = {Contrast.T1W_CE: Contrast.T1W, Contrast.CT: Contrast.FLAIR}
"""Contrasts whose relations are those of another."""


BEYOND_DOUBT = 0.2
"""Scatters by which relations hold that overrule what a scan is called: of 564 FLAIR slices of
stroke patients, 4 pass for a T1w, by 0.16 at most."""


def is_clear(recognised: Recognised) -> bool:
    """Say whether the relations of the recognised contrast hold beyond doubt."""
    best = max(recognised.margins.values(), default=0.0)
    return best >= BEYOND_DOUBT


def agrees(recognised: Recognised, claimed: Contrast) -> bool:
    """Say whether nothing speaks against ``claimed``: False is a contradiction.

    T1w and T1w-ce are one family; so are FLAIR and CT. A scan that cannot be told agrees.
    """
    return recognised.contrast in (None, FAMILY.get(claimed, claimed))


def recognise(image: Map, brain: Mask, grid: Grid) -> Recognised:
    """Recognise the contrast of a scan in MNI152, of any scale, a single slice included.

    Args:
        image: Intensities, not normalised (a clipped one has lost its fluid).
        brain: Where the brain is; its ventricles may be missing, then nothing can be told.
        grid: Where both are, mm in MNI152.
    """
    regions = _regions(grid.shape, tuple(grid.affine.ravel().tolist()))
    fluid, grey, white = (r & brain for r in (regions.fluid, regions.grey, regions.white))
    for name, region in (("ventricles", fluid), ("grey matter", grey), ("white matter", white)):
        if np.count_nonzero(region) < MIN_VOXELS:
            return _unknown(f"the brain mask holds too little of the {name}")
    level = float(np.median(image[white]))
    low, high = np.quantile(image[fluid], (0.25, 0.75)) - level
    depth = float(low if abs(low) > abs(high) else high)  # the purer end of what is there
    if high - low <= ONE_VALUE * abs(depth):
        return _unknown("the ventricles are one value")
    above = (image - np.float32(level)).astype(np.float32)
    wet = np.zeros_like(brain)
    if abs(depth) > ALIKE * _scatter(above[white]):  # else wet and dry look the same
        wet = brain & (above / depth > WET)
        white = white & (above / depth < 0.5)  # not where this brain's ventricles are wider
    above = above - _around(above, white, grid)
    scatter = _scatter(above[white])
    if scatter == 0:
        return _unknown("the white matter is one value")
    dry = grey & ~_widened(wet, grid)
    if np.count_nonzero(dry) < MIN_VOXELS:  # grey is like the fluid, as in a PDw
        dry = grey
    return _judged(
        *(float(v) / scatter for v in (depth, np.median(above[grey]), np.median(above[dry])))
    )


def margins(fluid: float, grey: float, dry: float) -> dict[Contrast, float]:
    """Return by how much each contrast's relations hold; the arguments in scatters above white.

    At most one is 0 or more: the relations, all linear, exclude each other.
    """
    return {
        Contrast.T1W: min(-grey - CLEAR, -dry - CLEAR_DRY, grey - fluid - CLEAR),
        Contrast.T2W: min(fluid - FLUID, grey - ALIKE, T2_RISE * fluid - grey),
        Contrast.FLAIR: min(
            -fluid - FLUID, grey + CLEAR, dry + ALIKE, dry - FLAIR_DIP * fluid, -fluid - grey
        ),
        Contrast.PDW: min(grey - CLEAR, dry - CLEAR, 2 * grey - fluid, fluid + grey / 2),
    }


def _judged(fluid: float, grey: float, dry: float) -> Recognised:
    """Choose the contrast whose relations hold."""
    held = margins(fluid, grey, dry)
    best = max(held, key=lambda contrast: held[contrast])
    said = f"ventricles {fluid:+.1f}, grey {grey:+.1f} (dry {dry:+.1f}) scatters from white matter"
    contrast, end = (
        (best, f"a {best}") if held[best] >= 0 else (None, f"{best} by {held[best]:.1f}")
    )
    return Recognised(
        contrast=contrast,
        margins=held,
        fluid=fluid,
        grey=grey,
        dry=dry,
        reason=f"{said}: {end}" if contrast else f"{said}: no contrast's, nearest {end}",
    )


def _unknown(reason: str) -> Recognised:
    nan = float("nan")
    return Recognised(contrast=None, margins={}, fluid=nan, grey=nan, dry=nan, reason=reason)


def _scatter(values: np.ndarray) -> float:
    """Return the robust spread about 0."""
    return 1.4826 * float(np.median(np.abs(values)))


def _around(image: Map, where: Mask, grid: Grid) -> Map:
    """Return the Gaussian mean of the voxels ``where``; it tends to 0 where none is near."""
    sigma = [
        NEAR_MM / mm if count > 1 else 0.0
        for mm, count in zip(grid.spacing, grid.shape, strict=True)
    ]
    weight = gaussian_filter(where.astype(np.float32), sigma, truncate=3.0)
    total = gaussian_filter(np.where(where, image, 0).astype(np.float32), sigma, truncate=3.0)
    mean: Map = total / np.maximum(weight, np.float32(1e-3))
    return mean


def _widened(mask: Mask, grid: Grid) -> Mask:
    """Return the mask and the box of `SULCUS_MM` around each of its voxels, at least one voxel."""
    size = [
        2 * max(1, round(SULCUS_MM / mm)) + 1 if count > 1 else 1
        for mm, count in zip(grid.spacing, grid.shape, strict=True)
    ]
    wide: Mask = maximum_filter(mask, size=size)
    return wide


@cache
def _regions(shape: tuple[int, int, int], affine: tuple[float, ...]) -> _Regions:
    """Return the pure tissue on a grid: about 1 s, kept."""
    grid = Grid(shape=shape, affine=np.array(affine).reshape(4, 4))
    fluid, grey, white = priors_on(grid)
    x, y, z = (grid.affine[:3, :3] @ np.indices(shape).reshape(3, -1)).reshape(3, *shape)
    at = zip((x, y, z), grid.affine[:3, 3], VENTRICLES_MM, strict=True)
    box = np.logical_and.reduce([(a + o > low) & (a + o < high) for a, o, (low, high) in at])
    return _Regions(
        fluid=(fluid > PURE_FLUID) & box,
        grey=grey > PURE_GREY,
        white=white > PURE_WHITE,
    )
