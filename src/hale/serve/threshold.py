"""Lesions at any threshold, at once: the map is made ready once, a threshold only cuts.

The components of ``z > t`` for all t are nested. Neighbouring voxels (26 of them) are joined by an
edge that lasts as long as both do, to the lower of their scores; of all edges only those of a
maximum spanning forest matter. Voxels and edges are sorted once, from the highest. At a threshold
both are cut off, and what is connected then is a component: work for the voxels above it alone.
"""

import time
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from hale.core.grid import Grid
from hale.core.types import Mask
from hale.serve.volumes import Result

LOWEST = 2.0
"""Threshold of a calibrated map below which nothing is asked: the first step of its ladder."""
MOST = 300_000
"""Voxels that are made ready: the highest."""
SHOWN = 500
"""Lesions that are described, the heaviest."""
FORWARD = [step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]
"""13 of the 26 neighbours: each pair once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ready:
    """The highest voxels of a map, from the highest, and what joins them."""

    grid: Grid
    floor: float
    """Threshold below which it knows nothing."""
    highest: float
    z: Float32[np.ndarray, "n"]
    index: Int32[np.ndarray, "n 3"]
    """i j k, as the file stores them."""
    edges: Int64[np.ndarray, "m 2"]
    """Voxels that a spanning forest joins, by their number."""
    lasts: Float32[np.ndarray, "m"]
    """Score to which each edge lasts, from the highest."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """Components at a threshold, numbered from the heaviest."""

    z0: float
    labels: Int32[np.ndarray, "n"]
    """1, 2, ... of each voxel above the threshold, in the order of `Ready`."""
    mass: Float64[np.ndarray, "c"]
    """Sum of (z - z0) x voxel volume, ml."""
    volume: Float64[np.ndarray, "c"]
    """ml."""


def ready(result: Result, *, calibrated: bool) -> Ready:
    """Sort the highest voxels of a map, and join neighbours."""
    inside = result.anomaly[result.brain]
    floor = _floor(inside, calibrated=calibrated)
    above = result.brain & (result.anomaly > floor)
    index = np.argwhere(above).astype(np.int32)
    z = result.anomaly[above]
    order = np.argsort(-z, kind="stable")
    index, z = index[order], z[order]
    edges, lasts = _forest(z, index, result.grid.shape)
    return Ready(
        grid=result.grid,
        floor=floor,
        highest=float(inside.max(initial=0)),
        z=z,
        index=index,
        edges=edges,
        lasts=lasts,
    )


def cut(ready: Ready, z0: float) -> Cut:
    """Return the components of z > z0."""
    z0 = max(z0, ready.floor)
    count = int(np.searchsorted(-ready.z, -z0, side="left"))
    joined = int(np.searchsorted(-ready.lasts, -z0, side="left"))
    labels = _connected(ready.edges[:joined], count)
    ml = ready.grid.voxel_ml
    excess = ready.z[:count].astype(np.float64) - z0
    mass = np.bincount(labels, excess) * ml
    order = np.argsort(-mass, kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(1, len(order) + 1)
    volume = np.bincount(labels)[order] * ml
    return Cut(z0=z0, labels=rank[labels], mass=mass[order], volume=volume)


def _connected(edges: np.ndarray, count: int) -> np.ndarray:
    """Return the component, from 0, of each of ``count`` voxels."""
    if not count:
        return np.zeros(0, np.int32)
    pairs = (edges[:, 0], edges[:, 1])
    graph = coo_array((np.ones(len(edges), bool), pairs), shape=(count, count))
    labels: np.ndarray = connected_components(graph, directed=False)[1]
    return labels


def lesions_of(ready: Ready, found: Cut) -> list[dict[str, Any]]:
    """Return the heaviest components as plain JSON; positions are mm, RAS+."""
    count, shown = len(found.labels), min(SHOWN, len(found.mass))
    if not count:
        return []
    numbers = found.labels - 1
    size = np.bincount(numbers)
    sums = [np.bincount(numbers, axis) for axis in ready.index[:count].T]
    middle = np.stack(sums, axis=1) / size[:, None]
    # voxels come from the highest: the first of a component is its peak
    _, first = np.unique(numbers, return_index=True)
    centre = ready.grid.positions(middle[:shown])
    peak = ready.grid.positions(ready.index[first[:shown]])
    return [
        {
            "label": n + 1,
            "volume_ml": round(float(found.volume[n]), 4),
            "mass": round(float(found.mass[n]), 4),
            "peak": round(float(ready.z[first[n]]), 3),
            "centre_mm": centre[n].round(1).tolist(),
            "peak_mm": peak[n].round(1).tolist(),
            "centre_vox": np.rint(middle[n]).astype(int).tolist(),
        }
        for n in range(shown)
    ]


def at(ready: Ready, z0: float) -> dict[str, Any]:
    """Return what a threshold shows, as plain JSON, and how long it took."""
    start = time.perf_counter()
    found = cut(ready, z0)
    lesions = lesions_of(ready, found)
    return {
        "z": found.z0,
        "floor": ready.floor,
        "lesions": lesions,
        "count": len(found.mass),
        "volume_ml": round(float(found.volume.sum()), 4),
        "ms": round(1000 * (time.perf_counter() - start), 2),
    }


def painted(ready: Ready, found: Cut) -> np.ndarray:
    """Return the components as labels on the map's grid."""
    labels = np.zeros(ready.grid.shape, np.uint16)
    i, j, k = ready.index[: len(found.labels)].T
    labels[i, j, k] = found.labels.clip(max=np.iinfo(np.uint16).max)
    return labels


def _floor(inside: np.ndarray, *, calibrated: bool) -> float:
    """Return the threshold below which a map is not made ready."""
    lowest = LOWEST if calibrated else 0.0
    if (inside > lowest).sum() <= MOST:
        return lowest
    return float(np.partition(inside, inside.size - MOST)[inside.size - MOST])


def _forest(
    z: np.ndarray, index: np.ndarray, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of a maximum spanning forest of the voxels, and to where each lasts."""
    number = np.full(tuple(n + 2 for n in shape), -1, np.int32)
    place = index + 1
    number[tuple(place.T)] = np.arange(len(z), dtype=np.int32)
    ones, others = [], []
    for step in FORWARD:
        other = number[tuple((place + np.array(step, np.int32)).T)]
        here = np.flatnonzero(other >= 0).astype(np.int32)
        ones.append(here)
        others.append(other[here])
    one, other = np.concatenate(ones), np.concatenate(others)
    later = np.maximum(one, other)  # from the highest: the later voxel is the lower
    graph = coo_array((later + 1.0, (one, other)), shape=(len(z), len(z))).tocsr()
    tree = minimum_spanning_tree(graph).tocoo()
    pairs = np.stack([tree.row, tree.col], axis=1).astype(np.int64)
    lasts = z[pairs.max(1)] if len(pairs) else np.zeros(0, np.float32)
    order = np.argsort(-lasts, kind="stable")
    return pairs[order], lasts[order]


def mask_of(ready: Ready, z0: float) -> Mask:
    """Return where a map lies above a threshold."""
    return painted(ready, cut(ready, z0)) > 0
