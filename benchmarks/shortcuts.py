"""What shortcuts of a fitted diffusion model cost in accuracy, and what they save.

    python benchmarks/shortcuts.py --data SOOP MODEL...

Lesions of the FLAIR slices of stroke patients are scored in float32, in bfloat16, and in bfloat16
with slices cut to the box about the brain (`crop`). `auprc` pools the brain voxels of all slices,
without calibration; `error` is max |x_hat - x_hat32| / max |x_hat32| over the slices; `time` is
processor time of one thread over that of float32, the fastest of `--repeats`; `pixels` is the share
of pixels that are left. Slices without brain are never shown to a network: with `--volumes IXI`
their share is counted, and what the box leaves of the others; a few volumes are scored either way.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flair_slices import pooled_auprc

from hale.core.run import Precision
from hale.core.scan import Scan, Split
from hale.core.types import Image, Map, Mask
from hale.data.bids import read_bids
from hale.data.cohort import of_split
from hale.io.cache import Cache
from hale.io.nifti import read_volume
from hale.pipeline.model import Model, load_model, score
from hale.pipeline.prepare import read_entry
from hale.prep.chain import Prepared, prepare
from hale.train.denoiser import about

FEW = 3
"""Volumes that are scored either way."""
WAYS: dict[str, dict[str, Any]] = {
    "float32": {"precision": Precision.FULL},
    "bfloat16": {"precision": Precision.BF16},
    "bfloat16, crop": {"precision": Precision.BF16, "crop": True},
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What one way gave."""

    auprc: str
    pictures: list[Image]
    seconds: float
    pixels: float


def prepared_slices(model: Model, data: Path, cache: Path) -> list[tuple[Prepared, Mask]]:
    """Return the test slices with their reference masks."""
    found = []
    for entry in of_split(read_bids(data, model.space.slots), Split.TEST):
        prepared = prepare(read_entry(entry), model.recipe.prep, Cache(cache), model.space)
        reference = next((data / entry.id).rglob("*lesion_mask.nii.gz"))
        found.append((prepared, read_volume(reference).volume.values > 0))
    return found


def outcome(
    model: Model, way: dict[str, Any], slices: Sequence[tuple[Prepared, Mask]], repeats: int
) -> Outcome:
    """Score all slices in one way."""
    detector: Any = replace(model.detector, **way)  # type: ignore[type-var]
    moved = replace(model, detector=detector)
    took = []
    for _ in range(repeats):
        began = time.process_time()
        maps = [score(moved, one.scan) for one, _ in slices]
        took.append(time.process_time() - began)
    values, truths = [], []
    for anomaly, (one, lesion) in zip(maps, slices, strict=True):
        values.append(one.trace.undo(anomaly.values)[one.trace.brain])
        truths.append(lesion[one.trace.brain])
    left = [share_left(one.scan.brain) if detector.crop else 1.0 for one, _ in slices]
    pictures = [detector.reconstruct(one.scan) for one, _ in slices]
    return Outcome(
        auprc=pooled_auprc(values, truths),
        pictures=pictures,
        seconds=min(took),
        pixels=float(np.mean(left)),
    )


def share_left(brain: Mask) -> float:
    """Return the share of a slice's pixels within the box about a brain."""
    rows, columns = about(brain)
    inside = brain[rows, columns]
    return inside[..., 0].size / brain[..., 0].size


def table(model: Model, data: Path, cache: Path, repeats: int) -> None:
    """Print a line for each way."""
    slices = prepared_slices(model, data, cache)
    first: Outcome | None = None
    for name, way in WAYS.items():
        made = outcome(model, way, slices, repeats)
        first = first or made
        pairs = zip(made.pictures, first.pictures, strict=True)
        error = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)
        print(
            f"| {model.name} | {name} | {made.auprc} | {error:.1e} |"
            f" {made.seconds / first.seconds:.2f} | {made.pixels:.2f} |",
            flush=True,
        )


def volumes(model: Model, data: Path, cache: Path) -> None:
    """Print how many slices of volumes hold brain, what the box leaves of those, and saves."""
    entries = of_split(read_bids(data, model.space.slots), Split.TEST)
    scans = [
        prepare(read_entry(entry), model.recipe.prep, Cache(cache), model.space).scan
        for entry in entries
    ]
    held = [float(scan.brain.any((0, 1)).mean()) for scan in scans]
    left = [share_left(scan.brain) for scan in scans]
    print(f"{len(scans)} volumes: {np.mean(held):.0%} of slices hold brain", end=", ")
    print(f"the box leaves {np.mean(left):.0%} of their pixels")
    few = scans[:FEW]
    (whole, took), (cut, took_cut) = (scored(model, few, crop=crop) for crop in (False, True))
    alike = [
        np.corrcoef(a[scan.brain], b[scan.brain])[0, 1]
        for a, b, scan in zip(whole, cut, few, strict=True)
    ]
    print(f"cut to it, {len(few)} volumes take {took_cut / took:.2f} of the time", end="; ")
    print(f"their maps correlate with those of whole slices at {min(alike):.3f} or more")


def scored(model: Model, scans: Sequence[Scan], *, crop: bool) -> tuple[list[Map], float]:
    """Return the maps of volumes in bfloat16, and the processor seconds of scoring them."""
    detector: Any = replace(model.detector, precision=Precision.BF16, crop=crop)  # type: ignore[type-var]
    began = time.process_time()
    maps = [score(replace(model, detector=detector), scan).values for scan in scans]
    return maps, time.process_time() - began


def main() -> None:
    """Read the arguments, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--volumes", type=Path, help="whole scans; with a model of theirs last")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/hale"))
    told = parser.parse_args()
    torch.set_num_threads(1)
    cache = told.cache.expanduser()
    models = [load_model(folder) for folder in told.models]
    print("| model | way | auprc | error | time | pixels |\n|---|---|---|---|---|---|")
    for model in models[:-1] if told.volumes else models:
        table(model, told.data, cache, told.repeats)
    if told.volumes:
        volumes(models[-1], told.volumes, cache)


if __name__ == "__main__":
    main()
