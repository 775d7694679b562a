"""From where a registration starts: mutual information at 8 mm over orientations of the head.

A local optimiser finds what lies within some 25 degrees. So poses all over are rated first, at half
a millisecond each; the best are refined; and only the best of those is registered with full effort.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from hale.core.types import Affine
from hale.prep.descent import SEED, Effort, Freedom, Pair, descended
from hale.prep.working import centre_of_mass

COARSE_MM = 8.0
BINS = 16
TOP_PERCENT = 99.5
"""Of the values that are not 0: what is brighter falls into the last bin."""
POINTS = 3000
"""At which two volumes are compared."""
REFINED = 8
"""Poses that are worth an optimisation, beside the usual one."""
CLEARLY = 1.05
"""Times as alike as the usual start, before another one is taken."""
EFFORT = Effort(shrink=(1,), sampled=0.3, bins=BINS, first_step=4.0, last_step=0.05, iterations=60)


class Likeness:
    """How alike two volumes are under a transform: mutual information, nats, at fixed points."""

    def __init__(self, pair: Pair) -> None:
        grid = pair.fixed.grid
        index = np.argwhere(np.ones(grid.shape, bool) if pair.within is None else pair.within)
        if len(index) > POINTS:
            index = np.random.default_rng(SEED).permutation(index)[:POINTS]
        self._positions = grid.positions(index)
        self._fixed = np.rint(_in_bins(pair.fixed.values)[tuple(index.T)]).astype(np.intp)
        self._moving = _in_bins(pair.moving.values)
        self._to_index = np.linalg.inv(pair.moving.grid.affine)

    def __call__(self, transform: Affine) -> float:
        """Return it for fixed position to moving position, mm; what is not seen counts as 0."""
        matrix = self._to_index @ transform
        at = matrix[:3, :3] @ self._positions.T + matrix[:3, 3:]
        moving = np.rint(map_coordinates(self._moving, at, order=1, prefilter=False))
        pairs = self._fixed * BINS + moving.astype(np.intp)
        joint = np.bincount(pairs, minlength=BINS**2).reshape(BINS, BINS) / len(pairs)
        apart = np.outer(joint.sum(1), joint.sum(0))
        seen = joint > 0
        return float(joint[seen] @ np.log(joint[seen] / apart[seen]))


def _in_bins(values: np.ndarray) -> np.ndarray:
    """Return 0 to BINS - 1, linear in the values, not rounded."""
    high = np.percentile(values[values > 0], TOP_PERCENT)
    scaled: np.ndarray = (values / high * (BINS - 1)).clip(0, BINS - 1)
    return scaled


def orientations() -> Rotation:
    """Return 360 rotations, the identity first; none of all rotations is 27 degrees from all.

    They are the 24 that exchange the axes, each as it is, tilted by 30 degrees towards the six
    faces of a cube, and by 45 degrees towards its eight corners.
    """
    square = Rotation.create_group("O")
    square = square[np.argsort(square.magnitude(), kind="stable")]
    faces = np.concatenate([np.eye(3), -np.eye(3)])
    corners = np.array(list(product((-1, 1), repeat=3))) / np.sqrt(3)
    degrees = np.concatenate([np.zeros((1, 3)), 30 * faces, 45 * corners])
    tilts = Rotation.from_rotvec(degrees, degrees=True)
    return Rotation.concatenate([turn * tilts for turn in square])


def about_centres(pair: Pair, *, below_mm: float = 0.0) -> list[Affine]:
    """Return every orientation with centre of mass on centre of mass, the header's first.

    Args:
        pair: Of any spacing.
        below_mm: How far below the fixed one's centre that of the moving one lies, as that of a
            head lies below that of its brain.
    """
    here = centre_of_mass(pair.fixed) - (0, 0, below_mm)
    there = centre_of_mass(pair.moving)
    poses = []
    for turn in orientations().as_matrix():
        pose = np.eye(4)
        pose[:3, :3] = turn
        pose[:3, 3] = there - turn @ here
        poses.append(pose)
    return poses


def refined(pair: Pair, poses: Sequence[Affine]) -> list[Affine]:
    """Return the most alike poses after a short rigid descent, the best first.

    Args:
        pair: Two volumes at 8 mm.
        poses: Fixed position to moving position, mm; the first is the usual one. Another goes
            before it only where it is clearly more alike.
    """
    alike = Likeness(pair)
    rated = [alike(pose) for pose in poses]
    best = sorted(range(1, len(poses)), key=lambda number: -rated[number])[:REFINED]
    usual, *others = (descended(pair, poses[n], Freedom.RIGID, EFFORT) for n in (0, *best))
    others.sort(key=alike, reverse=True)
    clearly = sum(alike(other) > CLEARLY * alike(usual) for other in others)
    return [*others[:clearly], usual, *others[clearly:]]
