"""From a recipe and a cohort of healthy scans to a calibrated model folder."""

import json
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from hale import __version__
from hale.calibration import Calibration, calibrated, normative, refuse_small_alpha
from hale.core.anomaly import AnomalyMap
from hale.core.errors import Refused
from hale.core.method import Detector, Placed, Precision, Supervision, Training
from hale.core.scan import Scan, Space, Split
from hale.data.cohort import Entry, of_split, read_cohort, with_splits
from hale.io.cache import Cache, key_of
from hale.pipeline.domain import domain_of
from hale.pipeline.model import Model, placed, save_model
from hale.pipeline.prepare import Failure, Progress, Workshop, read_entry, silent
from hale.post.chain import processed
from hale.prep.chain import Prepared, space_of
from hale.prep.settings import Mode
from hale.recipe import Recipe

FIT_SHARES = {Split.FIT: 0.6, Split.STANDARDISE: 0.15, Split.CALIBRATE: 0.25}
SITE_SHARES = {Split.STANDARDISE: 0.4, Split.CALIBRATE: 0.6}
MIN_FIT, MIN_STANDARDISE = 2, 3
LIBRARIES = ("numpy", "scipy", "torch", "SimpleITK", "nibabel", "deepbet", "lightning-fabric")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a job is run; none of it is meant to change the result, but precision and budget do."""

    device: str = "auto"
    precision: Precision = Precision.AUTO
    budget_minutes: float | None = None
    resume: Literal["latest"] | int | None = None
    """``latest``, a step, or None for a fresh start."""
    checkpoint_minutes: float = 5.0
    workers: int = 1
    cache: Cache = field(default_factory=Cache)
    progress: Progress = silent


def fit(recipe: Recipe, data: Path, out: Path, options: Options) -> Model:
    """Fit, standardise and calibrate; write the model folder.

    Args:
        recipe: What to fit.
        data: Healthy scans: a BIDS-like folder with splits in ``participants.tsv``, or without,
            in which case persons are divided 60 : 15 : 25 by their names.
        out: Where the model goes. Checkpoints lie beside it, in ``<out>.fitting``.
        options: Device, budget, cache, ...

    Raises:
        Refused: Too few scans, nothing to resume, a full disk.
    """
    entries = with_splits(read_cohort(data, recipe.prep.slots[0]), FIT_SHARES)
    workshop = _workshop(recipe, entries, options)
    _refuse_small_cohort(recipe, entries)
    fitting = of_split(entries, Split.FIT)
    if recipe.method.supervision is Supervision.NONE:
        fitting = []  # granted nothing, so nothing is prepared
    prepared, failed = workshop.prepare_all(fitting, "preparing the fit scans")
    if fitting and len(prepared) < MIN_FIT:
        raise Refused(str(data), f"{len(prepared)} scans could be prepared", _first(failed))
    begin = time.perf_counter()
    detector, place, training = _learnt(recipe, prepared, workshop.space, out, options)
    record = {
        "data": data.name,
        "terms": recipe.cohort.terms or _terms(data),
        "scans": [p.scan.id for p in prepared],
        "failed": {f.id: f.reason for f in failed},
        "seconds": round(time.perf_counter() - begin, 1),
        **training,
    }
    model = Model(
        recipe=recipe,
        space=workshop.space,
        detector=detector,
        calibration=None,
        provenance={**versions(), **place, "fit": record},
    )
    model = calibrate(model, entries, workshop)
    saved = save_model(model, out)
    if record.get("finished", True):
        shutil.rmtree(work_folder(out), ignore_errors=True)
    return saved


def calibrate(model: Model, entries: Sequence[Entry], workshop: Workshop) -> Model:
    """Return the model standardised and calibrated on healthy scans that its fit did not see.

    Raises:
        Refused: Fewer scans than alpha needs, or persons who were in the fit.
    """
    settings = model.recipe.calibration
    maps, kept, failures = {}, {}, {}
    domain: dict[str, Any] = {}
    for split in (Split.STANDARDISE, Split.CALIBRATE):
        chosen = of_split(entries, split)
        prepared, failed = workshop.prepare_all(chosen, f"preparing the {split} scans")
        failures[split] = {f.id: f.reason for f in failed}
        by_id = {p.scan.id: p for p in prepared}
        kept[split] = [entry for entry in chosen if entry.id in by_id]
        maps[split] = _scored(model, [by_id[e.id] for e in kept[split]], workshop, split)
        if split is Split.CALIBRATE:
            sources = [read_entry(entry).source for entry in kept[split]]
            domain = domain_of([by_id[e.id].trace for e in kept[split]], sources)
    if len(maps[Split.STANDARDISE]) < MIN_STANDARDISE:
        why = f"{len(maps[Split.STANDARDISE])} healthy scans to standardise on"
        raise Refused("calibration", why, f"give at least {MIN_STANDARDISE}")
    grid = model.space.grid
    result: Calibration = calibrated(
        maps[Split.CALIBRATE],
        [entry.person for entry in kept[Split.CALIBRATE]],
        norm=normative(maps[Split.STANDARDISE], grid, settings),
        grid=grid,
        settings=settings,
        domain=domain,
    )
    told = {
        str(split): {"scans": [e.id for e in kept[split]], "failed": failures[split]}
        for split in kept
    }
    return replace(model, calibration=result, provenance={**model.provenance, **told})


def recalibrate(model: Model, data: Path, out: Path, options: Options) -> Model:
    """Make a model valid for a site: calibrate it on the site's own healthy scans, save it.

    Scans are divided by ``participants.tsv`` if that has splits, else 40 : 60 by the persons'
    names; scans of the split *fit* count as further ones.

    Raises:
        Refused: Fewer scans than alpha needs, or scans that the fit has seen.
    """
    entries = read_cohort(data, model.space.slots[0])
    seen = set(model.provenance.get("fit", {}).get("scans", ()))
    if not any(e.split in (Split.STANDARDISE, Split.CALIBRATE) for e in entries):
        entries = with_splits([replace(e, split=None) for e in entries], SITE_SHARES)
    chosen = of_split(entries, Split.STANDARDISE, Split.CALIBRATE)
    same = data.name == model.provenance.get("fit", {}).get("data")
    if same and (known := sorted(seen & {e.id for e in chosen})):
        why = f"{len(known)} of its scans were in the fit ({known[0]}, ...)"
        raise Refused(str(data), why, "give healthy scans that the model has not seen")
    refuse_small_alpha(model.recipe.calibration, _persons(chosen, Split.CALIBRATE))
    workshop = Workshop(
        settings=model.recipe.prep,
        space=model.space,
        cache=options.cache,
        workers=options.workers,
        progress=options.progress,
    )
    told = {"calibration_data": data.name, "recalibrated_from": model.sha256}
    fresh = replace(model, provenance={**model.provenance, **versions(), **told})
    return save_model(calibrate(fresh, chosen, workshop), out)


def _terms(data: Path) -> str:
    """Return the licence that the data set's own description states."""
    try:
        about = json.loads((data / "dataset_description.json").read_text(encoding="utf-8"))
        return str(about["License"])
    except (OSError, ValueError, KeyError, TypeError):
        return "not stated"


