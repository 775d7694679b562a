"""Synthetic lesions: known anomalies of chosen size and contrast, planted in healthy scans.

The change is flat inside and falls linearly over `EDGE_MM` across the border; the reference mask is
where at least half of it is added. Parts of a shape that are thinner than the edge stay below the
full change. Its unit is the standard deviation of the *local tissue*: of the unchanged intensities
of all brain voxels in the lesion and within `LOCAL_MM` of it, whatever tissue they belong to. That
holds on raw and on normalised images, under a bias field, for any contrast.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.types import Map, Mask
from hale.data.lesions.solid import Solid, ball, component, masks_at, solid

EDGE_MM = 2.0
"""Width of the soft edge: from the full change to none."""
LOCAL_MM = 10.0
"""How far around the lesion its local tissue reaches."""
TRIES = 20
"""Shapes of a folder that are tried before a lesion is said not to fit."""
CHUNK = 4000
"""Places that are tried at once."""


@dataclass(frozen=True, kw_only=True)
class LesionSpec:
    """What to plant."""

    volume_ml: float
    """Volume of the reference mask, met to a voxel."""
    contrast_sd: float
    """Change inside, in standard deviations of the local tissue; negative is darker."""
    shape: Path | None = None
    """None for a sphere; a NIfTI mask, or a folder of them from which the seed picks one.

    Of a mask the largest 26-connected component is used, scaled to the volume.
    """

    def __post_init__(self) -> None:
        """Refuse a lesion of no size."""
        if not self.volume_ml > 0 or not np.isfinite(self.contrast_sd):
            raise Refused(f"lesion of {self.volume_ml} ml, {self.contrast_sd} SD",
                          "it has no size or no contrast", "give a volume above 0 ml")  # fmt: skip

    def __str__(self) -> str:
        return f"{self.volume_ml:g} ml {self.contrast_sd:+g} SD"


TABLE = tuple(
    LesionSpec(volume_ml=volume_ml, contrast_sd=contrast_sd)
    for volume_ml, contrast_sd in product((0.5, 4.0, 15.0), (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0))
)
"""The cells that are always reported together: below 1, 1 to 10, above 10 ml; -3 to +3 SD."""


def plant(image: Map, brain: Mask, grid: Grid, lesion: LesionSpec, seed: int) -> tuple[Map, Mask]:
    """Return ``image`` with a lesion in it, and the lesion's mask.

    Args:
        image: Intensities, raw or prepared.
        brain: Where a lesion may be.
        grid: Where the voxels of both are; any spacing and orientation.
        lesion: What to plant.
        seed: Decides shape and place. Lesions that differ in contrast only share both.

    The mask lies wholly inside the brain, nothing changes outside it, and no voxel becomes darker
    than the brain's darkest, so that a magnitude image stays one: there a strong negative change
    falls short of its contrast.

    Raises:
        Refused: The lesion does not fit the brain or the voxels, or the tissue there is uniform.
    """
    rng = np.random.default_rng(seed)
    index, depth = _place(brain, grid, lesion, rng)
    where = tuple(index.T)
    mask = np.zeros(grid.shape, bool)
    mask[tuple(index[depth <= 0].T)] = True
    spread = float(image[local_tissue(mask, brain, grid)].std())
    if spread == 0:
        raise Refused(str(lesion), "the image is uniform there", "plant it in a real image")
    share = np.clip(0.5 - depth / EDGE_MM, 0, 1) * brain[where]
    darkest = image[brain].min()
    changed = image.copy()
    raised = image[where] + share * lesion.contrast_sd * spread
    changed[where] = np.where(share > 0, np.maximum(raised, np.minimum(darkest, image[where])),
                              image[where])  # fmt: skip
    return changed, mask


def local_tissue(mask: Mask, brain: Mask, grid: Grid) -> Mask:
    """Return the brain voxels in ``mask`` or within `LOCAL_MM` of it."""
    margin = np.ceil(LOCAL_MM / np.array(grid.spacing)).astype(int)
    inside = np.argwhere(mask)
    low = np.maximum(inside.min(axis=0) - margin, 0)
    high = inside.max(axis=0) + margin + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    near = np.zeros_like(brain)
    near[box] = distance_transform_edt(~mask[box], sampling=grid.spacing) <= LOCAL_MM
    near &= brain
    return near


def _place(
    brain: Mask, grid: Grid, lesion: LesionSpec, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return voxels about a random place that fits ``(n, 3)`` and their distance to the border."""
    count = round(lesion.volume_ml / grid.voxel_ml)
    if count < 1:
        raise Refused(str(lesion), f"a voxel is {grid.voxel_ml:.2g} ml", "plant a larger one")
    shape = lesion.shape
    solids = [ball(lesion.volume_ml)] if shape is None else _real(lesion, shape, rng)
    for one in islice(solids, TRIES):
        offset, depth = _voxels(rng.uniform(-0.5, 0.5, 3), grid, one)
        if len(depth) < count:
            continue
        # The border moves by a fraction of a voxel, so that sampling does not change the volume.
        level = np.partition(depth, count - 1)[count - 1]
        centre = _room(brain, grid, one, offset[depth <= level], rng)
        if abs(level) <= max(grid.spacing) / 2 and centre is not None:
            index = centre + offset
            on_grid = ((index >= 0) & (index < grid.shape)).all(axis=1)
            return index[on_grid], (depth - level)[on_grid]
    raise Refused(str(lesion), "it fits nowhere in this brain", "plant a smaller one")


