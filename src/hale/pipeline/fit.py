"""From a recipe and a cohort of healthy scans to a calibrated model folder."""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hale.core.errors import Refused
from hale.core.method import Detector, Placed, Precision, Supervision, Training
from hale.core.scan import Space, Split
from hale.data.cohort import Entry, of_split, with_splits
from hale.io.cache import key_of
from hale.pipeline.calibrate import calibrate, persons, read_cohort, refuse_few
from hale.pipeline.job import Options
from hale.pipeline.model import Model, has_decided, placed, save_model, versions
from hale.pipeline.prepare import read_entry
from hale.pipeline.workers import Failure
from hale.prep.chain import Prepared, space_of
from hale.prep.settings import Mode
from hale.prep.template import template_hash
from hale.recipe import Recipe

FIT_SHARES = {Split.FIT: 0.6, Split.STANDARDISE: 0.15, Split.CALIBRATE: 0.25}
MIN_FIT = 2


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
    _refuse_nothing_to_resume(out, options)
    entries = with_splits(read_cohort(data, recipe.prep.slots, options), FIT_SHARES)
    if recipe.prep.mode is Mode.NATIVE:
        why = "leaves each scan on its own grid: there is nothing in common to learn"
        raise Refused("prep.mode = 'native'", why, "use 'full' or 'given'")
    readable = next((entry for entry in entries if entry.refusal is None), entries[0])
    first = read_entry(readable) if recipe.prep.mode is Mode.GIVEN else None
    workshop = options.workshop(recipe.prep, space_of(recipe.prep, first))
    _refuse_small_cohort(recipe, entries)
    if options.anew and options.resume is None:
        shutil.rmtree(work_folder(out), ignore_errors=True)
    fitting = of_split(entries, Split.FIT)
    if recipe.method.supervision is Supervision.NONE:
        fitting = []  # granted nothing, so nothing is prepared
    prepared, failed = workshop.prepare_all(fitting, "preparing the fit scans")
    if fitting and len(prepared) < MIN_FIT:
        raise Refused(str(data), f"{len(prepared)} scans could be prepared", _first(failed))
    begin = time.perf_counter()
    training = _granted(recipe, prepared, fitting, workshop.space)
    detector, place, told = _learnt(recipe, training, out, options)
    record = {
        "data": data.name,
        "terms": recipe.cohort.terms or _terms(data),
        "scans": [p.scan.id for p in prepared],
        "sha256": {e.id: e.sha256 for e in fitting},
        "failed": {f.id: f.reason for f in failed},
        "template": template_hash(recipe.prep.template_of_reference),
        "published_lists": options.reading.published,
        "seconds": round(time.perf_counter() - begin, 1),
        **told,
    }
    model = Model(
        recipe=recipe,
        space=workshop.space,
        detector=detector,
        calibration=None,
        provenance={**versions(), **place, "fit": record},
    )
    if has_decided(model):
        options.tell("not calibrated: the map of this method is its own decision (see its recipe)")
    else:
        model = calibrate(model, entries, workshop)
    saved = save_model(model, out)
    if record.get("finished", True):
        shutil.rmtree(work_folder(out), ignore_errors=True)
    return saved


def _terms(data: Path) -> str:
    """Return the licence that the data set's own description states."""
    try:
        about = json.loads((data / "dataset_description.json").read_text(encoding="utf-8"))
        return str(about["License"])
    except (OSError, ValueError, KeyError, TypeError):
        return "not stated"


def work_folder(out: Path) -> Path:
    """Return where the checkpoints of a fit lie until it is finished."""
    return out.with_name(f"{out.name}.fitting")


def _refuse_small_cohort(recipe: Recipe, entries: Sequence[Entry]) -> None:
    """Refuse before hours of work what could not be calibrated after them."""
    if recipe.method.supervision is not Supervision.NONE:
        count = persons(entries, Split.FIT)
        if count < MIN_FIT:
            raise Refused("healthy cohort", f"{count} scans to fit on", f"give {MIN_FIT} or more")
    refuse_few(recipe.calibration, entries)


def _first(failed: Sequence[Failure]) -> str:
    return f"the first said: {failed[0].reason}" if failed else "give more"


def _learnt(
    recipe: Recipe, training: Training, out: Path, options: Options
) -> tuple[Detector, dict[str, str], dict[str, Any]]:
    """Let the method learn from what it is granted; say where and how far it ran."""
    from hale.train.run import FabricRun

    resolved = recipe.resolved()
    seen = [scan.content for scan in (*training.healthy, *training.held_out)]
    run = FabricRun(
        seed=recipe.seed,
        device=options.device,
        precision=options.precision,
        folder=work_folder(out),
        budget_minutes=options.budget_minutes,
        fingerprint=key_of(resolved, seen),
        resume=options.resume,
        save_seconds=60 * options.checkpoint_minutes,
    )
    detector = recipe.method.fit(training, run)
    told: dict[str, Any] = {}
    if run.steps_done:
        told = {"steps_done": run.steps_done, "finished": run.finished}
    place = {"device": "cpu", "precision": Precision.FULL}
    if isinstance(detector, Placed):
        place = {"device": run.device.split(":")[0], "precision": run.precision}
    return placed(detector, run.device, run.precision, seed=recipe.seed), place, told


def _granted(
    recipe: Recipe, prepared: Sequence[Prepared], entries: Sequence[Entry], space: Space
) -> Training:
    """Return what the method may see: the one place that decides it.

    The people to hold out are spread evenly over the cohort; all visits of one are held out.
    """
    if recipe.method.supervision is Supervision.NONE:
        return Training(space=space)
    person = {entry.id: entry.person for entry in entries}
    people = list(dict.fromkeys(person[item.scan.id] for item in prepared))
    count = min(round(recipe.cohort.held_out * len(people)), len(people) - 1)
    held_out = {people[(2 * n + 1) * len(people) // (2 * count)] for n in range(count)}
    return Training(
        space=space,
        healthy=[p.scan for p in prepared if person[p.scan.id] not in held_out],
        held_out=[p.scan for p in prepared if person[p.scan.id] in held_out],
    )


def _refuse_nothing_to_resume(out: Path, options: Options) -> None:
    """Refuse to go on where nothing was left off, before hours of work start anew unasked."""
    if options.resume is not None and not any(work_folder(out).glob("*.safetensors")):
        what = f"--resume of {out}"
        raise Refused(what, "there is no checkpoint to go on from", "start without --resume")
