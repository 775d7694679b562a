"""From a recipe and a cohort of healthy scans to a calibrated model folder."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hale.core.errors import Refused
from hale.core.method import Detector, Placed, Precision, Supervision, Training
from hale.core.scan import Split
from hale.data.cohort import Entry, of_split, with_splits
from hale.io.cache import key_of
from hale.pipeline.calibrate import calibrate, persons, read_cohort, refuse_few
from hale.pipeline.cases import prepared_cases, record_of
from hale.pipeline.grant import Beside, asked_beside, granted, refuse_unfit_beside, with_cases
from hale.pipeline.job import Options
from hale.pipeline.model import Model, has_decided, placed, save_model, versions
from hale.pipeline.prepare import Workshop, read_entry
from hale.pipeline.workers import Failure
from hale.prep.chain import space_of
from hale.prep.settings import Mode
from hale.prep.template import template_hash
from hale.recipe import Recipe

FIT_SHARES = {Split.FIT: 0.6, Split.STANDARDISE: 0.15, Split.CALIBRATE: 0.25}
MIN_FIT = 2


def fit(
    recipe: Recipe, data: Path, out: Path, options: Options, cases: Path | None = None
) -> Model:
    """Fit, standardise and calibrate; write the model folder.

    Args:
        recipe: What to fit.
        data: Healthy scans: a BIDS-like folder with splits in ``participants.tsv``, or without,
            in which case persons are divided 60 : 15 : 25 by their names.
        out: Where the model goes. Checkpoints lie beside it, in ``<out>.fitting``.
        options: Device, budget, cache, ...
        cases: Patients with reference lesion masks, for a method that learns from them: those
            marked ``fit`` in the folder's ``participants.tsv``, or without one all.

    Raises:
        Refused: Too few scans, nothing to resume, a full disk; cases, or a base, that the method
            does not take, lacks, or must not have seen.
    """
    _refuse_nothing_to_resume(out, options)
    beside = asked_beside(recipe, cases, options)
    entries = with_splits(read_cohort(data, recipe.prep.slots, options), FIT_SHARES)
    workshop = _workshop(recipe, entries, options)
    _refuse_small_cohort(recipe, entries)
    refuse_unfit_beside(beside, recipe, workshop.space, entries)
    if options.anew and options.resume is None:
        shutil.rmtree(work_folder(out), ignore_errors=True)
    training, record = _prepared(recipe, data, entries, beside, workshop)
    begin = time.perf_counter()
    detector, place, told = _learnt(recipe, training, beside.base, out, options)
    record |= {
        "published_lists": options.reading.published,
        "seconds": round(time.perf_counter() - begin, 1),
        **told,
    }
    model = Model(
        recipe=recipe,
        space=workshop.space,
        detector=detector,
        calibration=None,
        provenance={**versions(), **place, **beside.record(recipe), "fit": record},
    )
    if has_decided(model):
        options.tell("not calibrated: the map of this method is its own decision (see its recipe)")
    else:
        model = calibrate(model, entries, workshop)
    saved = save_model(model, out)
    if record.get("finished", True):
        shutil.rmtree(work_folder(out), ignore_errors=True)
    return saved


def _workshop(recipe: Recipe, entries: Sequence[Entry], options: Options) -> Workshop:
    """Return where the scans are prepared for the recipe's model.

    Raises:
        Refused: They would not come to lie on one grid.
    """
    if recipe.prep.mode is Mode.NATIVE:
        why = "leaves each scan on its own grid: there is nothing in common to learn"
        raise Refused("prep.mode = 'native'", why, "use 'full' or 'given'")
    readable = next((entry for entry in entries if entry.refusal is None), entries[0])
    first = read_entry(readable) if recipe.prep.mode is Mode.GIVEN else None
    return options.workshop(recipe.prep, space_of(recipe.prep, first))


def _prepared(
    recipe: Recipe, data: Path, entries: Sequence[Entry], beside: Beside, workshop: Workshop
) -> tuple[Training, dict[str, Any]]:
    """Return what the method may see, prepared, and who that is.

    Raises:
        Refused: Too few scans could be prepared, or no case with a lesion.
    """
    fitting = of_split(entries, Split.FIT)
    if recipe.method.supervision is Supervision.NONE:
        fitting = []  # granted nothing, so nothing is prepared
    prepared, failed = workshop.prepare_all(fitting, "preparing the fit scans")
    if fitting and len(prepared) < MIN_FIT:
        raise Refused(str(data), f"{len(prepared)} scans could be prepared", _first(failed))
    cases, lost = prepared_cases(beside.patients, workshop)
    training = granted(recipe, prepared, fitting, workshop.space)
    record = {
        "data": data.name,
        "terms": recipe.cohort.terms or _terms(data),
        "scans": [p.scan.id for p in prepared],
        "sha256": {e.id: e.sha256 for e in fitting},
        "failed": {f.id: f.reason for f in failed},
        "template": template_hash(recipe.prep.template_of_reference),
    }
    if cases:
        record["cases"] = record_of(beside.patients, lost)
    return with_cases(training, recipe, cases, beside.patients), record


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
    recipe: Recipe, training: Training, base: Model | None, out: Path, options: Options
) -> tuple[Detector, dict[str, str], dict[str, Any]]:
    """Let the method learn from what it is granted; say where and how far it ran."""
    from hale.train.run import FabricRun

    resolved = recipe.resolved()
    seen = [scan.content for scan in (*training.healthy, *training.held_out)]
    seen += [
        key_of(case.scan.content, np.packbits(case.lesion))
        for case in (*training.cases, *training.held_out_cases)
    ]
    seen += [base.sha256] if base else []
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
    if base is not None:
        below = placed(base.detector, run.device, run.precision, seed=recipe.seed)
        training = replace(training, base=below)
    detector = recipe.method.fit(training, run)
    told: dict[str, Any] = {}
    if run.steps_done:
        told = {"steps_done": run.steps_done, "finished": run.finished}
    place = {"device": "cpu", "precision": Precision.FULL}
    if isinstance(detector, Placed):
        place = {"device": run.device.split(":")[0], "precision": run.precision}
    return placed(detector, run.device, run.precision, seed=recipe.seed), place, told


def _refuse_nothing_to_resume(out: Path, options: Options) -> None:
    """Refuse to go on where nothing was left off, before hours of work start anew unasked."""
    if options.resume is not None and not any(work_folder(out).glob("*.safetensors")):
        what = f"--resume of {out}"
        raise Refused(what, "there is no checkpoint to go on from", "start without --resume")