def _room(
    brain: Mask, grid: Grid, solid: Solid, offset: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """Return a random voxel (3,) about which all of ``offset`` ``(n, 3)`` is brain, if any is."""
    if not brain.any():
        return None
    low, high = (np.argwhere(brain).min(axis=0), np.argwhere(brain).max(axis=0) + 1)
    reach = np.abs(offset).max(axis=0) + 1
    cut = brain[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    block = np.pad(cut, [(n, n) for n in reach])
    depth_mm = distance_transform_edt(block, sampling=grid.spacing)
    # The centre may lie off its voxel's: a voxel less of depth than the largest ball would need.
    deep = rng.permutation(np.flatnonzero(depth_mm > solid.radius_mm - max(grid.spacing)))
    strides = np.array([block.shape[1] * block.shape[2], block.shape[2], 1])
    farthest_first = np.argsort(-np.linalg.norm(offset * grid.spacing, axis=1))
    steps = (offset @ strides)[farthest_first]
    inside = block.ravel()
    for begin in range(0, len(deep), CHUNK):
        left = deep[begin : begin + CHUNK]
        left = left[inside[left]]
        for step in steps:
            left = left[inside[left + step]]
            if not len(left):
                break
        if len(left):
            centre: np.ndarray = np.array(np.unravel_index(left[0], block.shape)) - reach + low
            return centre
    return None


def _voxels(shift: np.ndarray, grid: Grid, solid: Solid) -> tuple[np.ndarray, np.ndarray]:
    """Return voxel offsets ``(n, 3)`` about a centre at ``shift``, and their distance (mm)."""
    reach = np.ceil((solid.reach_mm + EDGE_MM) / np.array(grid.spacing)).astype(int) + 1
    offset = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), -1)
    offset = offset.reshape(-1, 3)
    return offset, solid.distance((offset - shift) @ grid.affine[:3, :3].T)


def _real(lesion: LesionSpec, shape: Path, rng: np.random.Generator) -> Iterator[Solid]:
    """Yield shapes at the wanted volume: in random order those at most halved or doubled to it."""
    found = masks_at(shape)
    others = []
    for number in rng.permutation(len(found)):
        mask, step_mm = component(found[number])
        scale = float(lesion.volume_ml * 1000 / (mask.sum() * np.prod(step_mm))) ** (1 / 3)
        if 0.5 <= scale <= 2:
            yield solid(mask, step_mm * scale)
        else:
            others.append((abs(np.log(scale)), scale, int(number)))
    for _, scale, number in sorted(others):
        mask, step_mm = component(found[number])
        yield solid(mask, step_mm * scale)
