"""Brain extraction against reference masks: overlap and signed volume difference.

    python benchmarks/brain_extraction.py IXI --cache CACHE

DATA holds `*_T1w.nii.gz` with `*_desc-brain_mask.nii.gz` beside each. Scans whose Dice lies more
than 3 robust SD below the median are listed: the tail that a mean hides. The masks of IXI are
automatic, so a disagreement may be theirs.
"""

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hale.core.scan import Volume
from hale.core.types import Mask
from hale.io.cache import Cache, key_of
from hale.io.nifti import read_volume, stem
from hale.io.template import mni152
from hale.metrics.voxel import dice
from hale.prep.brain import deepbet, template

ROBUST_SD = 1.4826
"""Times the median absolute deviation: the SD of a normal distribution."""

Extract = Callable[[Volume, str], Mask]
EXTRACTORS: dict[str, Extract] = {
    "deepbet": deepbet.extract,
    "template": partial(template.extract, template=mni152()),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One scan."""

    scan: str
    dice: float
    volume_difference: float
    """Percent of the reference volume; positive: the extractor finds more."""


def compared(path: Path, extractor: str, cache: Cache) -> Row:
    """Extract one scan and compare it with the mask beside it."""
    name = stem(path).removesuffix("_T1w")
    volume = read_volume(path).volume
    reference = read_volume(path.with_name(f"{name}_desc-brain_mask.nii.gz")).volume.values > 0
    key = key_of(extractor, volume.values, volume.grid.affine.tolist())
    packed = cache.get(
        "extraction-benchmark",
        key,
        lambda: {"brain": np.packbits(EXTRACTORS[extractor](volume, name))},
    )["brain"]
    found = np.unpackbits(packed, count=reference.size).reshape(reference.shape).astype(bool)
    return Row(
        scan=name,
        dice=dice(found, reference),
        volume_difference=100 * (float(found.sum()) / float(reference.sum()) - 1),
    )


def table(rows: list[Row]) -> None:
    """Print means, spreads, extremes and the outlying scans."""
    overlap = np.array([row.dice for row in rows])
    volume = np.array([row.volume_difference for row in rows])
    median = float(np.median(overlap))
    bound = median - 3 * ROBUST_SD * float(np.median(np.abs(overlap - median)))
    print(f"{len(rows)} scans")
    print(f"Dice               {overlap.mean():.4f} +- {overlap.std(ddof=1):.4f}", end="")
    print(f"  minimum {overlap.min():.4f}  median {median:.4f}")
    print(f"volume difference  {volume.mean():+.2f} +- {volume.std(ddof=1):.2f} %", end="")
    print(f"  from {volume.min():+.2f} to {volume.max():+.2f} %")
    low = sorted((row for row in rows if row.dice < bound), key=lambda row: row.dice)
    print(f"Dice below {bound:.4f} (3 robust SD below the median): {len(low)}")
    for row in low:
        print(f"  {row.scan:<16} {row.dice:.4f}  {row.volume_difference:+.2f} %")


def main() -> None:
    """Read the arguments, extract every scan, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--extractor", choices=EXTRACTORS, default="deepbet")
    parser.add_argument("--every", type=int, default=1, help="take every n-th scan")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, help="a folder that keeps the masks")
    parser.add_argument("--out", type=Path, help="a .tsv with a row per scan")
    arguments = parser.parse_args()
    deepbet.set_threads(arguments.threads)
    paths = sorted(arguments.data.glob("sub-*/anat/*_T1w.nii.gz"))[:: arguments.every]
    cache = Cache(arguments.cache)
    rows = [compared(path, arguments.extractor, cache) for path in paths]
    table(rows)
    if arguments.out is not None:
        with arguments.out.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(Row.__annotations__)
            writer.writerows((row.scan, row.dice, row.volume_difference) for row in rows)


if __name__ == "__main__":
    main()
