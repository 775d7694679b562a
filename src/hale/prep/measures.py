"""The figures that quality control judges an exam by.

Each is computed during preparation, costs little, and is NaN where it cannot be measured.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from hale.core.grid import Grid, resample, resample_mask
from hale.core.scan import Volume
from hale.core.types import Affine, Map, Mask
from hale.prep.artefacts import artefacts
from hale.prep.template import TEMPLATE_BRAIN

SMOOTH_MM = 3.0
"""Standard deviation of the Gaussian that forgives what an affine registration cannot match."""
WIDE_MM = 12.0
"""Of the Gaussian whose result is taken off: a bias field says nothing about tissue."""
RIM_MM = 12.0
"""What is left out along the border: there everything of that outline is alike."""
CORE_MM = 6.0
"""From the border of the brain to its core, where noise is measured."""
BINS = 24
POINTS = 20_000
"""Of the template's brain, evenly drawn: enough for shares of 0.1 %."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Registered:
    """A scan beside the template, on the model grid."""

    image: Map
    """Resampled, before it is normalised."""
    inside: Mask
    """The scan's brain."""
    template: Map
    grid: Grid
    to_native: Affine
    """Position on the model grid to native position, mm."""

    @cached_property
    def template_brain(self) -> Mask:
        """Return where the template has its brain."""
        brain: Mask = self.template > TEMPLATE_BRAIN
        return brain

    @cached_property
    def depth(self) -> Map:
        """Return the distance to the border of the overlap of both brains, mm; 0 outside."""
        return _depth(self.inside & self.template_brain, self.grid)


def measures(volume: Volume, brain: Mask, registered: Registered) -> dict[str, float]:
    """Return all figures of the reference contrast.

    Args:
        volume: As read, before its bias is corrected.
        brain: On its grid.
        registered: The same scan on the model grid.
    """
    return {
        "brain_ml": float(brain.sum()) * volume.grid.voxel_ml,
        **coverage(volume, brain, registered),
        **placement(volume.grid, brain, registered),
        **contrast_measures(volume, registered),
    }


def contrast_measures(volume: Volume, registered: Registered) -> dict[str, float]:
    """Return the figures that every contrast of an exam has of its own.

    Args:
        volume: As read, before its bias is corrected.
        registered: It on the model grid; ``to_native`` leads to this contrast.
    """
    core = native_voxels(registered.depth > CORE_MM, registered, volume.grid)
    return {
        "spacing_max_mm": max(volume.grid.spacing),
        "spacing_ratio": max(volume.grid.spacing) / min(registered.grid.spacing),
        **likeness(registered),
        **artefacts(volume, core),
    }


def coverage(volume: Volume, brain: Mask, registered: Registered) -> dict[str, float]:
    """Return how much of the brain the field of view leaves out.

    Slices of one value at the ends of an axis are no field of view. ``brain_cut`` is the brain's
    area on the outermost slice over that on its largest, the worst of the six faces;
    ``outside_share`` the share of the template's brain that falls outside the field of view.
    """
    block = _field_of_view(volume.values)
    index = native_voxels(registered.template_brain, registered, volume.grid)
    low, high = np.array(block).T
    covered = ((index >= low) & (index <= high)).all(1)
    return {
        "brain_cut": max(_cut(brain, axis, block[axis]) for axis in range(3)),
        "outside_share": 1 - float(covered.mean()) if len(index) else float("nan"),
    }


def placement(native: Grid, brain: Mask, registered: Registered) -> dict[str, float]:
    """Return how the registration moves the template onto the scan.

    From the polar decomposition A = R S of its linear part: ``rotation_deg`` is the angle of R, the
    turn against the file's header; ``scale_min`` and ``scale_max`` are the extreme eigenvalues of
    S (1: as large as the template), shears included. ``volume_factor`` is det A, negative for a
    mirror. ``centre_off_mm`` lies between the middles of the brain and of the template's;
    ``overlap_dice`` is of the two brains on the model grid.
    """
    linear = registered.to_native[:3, :3]
    u, scale, v = np.linalg.svd(linear)
    turn = u @ v
    turn = turn * np.sign(np.linalg.det(turn))
    angle = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    ours = _middle(brain, native)
    theirs = _middle(registered.template_brain, registered.grid)
    apart = ours - (linear @ theirs + registered.to_native[:3, 3])
    return {
        "rotation_deg": float(angle),
        "scale_min": float(scale.min()),
        "scale_max": float(scale.max()),
        "stretch": float(scale.max() / scale.min()),
        "volume_factor": float(np.linalg.det(linear)),
        "centre_off_mm": float(np.linalg.norm(apart)),
        "overlap_dice": _dice(registered.inside, registered.template_brain),
    }


def likeness(registered: Registered) -> dict[str, float]:
    """Return how alike scan and template are, and the scan and its mirror image.

    ``correlation`` is of the intensities where both have a brain; `resemblance` of their bands;
    ``symmetry`` the correlation of the core's band with its mirror image; ``detail`` the share of
    the core's contrast that is finer than 3 mm.
    """
    grid, image, depth = registered.grid, registered.image, registered.depth
    both, core = depth > 0, depth > CORE_MM
    weight = gaussian_filter(both.astype(np.float32), _voxels(WIDE_MM, grid))
    smooth, band = _bands(image, both, weight, grid)
    _, theirs = _bands(registered.template, both, weight, grid)
    spread = float(image[core].std()) if core.any() else 0.0
    return {
        "correlation": _correlation(image, registered.template, both),
        "resemblance": _explained(band, theirs, depth > RIM_MM),
        "symmetry": _symmetry(band, core, registered),
        "detail": float((image - smooth)[core].std()) / spread if spread > 0 else float("nan"),
    }


