"""From a recipe and a cohort of healthy scans to a calibrated model folder."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hale.core.method import Detector, Placed, Precision, Supervision, Training
from hale.data.cohort import Entry
from hale.io.cache import key_of
from hale.pipeline.calibrate import calibrate, refuse_few
from hale.pipeline.cases import prepared_cases, record_of
from hale.pipeline.grant import Beside, asked_beside, refuse_unfit_beside, with_cases
from hale.pipeline.job import Options
from hale.pipeline.learn import (
    clear_work,
    healthy_entries,
    prepared_healthy,
    refuse_few_to_learn_from,
    refuse_nothing_to_resume,
    run_of,
    told_of,
    work_folder,
    workshop_of,
)
from hale.pipeline.model import Model, has_decided, placed, save_model, versions
from hale.pipeline.prepare import Workshop
from hale.recipe import Recipe


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
        Refused: Too few scans, nothing to resume, a full disk; a person in two splits; cases, a
            base or a pretrained encoder that the method does not take, lacks, or must not have
            seen.
    """
    refuse_nothing_to_resume(out, options)
    beside = asked_beside(recipe, cases, options)
    entries = healthy_entries(recipe, data, options)
    workshop = workshop_of(recipe, entries, options)
    _refuse_small_cohort(recipe, entries)
    refuse_unfit_beside(beside, recipe, workshop.space, entries)
    clear_work(out, options)
    training, record = _prepared(recipe, data, entries, beside, workshop)
    begin = time.perf_counter()
    detector, place, told = _learnt(recipe, training, beside, out, options)
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


def _prepared(
    recipe: Recipe, data: Path, entries: Sequence[Entry], beside: Beside, workshop: Workshop
) -> tuple[Training, dict[str, Any]]:
    """Return what the method may see, prepared, and who that is.

    Raises:
        Refused: Too few scans could be prepared, or no case with a lesion.
    """
    training, record = prepared_healthy(recipe, data, entries, workshop)
    cases, lost = prepared_cases(beside.patients, workshop)
    if cases:
        record["cases"] = record_of(beside.patients, lost)
    return with_cases(training, recipe, cases, beside.patients), record


def _refuse_small_cohort(recipe: Recipe, entries: Sequence[Entry]) -> None:
    """Refuse before hours of work what could not be calibrated after them."""
    if recipe.method.supervision is not Supervision.NONE:
        refuse_few_to_learn_from(entries)
    refuse_few(recipe.calibration, entries)


def _learnt(
    recipe: Recipe, training: Training, beside: Beside, out: Path, options: Options
) -> tuple[Detector, dict[str, str], dict[str, Any]]:
    """Let the method learn from what it is granted; say where and how far it ran."""
    seen = [
        key_of(case.scan.content, np.packbits(case.lesion))
        for case in (*training.cases, *training.held_out_cases)
    ]
    seen += [part.sha256 for part in beside.below.values()]
    run = run_of(recipe, training, seen, out, options)
    if beside.base is not None:
        below = placed(beside.base.detector, run.device, run.precision, seed=recipe.seed)
        training = replace(training, base=below)
    if beside.pretrained is not None:
        training = replace(training, pretrained=beside.pretrained.state)
    detector = recipe.method.fit(training, run)
    place = {"device": "cpu", "precision": Precision.FULL}
    if isinstance(detector, Placed):
        place = {"device": run.device.split(":")[0], "precision": run.precision}
    return placed(detector, run.device, run.precision, seed=recipe.seed), place, told_of(run)
