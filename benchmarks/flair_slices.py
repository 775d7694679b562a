"""Real lesions: fitted models on the FLAIR slices of stroke patients, even and odd subjects apart.

    python benchmarks/flair_slices.py --data SOOP --out OUT.tsv [--set post.median=3] MODEL...

The slices that fit, standardise and calibrate carry no acute lesion, but are of stroke patients:
not healthy, and no promise holds for patients. Settings are to be chosen on the subjects with an
even number, and reported on those with an odd one: both stand in the table, never pooled.

`auprc` pools the brain voxels of all slices (raw map, and standardised); its interval resamples
patients, on 4096 quantiles of the score. `dice_at_alpha` and `dice_at_fpr01` use thresholds that
lesion-free slices alone have set; `oracle_dice` is the best single threshold on the very slices
that it scores, an upper bound.
"""

import argparse
import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hale.core.scan import Split
from hale.core.types import Mask
from hale.data.bids import read_bids
from hale.data.cohort import of_split
from hale.io.cache import Cache
from hale.io.nifti import read_volume
from hale.metrics.bootstrap import bootstrap, bootstrap_mean
from hale.metrics.voxel import average_precision, best_dice, dice
from hale.pipeline.detect import native_mask
from hale.pipeline.model import Model, load_model, score
from hale.pipeline.prepare import read_entry
from hale.post.settings import PostProcessing
from hale.prep.chain import Prepared, prepare
from hale.recipe import build_recipe

FPR = 0.01
BINS = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """One slice: its maps inside the brain, and the lesion."""

    id: str
    raw: np.ndarray
    z: np.ndarray
    lesion: np.ndarray
    at_alpha: float
    at_fpr01: float
    flagged: bool

    @property
    def is_even(self) -> bool:
        """Say whether settings may be chosen on this subject."""
        return int(self.id.removeprefix("sub-")) % 2 == 0


def scored_slices(model: Model, data: Path, cache: Path) -> list[Scored]:
    """Return the test slices with their reference masks."""
    found = []
    for entry in of_split(read_bids(data, model.space.slots), Split.TEST):
        raw = read_entry(entry)
        prepared = prepare(raw, model.recipe.prep, Cache(cache), model.space)
        reference = next((data / raw.id).rglob("*lesion_mask.nii.gz"))
        lesion = read_volume(reference).volume.values > 0
        found.append(scored(model, prepared, lesion))
    return found


def scored(model: Model, prepared: Prepared, lesion: Mask) -> Scored:
    """Return the figures of one slice, on its own voxels."""
    calibration, trace = model.calibration, prepared.trace
    assert calibration is not None
    anomaly = score(model, prepared.scan)
    z_here = calibration.norm.z(anomaly)
    labels, components = calibration.components(z_here, anomaly.brain, model.space.grid)
    kept = sum(component.p <= calibration.settings.alpha for component in components)
    brain, z = trace.brain, trace.undo(z_here)
    mask = native_mask(labels, kept, z, trace, z0=calibration.settings.z0) > 0
    high = (calibration.p_voxel(z) <= FPR) & brain
    return Scored(
        id=prepared.scan.id,
        raw=trace.undo(anomaly.values)[brain],
        z=z[brain],
        lesion=lesion[brain],
        at_alpha=dice(mask, lesion),
        at_fpr01=dice(high, lesion),
        flagged=bool(kept),
    )


def pooled_auprc(values: list[np.ndarray], truths: list[np.ndarray]) -> str:
    """Return the average precision over all voxels, with an interval over patients."""
    edges = np.unique(np.quantile(np.concatenate(values), np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = np.stack(
        [
            np.stack(
                [
                    np.bincount(np.searchsorted(edges, v[t], "right"), minlength=len(edges) + 1),
                    np.bincount(np.searchsorted(edges, v[~t], "right"), minlength=len(edges) + 1),
                ]
            )
            for v, t in zip(values, truths, strict=True)
        ]
    )  # case, lesion or not, bin

    def of_cases(at: np.ndarray) -> float:
        hit, missed = counts[at].sum(0)[:, ::-1].cumsum(1)
        precision = hit / np.maximum(hit + missed, 1)
        return float((np.diff(hit, prepend=0) * precision).sum() / hit[-1])

    interval = bootstrap(of_cases, list(range(len(values))), draws=1000)
    exact = average_precision(np.concatenate(values), np.concatenate(truths))
    return f"{exact:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def row(model: Model, part: str, slices: list[Scored]) -> dict[str, Any]:
    """Return a line of the table."""
    truths = [s.lesion for s in slices]
    raw, z = [s.raw for s in slices], [s.z for s in slices]
    alpha, fpr = (
        bootstrap_mean([getattr(s, name) for s in slices]) for name in ("at_alpha", "at_fpr01")
    )
    return {
        "model": model.name,
        "subjects": part,
        "n": len(slices),
        "auprc_raw": pooled_auprc(raw, truths),
        "auprc_z": pooled_auprc(z, truths),
        "auprc_mean": f"{np.mean([average_precision(s.raw, s.lesion) for s in slices]):.3f}",
        "dice_at_alpha": f"{alpha.value:.3f} [{alpha.low:.3f}, {alpha.high:.3f}]",
        "dice_at_fpr01": f"{fpr.value:.3f} [{fpr.low:.3f}, {fpr.high:.3f}]",
        "oracle_dice": f"{best_dice(np.concatenate(raw), np.concatenate(truths)):.3f}",
        "flagged": sum(s.flagged for s in slices),
    }


def with_post(model: Model, overrides: list[str]) -> Model:
    """Return the model with another post-processing; its standardised map is stale then."""
    if not overrides:
        return model
    recipe = build_recipe(model.recipe.resolved(), overrides=overrides)
    untouched = replace(recipe, post=PostProcessing())
    assert untouched == replace(model.recipe, post=PostProcessing()), "only post.* can be set"
    name = f"{model.name} {' '.join(overrides)}"
    return replace(model, recipe=recipe, name=name)


def main() -> None:
    """Read the arguments, score every model, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a .tsv")
    parser.add_argument("--set", action="append", default=[], help="post.KEY=VALUE; raw maps only")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/hale"))
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for folder in arguments.models:
        model = with_post(load_model(folder), arguments.set)
        slices = scored_slices(model, arguments.data, arguments.cache.expanduser())
        for part, is_even in (("even", True), ("odd", False)):
            rows.append(row(model, part, [s for s in slices if s.is_even is is_even]))
            print(" | ".join(str(value) for value in rows[-1].values()), flush=True)
    with arguments.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
