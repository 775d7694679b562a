"""Do grey values under reference lesions carry a trace of how they were coded?

    python benchmarks/lesion_rims.py --data SOOP

The grey values under a lesion of these slices were recovered from a coloured overlay of 50 %. What
a supervised method learns is worth nothing if it can recognise that coding instead of the lesion.
So only that is looked at which the coding can change and a lesion cannot: how often the grey values
leave each remainder modulo 2 and 4 (a comb), noise of the finest scale, and jumps where the mask
ends. Compared are the lesion, its rim, what lies around it, the same mask mirrored to the other
side, and the masks of all patients laid on slices without lesion. A classifier of remainders alone
is taught on patients of even number and tried on those of odd number, and the other way round.

Three sights of the slices: as they are stored; with the two lowest bits drawn anew (what
`sadm_two_fold.py --coarse-grey` leaves holds no more than that); in blocks of 2 x 2 voxels, as
recipes with `coarsen = 2` see them.
Intervals are over patients. Grey values below 16 and from 240 on are left out: near the clipped
ends remainders tell the brightness.
"""

import argparse
import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion
from sklearn.linear_model import LogisticRegression

from hale.metrics.bootstrap import Interval, bootstrap_mean
from hale.metrics.voxel import auroc

RIM = 2
"""Width of the rim inside and of the ring outside, voxels."""
PATCH, STRIDE, LEAST = 16, 8, 12
"""Side of a classifier's patch, step between patches, grey values that one must hold."""
FAINT = 0.5
"""Contrast of a lesion with its surroundings, in spreads of the brain, that counts as faint."""
LOW, HIGH = 16, 240
"""Grey values that are looked at: from the first, below the second; whole periods of 16."""
CHANCE = 0.55
"""Recognised is what the lower end of an AUROC exceeds."""
PLACES = ("lesion", "rim", "inside the rim", "around", "mirrored", "elsewhere")


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice:
    """A slice and a mask on it, each as stored."""

    id: str
    grey: np.ndarray
    mask: np.ndarray

    @property
    def is_even(self) -> bool:
        """Say in which half of the patients it is."""
        return int(self.id.removeprefix("sub-")) % 2 == 0

    def place(self, name: str) -> np.ndarray:
        """Return where a place is that belongs to the mask."""
        inner = binary_erosion(self.mask, iterations=RIM)
        wide = binary_dilation(self.mask, iterations=RIM)
        return {
            "lesion": self.mask,
            "rim": self.mask & ~inner,
            "inside the rim": inner,
            "around": wide & ~self.mask & (self.grey > 0),
            "mirrored": self.mask[::-1] & ~wide & (self.grey > 0),
        }[name]


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """A place as it is looked at: numbers, and which of them are there and not clipped."""

    values: np.ndarray
    there: np.ndarray


Sight = Callable[[np.ndarray, np.ndarray], Seen]


def as_stored(grey: np.ndarray, where: np.ndarray) -> Seen:
    """Return the grey values."""
    return Seen(values=grey, there=where & (grey >= LOW) & (grey < HIGH))


def low_bits_redrawn(grey: np.ndarray, where: np.ndarray) -> Seen:
    """Return the grey values with other remainders modulo 4, the same at each call."""
    drawn = np.random.default_rng(0).integers(0, 4, grey.shape, np.uint8)
    return Seen(values=(grey & 0xFC) | drawn, there=as_stored(grey, where).there)