def versions() -> dict[str, Any]:
    """Return what computed a result, and when."""
    return {
        "hale": __version__,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def work_folder(out: Path) -> Path:
    """Return where the checkpoints of a fit lie until it is finished."""
    return out.with_name(f"{out.name}.fitting")


def _workshop(recipe: Recipe, entries: Sequence[Entry], options: Options) -> Workshop:
    first = read_entry(entries[0]) if recipe.prep.mode is Mode.GIVEN else None
    return Workshop(
        settings=recipe.prep,
        space=space_of(recipe.prep, first),
        cache=options.cache,
        workers=options.workers,
        progress=options.progress,
    )


def _refuse_small_cohort(recipe: Recipe, entries: Sequence[Entry]) -> None:
    """Refuse before hours of work what could not be calibrated after them."""
    if recipe.method.supervision is not Supervision.NONE:
        count = _persons(entries, Split.FIT)
        if count < MIN_FIT:
            raise Refused("healthy cohort", f"{count} scans to fit on", f"give {MIN_FIT} or more")
    refuse_small_alpha(recipe.calibration, _persons(entries, Split.CALIBRATE))
    count = _persons(entries, Split.STANDARDISE)
    if count < MIN_STANDARDISE:
        remedy = f"give {MIN_STANDARDISE} or more"
        raise Refused("healthy cohort", f"{count} scans to standardise on", remedy)


def _persons(entries: Sequence[Entry], split: Split) -> int:
    return len({entry.person for entry in of_split(entries, split)})


def _first(failed: Sequence[Failure]) -> str:
    return f"the first said: {failed[0].reason}" if failed else "give more"


def _learnt(
    recipe: Recipe, prepared: Sequence[Prepared], space: Space, out: Path, options: Options
) -> tuple[Detector, dict[str, str], dict[str, Any]]:
    """Let the method learn from what it is granted; say where and how far it ran."""
    from hale.train.run import FabricRun

    resolved = recipe.resolved()
    scans = [p.scan for p in prepared]
    run = FabricRun(
        seed=recipe.seed,
        device=options.device,
        precision=options.precision,
        folder=work_folder(out),
        budget_minutes=options.budget_minutes,
        fingerprint=key_of(resolved, [scan.content for scan in scans]),
        resume=options.resume,
        save_seconds=60 * options.checkpoint_minutes,
    )
    detector = recipe.method.fit(_granted(recipe, scans, space), run)
    told: dict[str, Any] = {}
    if run.steps_done:
        told = {"steps_done": run.steps_done, "finished": run.finished}
    if not isinstance(detector, Placed):
        return detector, {"device": "cpu", "precision": Precision.FULL}, told
    place = {"device": run.device.split(":")[0], "precision": run.precision}
    return placed(detector, run.device, run.precision), place, told


def _granted(recipe: Recipe, scans: Sequence[Scan], space: Space) -> Training:
    """Return what the method may see: the one place that decides it."""
    if recipe.method.supervision is Supervision.NONE:
        return Training(space=space)
    every = round(1 / recipe.cohort.held_out) if recipe.cohort.held_out > 0 else 0
    held_out = scans[every - 1 :: every] if every else []
    ids = {scan.id for scan in held_out}
    return Training(
        space=space,
        healthy=[scan for scan in scans if scan.id not in ids],
        held_out=held_out,
    )


def _scored(
    model: Model, prepared: Sequence[Prepared], workshop: Workshop, split: Split
) -> list[AnomalyMap]:
    """Return the post-processed maps of prepared scans."""
    maps = []
    for done, item in enumerate(prepared, start=1):
        maps.append(score(model, item.scan))
        workshop.progress(f"scoring the {split} scans", done, len(prepared))
    return maps


def score(model: Model, scan: Scan) -> AnomalyMap:
    """Return the map of a prepared scan after the recipe's post-processing."""
    anomaly = model.detector.score(scan)
    return processed(anomaly, model.space.grid, model.recipe.post)