def resemblance(image: Map, template: Map, inside: Mask, grid: Grid) -> float:
    """Return the share of the image's variance that the template's intensities explain.

    The correlation ratio (Roche et al. 1998, DOI 10.1007/BFb0056301) between band-passed images in
    the core of the brain. It asks only that one tissue has one intensity, so the contrast does not
    matter. Seen on T1w, T2w and FLAIR, corrected for bias or not: 0.2 to 0.7, and 0.18 with the
    widest ventricles; on noise, smooth fields and bodies with a rim: at most 0.05.

    Returns:
        0 to 1; NaN if there is no core or no contrast.
    """
    weight = gaussian_filter(inside.astype(np.float32), _voxels(WIDE_MM, grid))
    x, t = (_bands(values, inside, weight, grid)[1] for values in (image, template))
    return _explained(x, t, _depth(inside, grid) > RIM_MM)


def native_voxels(where: Mask, registered: Registered, native: Grid) -> np.ndarray:
    """Return the nearest native voxels, ``(n, 3)``, of model voxels; they may lie outside."""
    index = np.argwhere(where)
    position = registered.grid.positions(index[:: max(1, len(index) // POINTS)])
    there = np.linalg.inv(native.affine) @ registered.to_native
    voxels: np.ndarray = np.rint(position @ there[:3, :3].T + there[:3, 3]).astype(int)
    return voxels


def _explained(band: Map, theirs: Map, core: Mask) -> float:
    """Return the correlation ratio of one band-passed image given the other."""
    if core.sum() <= BINS:
        return float("nan")
    x, t = band[core].astype(np.float64), theirs[core]
    if x.std() == 0:
        return float("nan")
    tissue = np.digitize(t, np.quantile(t, np.linspace(0, 1, BINS + 1)[1:-1]))
    count = np.bincount(tissue, minlength=BINS)
    mean = np.bincount(tissue, x, minlength=BINS) / np.maximum(count, 1)
    return float(count @ (mean - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())


def _symmetry(band: Map, core: Mask, registered: Registered) -> float:
    """Return the correlation with the mirror image, where both have a core."""
    grid = registered.grid
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirror[0, 3] = 2 * _middle(registered.template_brain, grid)[0]
    other = resample(band, grid, grid, transform=mirror)
    return _correlation(band, other, core & resample_mask(core, grid, grid, transform=mirror))


def _bands(values: Map, inside: Mask, weight: Map, grid: Grid) -> tuple[Map, Map]:
    """Return the values smoothed a little, and that minus smoothed a lot, within ``inside``.

    Args:
        values: To be smoothed.
        inside: Where they count.
        weight: ``inside``, smoothed a lot.
        grid: Of all three.
    """
    values = np.where(inside, values, np.float32(0))
    little = gaussian_filter(values, _voxels(SMOOTH_MM, grid))
    wide = gaussian_filter(values, _voxels(WIDE_MM, grid)) / np.maximum(weight, np.float32(1e-3))
    return little, little - wide


def _voxels(mm: float, grid: Grid) -> np.ndarray:
    """Return a width in voxels along each axis."""
    width: np.ndarray = mm / np.array(grid.spacing)
    return width


def _field_of_view(values: Map) -> list[tuple[int, int]]:
    """Return the first and last slice of each axis that is not of one value."""
    block = []
    for axis in range(3):
        slices = np.moveaxis(values, axis, 0)
        count = len(slices)
        first = next((i for i in range(count) if _shows(slices[i])), 0)
        last = next((i for i in reversed(range(count)) if _shows(slices[i])), count - 1)
        block.append((first, last))
    return block


def _shows(plane: np.ndarray) -> bool:
    """Say whether a slice holds more than one value."""
    return bool((plane != plane.flat[0]).any()) and bool(np.isfinite(plane).any())


def _cut(brain: Mask, axis: int, ends: tuple[int, int]) -> float:
    """Return the brain's area on the outer slices over its largest, the larger of both."""
    area = brain.sum(tuple(a for a in range(3) if a != axis))
    return float(area[list(ends)].max() / max(1, area.max()))


def _middle(mask: Mask, grid: Grid) -> np.ndarray:
    """Return the centre of mass, mm."""
    index = [
        np.average(np.arange(n), weights=mask.sum(tuple(a for a in range(3) if a != axis)))
        for axis, n in enumerate(mask.shape)
    ]
    middle: np.ndarray = grid.positions(np.array([index]))[0]
    return middle


def _dice(a: Mask, b: Mask) -> float:
    return 2 * float((a & b).sum()) / max(1.0, float(a.sum() + b.sum()))


def _correlation(a: Map, b: Map, where: Mask) -> float:
    x, y = a[where], b[where]
    if x.size < 2 or x.std() == 0 or y.std() == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def _depth(mask: Mask, grid: Grid) -> Map:
    """Return the distance to the border of the mask, mm; 0 outside."""
    depth: Map = distance_transform_edt(mask, sampling=grid.spacing).astype(np.float32)
    return depth
