"""From a recipe and a cohort of healthy scans to a calibrated model folder."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hale.core.method import Detector, Placed, Supervision, Training
from hale.core.run import Precision
from hale.data.cohort import Entry
from hale.data.folder import Data
from hale.io.cache import key_of
from hale.pipeline.calibrate import calibrate, refuse_few
from hale.pipeline.cases import Patients, prepared_cases, record_of
from hale.pipeline.grant import Beside, asked_beside, refuse_unfit_beside, with_cases
from hale.pipeline.job import Options
from hale.pipeline.learn import (
    clear_work,
    healthy_entries,
    prepared_healthy,
    refuse_few_to_learn_from,
    refuse_nothing_to_resume,
    run_of,
    team_of,
    told_of,
    work_folder,
    workshop_of,
)
from hale.pipeline.model import Model, has_decided, placed, save_model
from hale.pipeline.prepare import Workshop
from hale.pipeline.seen import without_known_leaks
from hale.pipeline.versions import versions
from hale.recipe import Recipe

if TYPE_CHECKING:
    from hale.train.team import Team


def fit(
    recipe: Recipe,
    data: Data,
    out: Path,
    options: Options,
    cases: Path | Patients | None = None,
) -> Model:
    """Fit, standardise and calibrate; write the model folder.

    Of several processes that share the fit, the first does all but learn alone; the others return
    the model as they have learnt it, without a hash.

    Args:
        recipe: What to fit.
        data: Healthy scans: a BIDS-like folder with splits in ``participants.tsv``, or without,
            in which case persons are divided 60 : 15 : 25 by their names; or files, likewise.
        out: Where the model goes. Checkpoints lie beside it, in ``<out>.fitting``.
        options: Device, budget, cache, ...
        cases: Patients with reference lesion masks, for a method that learns from them: those
            marked ``fit`` in the folder's ``participants.tsv``, or without one all; or whom a list
            names.

    Raises:
        Refused: Too few scans, nothing to resume, a full disk; a person in two splits; cases, a
            base or a pretrained encoder that the method does not take, lacks, or must not have
            seen.
    """
    team, options = team_of(options)
    given = team.in_turn(lambda: _given(recipe, data, out, options, cases))
    begin = time.perf_counter()
    detector, place, told = _learnt(recipe, given, out, options, team)
    record = given.record | {
        "published_lists": options.reading.published,
        "seconds": round(time.perf_counter() - begin, 1),
        **told,
    }
    model = Model(
        recipe=recipe,
        space=given.workshop.space,
        detector=detector,
        calibration=None,
        provenance={**versions(), **place, **given.beside.record(recipe), "fit": record},
    )
    team.part()
    return _kept(model, given, out, options) if team.is_first else model


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """What a fit has to work with."""

    entries: Sequence[Entry]
    workshop: Workshop
    beside: Beside
    training: Training
    """What the method may see."""
    record: dict[str, Any]
    """Who that is, as plain JSON."""


def _given(
    recipe: Recipe, data: Data, out: Path, options: Options, cases: Path | Patients | None
) -> Given:
    """Read what was given, refuse what cannot be worked with, prepare what is learnt from.

    Raises:
        Refused: As `fit`.
    """
    refuse_nothing_to_resume(out, options)
    beside = asked_beside(recipe, cases, options)
    entries = healthy_entries(recipe, data, options)
    workshop = workshop_of(recipe, entries, options)
    _refuse_small_cohort(recipe, entries)
    apart = without_known_leaks(entries) if options.reading.published else entries
    refuse_unfit_beside(beside, recipe, workshop.space, apart)
    clear_work(out, options)
    training, record = prepared_healthy(recipe, data, entries, workshop)
    ill, lost = prepared_cases(beside.patients, workshop)
    if ill:
        record["cases"] = record_of(beside.patients, lost)
    training = with_cases(training, recipe, ill, beside.patients)
    return Given(
        entries=entries, workshop=workshop, beside=beside, training=training, record=record
    )


def _kept(model: Model, given: Given, out: Path, options: Options) -> Model:
    """Calibrate a model, if there is something to calibrate, and write its folder."""
    if has_decided(model):
        options.tell("not calibrated: the map of this method is its own decision (see its recipe)")
    else:
        model = calibrate(model, given.entries, given.workshop)
    saved = save_model(model, out)
    if model.provenance["fit"].get("finished", True):
        shutil.rmtree(work_folder(out), ignore_errors=True)
    return saved


def _refuse_small_cohort(recipe: Recipe, entries: Sequence[Entry]) -> None:
    """Refuse before hours of work what could not be calibrated after them."""
    if recipe.method.supervision is not Supervision.NONE:
        refuse_few_to_learn_from(entries)
    refuse_few(recipe.calibration, entries)


def _learnt(
    recipe: Recipe, given: Given, out: Path, options: Options, team: "Team"
) -> tuple[Detector, dict[str, str], dict[str, Any]]:
    """Let the method learn from what it is granted; say where and how far it ran."""
    from hale.train.compiling import compile_nets

    training, beside = given.training, given.beside
    seen = [
        key_of(case.scan.content, np.packbits(case.lesion))
        for case in (*training.cases, *training.held_out_cases)
    ]
    seen += [part.sha256 for part in beside.below.values()]
    run = run_of(recipe, training, seen, out, options, team)
    if beside.base is not None:
        below = placed(beside.base.detector, run.device, run.precision, seed=recipe.seed)
        if options.compiled:
            compile_nets(below)
        training = replace(training, base=below)
    if beside.pretrained is not None:
        training = replace(training, pretrained=beside.pretrained.state)
    detector = recipe.method.fit(training, run)
    place = {"device": "cpu", "precision": Precision.FULL}
    if isinstance(detector, Placed):
        place = {"device": run.device.split(":")[0], "precision": run.precision}
    detector = placed(detector, run.device, run.precision, seed=recipe.seed)
    if options.compiled:
        compile_nets(detector)
    return detector, place, told_of(run)
