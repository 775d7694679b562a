"""Two methods on one scan: where they agree, by rank, because scales differ."""

from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float32
from scipy.ndimage import label

from hale.calibration import TWENTY_SIX
from hale.core.errors import Refused
from hale.core.types import Labels, Mask
from hale.serve.results import MAPS, Found
from hale.serve.volumes import Result, opened, read_labels

TOP = 0.01
"""Share of the brain that counts as found by a method without a mask."""
LISTED = 30
"""Components of such a method that are listed, the largest; all of them count for Dice."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """One of the two results."""

    found: Found
    result: Result
    ranks: Float32[np.ndarray, "n"]
    """Rank of each voxel of the common brain, 0 to 1."""
    labels: Labels
    """Its lesions, or the components of its highest voxels."""
    has_mask: bool


def sides(a: tuple[Found, Result], b: tuple[Found, Result]) -> tuple[Side, Side, Mask]:
    """Return two results of one scan, ready to compare, and their common brain.

    Raises:
        Refused: They are not of one scan, lie on different grids, or have no brain in common.
    """
    (one, first), (other, second) = a, b
    if not _is_of_one_scan(one, other):
        remedy = "compare results of one scan"
        raise Refused("the two results", "are not of one scan", remedy)
    if not first.grid.is_the_same_as(second.grid):
        remedy = "compare results of one scan"
        raise Refused("the two results", "lie on different grids", remedy)
    brain = first.brain & second.brain
    if not brain.any():
        raise Refused("the two results", "have no brain in common", "compare results of one scan")
    return _side(*a, brain), _side(*b, brain), brain


def agreement(one: Side, other: Side) -> dict[str, Any]:
    """Return how much two results agree, as plain JSON; what is undefined is None."""
    here, there = one.labels > 0, other.labels > 0
    total = int(here.sum() + there.sum())
    correlation = _correlation(one.ranks, other.ranks)
    return {
        "dice": round(2 * int((here & there).sum()) / total, 4) if total else None,
        "correlation": None if isnan(correlation) else round(correlation, 4),
        "a_found": "lesions" if one.has_mask else f"the highest {100 * TOP:g} %",
        "b_found": "lesions" if other.has_mask else f"the highest {100 * TOP:g} %",
        "table": [*_rows("a", one, other), *_rows("b", other, one)],
    }


def write_disagreement(one: Side, other: Side, brain: Mask, path: Path) -> None:
    """Write rank of the first minus rank of the second, -1 to 1, 0 outside the brain."""
    values = np.zeros(brain.shape, np.float32)
    values[brain] = one.ranks - other.ranks
    header = opened(one.found.folder / MAPS["anomaly"]).header
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{path.name}")
    nib.save(nib.Nifti1Image(values, None, header), part)
    part.replace(path)


def _is_of_one_scan(one: Found, other: Found) -> bool:
    """Say whether the scan whose grid one result has is among the scans of the other."""
    a, b = (f.detection.get("provenance", {}).get("input_sha256") or [] for f in (one, other))
    return bool(a and b) and (a[0] in b or b[0] in a)


def _side(found: Found, result: Result, brain: Mask) -> Side:
    inside = result.anomaly[brain]
    mask = found.folder / MAPS["mask"]
    has_mask = mask.is_file()
    return Side(
        found=found,
        result=result,
        ranks=_ranks(inside),
        labels=read_labels(mask) if has_mask else _highest(result, brain, inside),
        has_mask=has_mask,
    )


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the share of values that are lower or equal; equal ones share the highest."""
    order = np.argsort(values)
    ordered = values[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) + 1
    share = (ends / values.size).astype(np.float32)
    ranks = np.empty(values.size, np.float32)
    ranks[order] = np.repeat(share, np.diff(ends, prepend=0))
    return ranks


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Pearson's correlation, summed in double precision without copies in it."""
    x, y = (ranks - np.float32(ranks.mean(dtype=np.float64)) for ranks in (one, other))
    xy, xx, yy = (
        float(np.einsum("i,i", a, b, dtype=np.float64)) for a, b in ((x, y), (x, x), (y, y))
    )
    return xy / (xx * yy) ** 0.5 if xx > 0 and yy > 0 else float("nan")


def _highest(result: Result, brain: Mask, inside: np.ndarray) -> Labels:
    """Return the components of the highest voxels, numbered from the largest."""
    limit = np.quantile(inside, 1 - TOP)
    found, count = label(brain & (result.anomaly >= limit) & (result.anomaly > 0), TWENTY_SIX)
    size = np.bincount(found.ravel(), minlength=count + 1)[1:]
    rank = np.zeros(count + 1, np.int32)
    rank[np.argsort(-size, kind="stable") + 1] = np.arange(1, count + 1)
    labels: Labels = rank[found]
    return labels


def _rows(name: str, one: Side, other: Side) -> list[dict[str, Any]]:
    """Return the lesions of one side, and what the other says of them."""
    index = np.argwhere(one.labels > 0)
    place = tuple(index.T)
    numbers, others = one.labels[place], other.labels[place]
    higher = other.result.anomaly[place]
    rows = []
    most = int(numbers.max(initial=0))
    for number in range(1, (most if one.has_mask else min(most, LISTED)) + 1):
        mine = numbers == number
        if not mine.any():
            continue
        shared = others[mine]
        met = np.bincount(shared[shared > 0]) if (shared > 0).any() else np.zeros(1, int)
        met = met if other.has_mask else met[: LISTED + 1]
        centre = one.result.grid.positions(index[mine].mean(0)[None])[0]
        rows.append(
            {
                "of": name,
                "label": number,
                "volume_ml": round(int(mine.sum()) * one.result.grid.voxel_ml, 4),
                "centre_mm": centre.round(1).tolist(),
                "shared": round(float((shared > 0).mean()), 4),
                "other_label": int(met.argmax()) or None,
                "peak": round(float(one.result.anomaly[place][mine].max()), 3),
                "other_peak": round(float(higher[mine].max()), 3),
            }
        )
    return rows
