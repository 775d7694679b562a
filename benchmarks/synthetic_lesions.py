"""The whole table of synthetic lesions, size by contrast, for fitted models.

    python benchmarks/synthetic_lesions.py --data IXI --shapes LESION_SHAPES --out OUT MODEL...

Every cell of `hale.data.lesions.TABLE` is planted once in each prepared *test* scan, with a real
shape, at the same place for every model: on the model grid and after normalisation, so how the
preparation reacts to a lesion is not measured here. No threshold is chosen: `dice_at_alpha` is the
Dice of the components with p <= alpha. Beside it stand the share of scans that are flagged, the
share of lesions that a flagged component hits, and the false alarms in the same scans without a
lesion with the range that chance explains.
"""

import argparse
import csv
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hale.calibration import flagged_range
from hale.core.anomaly import AnomalyMap
from hale.core.scan import Scan, Split
from hale.core.types import Map, Mask
from hale.data.bids import read_bids
from hale.data.cohort import of_split
from hale.data.lesions import TABLE, LesionSpec, plant
from hale.io.cache import Cache
from hale.metrics.bootstrap import bootstrap_mean
from hale.metrics.voxel import average_precision, dice
from hale.pipeline.model import Model, load_model, score
from hale.pipeline.prepare import Workshop
from hale.pipeline.workers import Crew, default_workers
from hale.prep.settings import Normalisation
from hale.prep.tissue import tissue_map

COLUMNS = (
    "model",
    "volume_ml",
    "contrast_sd",
    "n",
    "auprc_raw",
    "auprc_z",
    "dice_at_alpha",
    "dice_low",
    "dice_high",
    "flagged",
    "hit",
)

Cell = dict[str, object]
"""One row of the table."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One lesion in one scan."""

    auprc_raw: float
    auprc_z: float
    dice_at_alpha: float
    flagged: float
    hit: float
    """1 if a flagged component covers a tenth of the lesion."""


def planted(scan: Scan, model: Model, cell: LesionSpec, seed: int) -> tuple[Scan, Mask]:
    """Return the prepared scan with a lesion, clipped as its preparation clips."""
    image, mask = plant(scan.image[0], scan.brain, scan.space.grid, cell, seed)
    if model.recipe.prep.clip:
        image = image.clip(0, 1)
    if model.recipe.prep.normalise is Normalisation.TISSUE:
        contrast = model.space.slots[0][0]
        image = tissue_map(image, scan.brain, scan.space.grid, contrast=contrast)
    return replace(scan, image=image[None]), mask


def scored(model: Model, scan: Scan, lesion: Mask) -> Score:
    """Return the figures of one map."""
    anomaly: AnomalyMap = score(model, scan)
    calibration = model.calibration
    assert calibration is not None
    z = calibration.norm.z(anomaly)
    mask = flagged_mask(model, z, scan.brain)
    inside = lesion[scan.brain]
    return Score(
        auprc_raw=average_precision(anomaly.values[scan.brain], inside),
        auprc_z=average_precision(z[scan.brain], inside),
        dice_at_alpha=dice(mask, lesion),
        flagged=float(mask.any()),
        hit=float((mask & lesion).sum() >= 0.1 * lesion.sum()),
    )


def flagged_mask(model: Model, z: Map, brain: Mask) -> Mask:
    """Return the components that fewer than alpha of healthy scans show."""
    calibration = model.calibration
    assert calibration is not None
    labels, found = calibration.components(z, brain, model.space.grid)
    kept = sum(component.p <= calibration.settings.alpha for component in found)
    return (labels > 0) & (labels <= kept)


def run(
    model_folder: Path, data: Path, shapes: Path | None, cache: Path, every: int
) -> list[dict[str, object]]:
    """Return a row per cell of every n-th scan; print the table and the false alarms of all."""
    model = load_model(model_folder)
    workshop = Workshop(
        settings=model.recipe.prep,
        space=model.space,
        cache=Cache(cache),
        crew=Crew(workers=default_workers()),
    )
    tests = of_split(read_bids(data, model.space.slots), Split.TEST)
    prepared, failed = workshop.prepare_all(tests, "test scans")
    assert not failed, failed
    scans = [item.scan for item in prepared]
    calibration = model.calibration
    assert calibration is not None
    began = time.perf_counter()
    alarms = [
        bool(flagged_mask(model, calibration.norm.z(score(model, s)), s.brain).any()) for s in scans
    ]
    each = (time.perf_counter() - began) / len(scans)
    chance = flagged_range(calibration.settings.alpha, calibration.n_scans, len(scans))
    print(
        f"\n{model.name}: {sum(alarms)} of {len(scans)} healthy test scans flagged at alpha ="
        f" {calibration.settings.alpha:g} (chance: {chance[0]} to {chance[1]});"
        f" {each:.2f} s a scan to score"
    )
    print(
        f"{'cell':>16} {'n':>3} {'AUPRC raw':>10} {'AUPRC z':>8} {'dice_at_alpha [95 %]':>24}"
        f" {'flagged':>8} {'hit':>5}"
    )
    if model.recipe.prep.normalise is Normalisation.TISSUE:  # plant in what is segmented
        plain = replace(model.recipe.prep, normalise=Normalisation.PERCENTILE, segmenter=None)
        prepared, failed = replace(workshop, settings=plain).prepare_all(tests, "intensities")
        scans = [item.scan for item in prepared]
    return [row(model, cell, scans[::every], shapes) for cell in TABLE]


def row(
    model: Model, cell: LesionSpec, scans: list[Scan], shapes: Path | None
) -> dict[str, object]:
    """Return and print the means of one cell over the scans."""
    lesion = replace(cell, shape=shapes)
    scores = []
    for number, scan in enumerate(scans):
        ill, mask = planted(scan, model, lesion, seed=number)
        scores.append(scored(model, ill, mask))
    found = bootstrap_mean([s.dice_at_alpha for s in scores])
    means = {
        name: float(np.mean([getattr(s, name) for s in scores]))
        for name in ("auprc_raw", "auprc_z", "flagged", "hit")
    }
    print(
        f"{cell!s:>16} {len(scores):>3} {means['auprc_raw']:>10.3f} {means['auprc_z']:>8.3f}"
        f" {found.value:>9.3f} [{found.low:.3f}, {found.high:.3f}] {means['flagged']:>8.2f}"
        f" {means['hit']:>5.2f}",
        flush=True,
    )
    return {
        "model": model.name,
        "volume_ml": cell.volume_ml,
        "contrast_sd": cell.contrast_sd,
        "n": len(scores),
        "dice_at_alpha": found.value,
        "dice_low": found.low,
        "dice_high": found.high,
        **means,
    }


def main() -> None:
    """Read the arguments, run every model, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--shapes", type=Path, help="folder of lesion masks; spheres without")
    parser.add_argument("--out", type=Path, required=True, help="a .tsv")
    parser.add_argument("--every", type=int, default=1, help="plant in every n-th test scan only")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/hale"))
    arguments = parser.parse_args()
    cache = arguments.cache.expanduser()
    rows = [
        line
        for model in arguments.models
        for line in run(model, arguments.data, arguments.shapes, cache, arguments.every)
    ]
    with arguments.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
