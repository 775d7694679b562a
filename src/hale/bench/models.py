"""The model of a job: fitted, unless the one that is there is what the suite asks for."""

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hale.bench.outcome import Outcome
from hale.bench.place import Place
from hale.bench.plan import Job
from hale.bench.suite import Suite
from hale.core.errors import Refused
from hale.core.method import Supervision
from hale.core.scan import Split
from hale.data.cohort import of_split
from hale.data.folder import Reading
from hale.data.layouts import FOLDED, find_layout
from hale.io.model import is_model, read_about
from hale.pipeline.fit import fit
from hale.pipeline.job import Options
from hale.pipeline.learn import healthy_entries
from hale.pipeline.prepare import quiet
from hale.pipeline.pretrain import pretrain
from hale.pipeline.reuse import goes_on, going_on
from hale.recipe import FOLDERS, Recipe, StageRecipe, build_recipe, build_stage


def fit_model(job: Job, outcome: Outcome, options: Options) -> None:
    """Fit a model that is not there, or that a smaller budget has cut short."""
    suite, place = outcome.suite, outcome.place
    assert job.model is not None
    assert job.recipe is not None
    budget = options.budget_minutes or job.entrant.budget_minutes
    reading = reading_of(suite, place, job.run.fold)
    options = replace(options, budget_minutes=budget, reading=reading)
    healthy, encoder, model = place.data / suite.healthy, place.encoder(job.run), job.model
    if job.stage is not None and _is_wanted(encoder, job.stage, budget):
        pretrain(job.stage, healthy, encoder, going_on(encoder, options))
    takes_cases = job.supervision is Supervision.LESION_MASKS and suite.cases
    if _is_wanted(model, job.recipe, budget):
        cases = place.data / suite.cases if takes_cases else None
        fit(job.recipe, healthy, model, going_on(model, options), cases)
    refuse_other_people(model, job.recipe, healthy, options)


def remarks(todo: Sequence[Job]) -> tuple[str, ...]:
    """Return what must be said of models that were fitted before, elsewhere: a sentence each.

    Raises:
        Refused: One is of another method than the suite says.
    """
    told = []
    for job in todo:
        if not job.reused or job.recipe is None or job.model is None:
            continue
        there = build_recipe(tomllib.loads(read_about(job.model)[0].recipe))
        if there.method_name != job.recipe.method_name:
            why = f"is of {there.method_name}, the suite says {job.recipe.method_name}"
            raise Refused(str(job.model), why, "give the model of that name")
        if other := differing(there, job.recipe):
            parts = ", ".join(f"[{key}]" for key in other)
            told.append(f"{job.run}: fitted before, and its {parts} are not those of the suite")
    return tuple(told)


def differing(one: Recipe | StageRecipe, other: Recipe | StageRecipe) -> list[str]:
    """Return the parts of two recipes that differ, but for where they find what they build on."""
    have, want = one.resolved(), other.resolved()
    keys = sorted({*have, *want} - {*FOLDERS})
    return [key for key in keys if have.get(key) != want.get(key)]


def reading_of(suite: Suite, place: Place, fold: int) -> Reading:
    """Return how the healthy people of a fold are read: a published list's, or divided anew."""
    folder = place.data / suite.healthy
    if folder.is_dir() and find_layout(folder) in FOLDED:
        return Reading(fold=fold)
    return Reading(turn=(fold, suite.folds))


def _is_wanted(folder: Path, recipe: Recipe | StageRecipe, budget: float | None) -> bool:
    """Say whether a model is to be made: it is not there, or a smaller budget has cut it short.

    Raises:
        Refused: As `refuse_other_recipe`.
    """
    if not is_model(folder):
        return True
    refuse_other_recipe(folder, recipe)
    return goes_on(read_about(folder)[0].provenance, budget)


def refuse_other_recipe(folder: Path, recipe: Recipe | StageRecipe) -> None:
    """Refuse a model that is not what the suite asks for now.

    Raises:
        Refused: It was made by another recipe, or of what has changed since.
    """
    files, _ = read_about(folder)
    build = build_recipe if isinstance(recipe, Recipe) else build_stage
    for key in differing(build(tomllib.loads(files.recipe)), recipe):
        why = f"was fitted with another [{key}] than the suite says now"
        raise Refused(str(folder), why, "take it away, or give another --out")
    for key in FOLDERS:
        below = getattr(recipe, key, "")
        known = files.provenance.get(key, {}).get("sha256")
        if below and is_model(Path(below)) and read_about(Path(below))[1] != known:
            why = f"was fitted on another {key} than {below} is now"
            raise Refused(str(folder), why, "take it away: it will be fitted again")


def refuse_other_people(folder: Path, recipe: Recipe, healthy: Path, options: Options) -> None:
    """Refuse a model of other people than the suite's healthy ones, as divided in its fold.

    Raises:
        Refused: It was fitted or calibrated on others.
    """
    provenance = read_about(folder)[0].provenance
    entries = healthy_entries(recipe, healthy, replace(options, tell=quiet))
    people = sorted({entry.person for entry in of_split(entries, Split.FIT)})
    calibrating = {entry.id for entry in of_split(entries, Split.CALIBRATE)}
    known = provenance["fit"].get("people") or people
    if known != people or not calibrating.issuperset(
        provenance.get("calibrate", {}).get("scans", ())
    ):
        why = "was fitted or calibrated on other people than the suite names"
        raise Refused(str(folder), why, "take it away, or give another --out")