def in_blocks(grey: np.ndarray, where: np.ndarray) -> Seen:
    """Return sums of 2 x 2 grey values, where all four are there."""
    i, j = (n // 2 for n in grey.shape)
    cut = (slice(2 * i), slice(2 * j))
    shape = (i, 2, j, 2)
    whole = as_stored(grey, where).there[cut].reshape(shape).all((1, 3))
    return Seen(values=grey[cut].astype(int).reshape(shape).sum((1, 3)), there=whole)


SIGHTS: dict[str, Sight] = {
    "as stored": as_stored,
    "low bits redrawn": low_bits_redrawn,
    "blocks of 2 x 2": in_blocks,
}


def read(data: Path) -> tuple[list[Slice], list[Slice]]:
    """Return the slices with lesion, and as many without, each with the mask of one of those."""
    with (data / "participants.tsv").open(encoding="utf-8", newline="") as file:
        split = {
            row["participant_id"]: row["split"] for row in csv.DictReader(file, delimiter="\t")
        }
    ill = [_slice(data, name) for name in split if split[name] == "test"]
    free = [name for name in split if split[name] == "fit"]
    others = [_slice(data, name) for name in free[: len(ill)]]
    moved = [
        Slice(id=one.id, grey=other.grey, mask=one.mask & (other.grey > 0))
        for one, other in zip(ill, others, strict=True)
    ]
    return ill, moved


def _slice(data: Path, name: str) -> Slice:
    folder = data / name / "anat"
    grey = np.asarray(nib.load(folder / f"{name}_space-MNI_FLAIR.nii.gz").dataobj)[..., 0]
    path = folder / f"{name}_space-MNI_desc-lesion_mask.nii.gz"
    there = path.is_file()
    mask = np.asarray(nib.load(path).dataobj)[..., 0] > 0 if there else np.zeros(grey.shape, bool)
    return Slice(id=name, grey=grey, mask=mask)


def comb(values: np.ndarray, period: int) -> float:
    """Return how uneven remainders are: |mean exp(2 pi i v / period)|^2, 0 on average by chance."""
    n = len(values)
    if n < LEAST:
        return np.nan
    power = np.abs(np.exp(2j * np.pi * values / period).mean()) ** 2
    return float((n * power - 1) / (n - 1))


def combs(ill: Sequence[Slice], moved: Sequence[Slice], sight: Sight, period: int) -> None:
    """Print the comb at each place, and how much more of it there is than at the mirrored one."""
    found = {}
    for place in PLACES:
        slices = moved if place == "elsewhere" else ill
        name = "lesion" if place == "elsewhere" else place
        seen = [sight(one.grey, one.place(name)) for one in slices]
        found[place] = np.array([comb(one.values[one.there], period) for one in seen])
    for place in PLACES:
        more = _mean(found[place] - found["mirrored"]) if place != "mirrored" else ""
        print(f"  modulo {period}  {place:15s} {_mean(found[place])}   more than mirrored {more}")


def features(seen: Seen) -> np.ndarray:
    """Return what a classifier knows of each patch: nothing but remainders."""
    rows = []
    for i in range(0, seen.values.shape[0], STRIDE):
        for j in range(0, seen.values.shape[1], STRIDE):
            at = (slice(i, i + PATCH), slice(j, j + PATCH))
            values = seen.values[at][seen.there[at]].astype(int)
            if len(values) >= LEAST:
                shares = np.bincount(values % 4, minlength=4) / len(values)
                rows.append(shares)
    return np.array(rows).reshape(-1, 4)


def recognised(ill: Sequence[Slice], sight: Sight, place: str) -> Interval:
    """Return how well a place is told from its mirror image: AUROC, mean over unseen patients."""
    pairs = [
        [features(sight(one.grey, one.place(name))) for name in (place, "mirrored")] for one in ill
    ]
    found = []
    for half in (True, False):
        taught = [pair for one, pair in zip(ill, pairs, strict=True) if one.is_even is half]
        x = [np.concatenate(part) for part in zip(*taught, strict=True)]
        if not all(len(part) for part in x):
            continue
        model = LogisticRegression(class_weight="balanced", max_iter=1000)
        model.fit(np.concatenate(x), np.repeat([1, 0], [len(part) for part in x]))
        for one, pair in zip(ill, pairs, strict=True):
            if one.is_even is not half and all(len(part) for part in pair):
                truth = np.repeat([True, False], [len(part) for part in pair])
                found.append(auroc(model.decision_function(np.concatenate(pair)), truth))
    return bootstrap_mean(found)


def noise(one: Slice, place: str) -> float:
    """Return the spread of the Laplacian where all of it lies in a place; grey levels."""
    grey = one.grey.astype(float)
    laplacian = 4 * grey
    for axis in (0, 1):
        laplacian -= np.roll(grey, 1, axis) + np.roll(grey, -1, axis)
    valid = one.place(place) & (one.grey > 0) & (one.grey < 255)
    values = laplacian[binary_erosion(valid)]
    if len(values) < LEAST:
        return np.nan
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def jump(grey: np.ndarray, mask: np.ndarray) -> float:
    """Return the mean absolute difference of neighbours on either side of a mask's border."""
    values, usable = grey.astype(float), (grey > 0) & (grey < 255)
    parts = []
    for axis in (0, 1):
        a, b = (np.take(mask, range(s, mask.shape[axis] - 1 + s), axis) for s in (0, 1))
        u, v = (np.take(usable, range(s, mask.shape[axis] - 1 + s), axis) for s in (0, 1))
        parts.append(np.abs(np.diff(values, axis=axis))[(a != b) & u & v])
    found = np.concatenate(parts)
    return float(found.mean()) if len(found) >= LEAST else np.nan


def sharpness(one: Slice) -> float:
    """Return the jump at the border over the mean of those `RIM` voxels within and beyond it."""
    near = [
        jump(one.grey, binary_erosion(one.mask, iterations=RIM)),
        jump(one.grey, binary_dilation(one.mask, iterations=RIM)),
    ]
    return jump(one.grey, one.mask) / float(np.mean(near))


def is_faint(one: Slice) -> bool:
    """Say whether a lesion hardly differs in brightness from what lies around it."""
    inside, around = (one.grey[one.place(name)].astype(float) for name in ("lesion", "around"))
    spread = float(one.grey[one.grey > 0].std())
    return bool(abs(inside.mean() - around.mean()) < FAINT * spread)


def _mean(values: Sequence[float] | np.ndarray) -> str:
    known = [float(v) for v in values if not np.isnan(v)]
    return _shown(bootstrap_mean(known))


def _shown(found: Interval) -> str:
    return f"{found.value:7.4f} [{found.low:7.4f}, {found.high:7.4f}] n={found.n}"


def main() -> None:
    """Read the slices, print the tables and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    ill, moved = read(parser.parse_args().data)
    print("Comb of the grey values (0: none), and the same place's minus the mirrored one's")
    for name, sight in SIGHTS.items():
        print(name)
        for period in (2, 4):
            combs(ill, moved, sight, period)
    print("A classifier of remainders, against the mirrored place: AUROC (0.5: chance)")
    verdicts = []
    for name, sight in SIGHTS.items():
        found = {place: recognised(ill, sight, place) for place in ("lesion", "rim", "around")}
        for place, interval in found.items():
            print(f"  {name:16s} {place:8s} {_shown(interval)}")
        traced = [place for place, interval in found.items() if interval.low > CHANCE]
        verdicts.append((name, traced))
    print("Spread of the Laplacian, over the mirrored place's")
    for place in ("lesion", "rim"):
        ratios = [noise(one, place) / noise(one, "mirrored") for one in ill]
        print(f"  {place:8s} {_mean(ratios)}")
    print(f"Jump at the border, over that {RIM} voxels within and beyond (1: no edge there)")
    flipped = [Slice(id=one.id, grey=one.grey, mask=one.place("mirrored")) for one in ill]
    faint = [one for one in ill if is_faint(one)]
    for name, slices in (
        ("lesion", ill),
        ("faint ones", faint),
        ("mirrored", flipped),
        ("elsewhere", moved),
    ):
        print(f"  {name:10s} {_mean([sharpness(one) for one in slices])}")
    print("Verdict")
    for name, traced in verdicts:
        word = f"the coding is recognised: {', '.join(traced)}" if traced else "no trace"
        print(f"  {name}: {word}")


if __name__ == "__main__":
    main()
