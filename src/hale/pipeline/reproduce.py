"""A published experiment, run on the lists it was published on: fit, choose thresholds, test."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import tomli_w

from hale.core.errors import Refused
from hale.data.folder import Reading
from hale.io.cache import Cache
from hale.io.model import is_model, read_model
from hale.pipeline.experiment import (
    BASE,
    MODEL,
    PRETRAINED,
    Experiment,
    Policy,
    Recipes,
    recipes_of,
)
from hale.pipeline.job import Options
from hale.pipeline.lists import Lists, read_lists
from hale.pipeline.reproduction import SUMMARY, Fold, Reproduction, write_reproduction
from hale.pipeline.reuse import as_is, fitted, goes_on
from hale.pipeline.volumes import Tester
from hale.prep.template import template_of

EXPERIMENT = "experiment.toml"
"""What says whose a folder of results is."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """An experiment on somebody's data."""

    experiment: Experiment
    data: Path
    """``DATA_DIR`` of the public code."""
    out: Path
    template: Path | None = None
    """Of the experiment's contrast, brain-extracted; None: MNI152."""
    folds: tuple[int, ...] = ()
    """None: those of the publication."""
    published_lists: bool = False
    """Keep people who are in two lists in both."""

    @property
    def asked_folds(self) -> tuple[int, ...]:
        """Return the folds to run."""
        return self.folds or self.experiment.folds

    def place(self, fold: int) -> Path:
        """Return where what belongs to a fold lies."""
        return self.out / f"fold{fold}"

    def reading(self, fold: int) -> Reading:
        """Return how the lists of a fold are read."""
        return Reading(fold=fold, published=self.published_lists)

    def recipes(self, fold: int) -> Recipes:
        """Return the recipes of a fold, checked."""
        return recipes_of(self.experiment, self.place(fold), self.template)


def reproduce(request: Request, options: Options) -> Reproduction:
    """Run the folds of an experiment; write ``cases.tsv``, ``summary.json`` and ``summary.md``.

    What is in the folder already is used: finished models as they are, trainings from their last
    checkpoint, maps of volumes that were scored. Folds that it reports already, and that are not
    asked for, stay in the tables.

    Args:
        request: What, on which data.
        options: Device, budget of each training, cache, ...

    Raises:
        Refused: A folder of other results; what `read_lists`, `recipes_of` and a fit refuse.
    """
    refuse_several_processes(options)
    refuse_place(request)
    options = replace(options, tell=once(options.tell))
    lists = {
        fold: read_lists(request.experiment, request.data, request.reading(fold))
        for fold in (*kept_folds(request), *request.asked_folds)
    }
    for fold in lists:
        request.recipes(fold)
    claim(request)
    result = Reproduction(
        experiment=request.experiment,
        template=request.template,
        published_lists=request.published_lists,
    )
    for fold, each in lists.items():
        folds = (*result.folds, _run(request, fold, each, options))
        result = replace(result, folds=tuple(sorted(folds, key=lambda fold: fold.number)))
        if fold not in request.asked_folds:
            continue  # written with those that are asked for: what is there has it already
        write_reproduction(request.out, result)
    return result


def kept_folds(request: Request) -> list[int]:
    """Return the folds that the folder reports already, and that are not asked for.

    Raises:
        Refused: The summary cannot be read.
    """
    there = request.out / SUMMARY
    try:
        told = json.loads(there.read_text(encoding="utf-8")) if there.is_file() else {"models": {}}
        folds = sorted(int(number) for number in told["models"])
    except (ValueError, KeyError, TypeError):
        raise Refused(str(there), "is damaged", "take it away; maps and models stay") from None
    asked = request.asked_folds
    return [f for f in folds if f not in asked and is_model(request.place(f) / MODEL)]


def claim(request: Request) -> None:
    """Put the experiment's name on the folder of its results.

    Raises:
        Refused: It cannot be written.
    """
    said = tomli_w.dumps(request.experiment.resolved())
    try:
        request.out.mkdir(parents=True, exist_ok=True)
        (request.out / EXPERIMENT).write_text(said, encoding="utf-8")
    except OSError as error:
        why = f"cannot be written ({error.strerror or error})"
        raise Refused(str(request.out), why, "give another --out") from None


def refuse_place(request: Request) -> None:
    """Refuse what needs no look at the data: a place of other results, a template of no brain.

    Raises:
        Refused: The folder holds something else, or can be none; the template cannot be read.
    """
    out, there, remedy = request.out, request.out / EXPERIMENT, "give another --out"
    around = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not around.is_dir():
        raise Refused(str(out), f"cannot be a folder: {around} is a file", remedy)
    if not os.access(around, os.W_OK | os.X_OK):
        raise Refused(str(out), f"cannot be written: {around} allows it not", remedy)
    said = tomli_w.dumps(request.experiment.resolved())
    if there.is_file() and there.read_text(encoding="utf-8") != said:
        raise Refused(str(out), "holds another experiment", remedy)
    if out.is_dir() and any(out.iterdir()) and not there.is_file():
        raise Refused(str(out), "is not empty", remedy)
    if request.template is not None:
        template_of(str(request.template.resolve()))


def refuse_several_processes(options: Options) -> None:
    """Refuse to be one of several processes: all would test, and write the same files.

    Raises:
        Refused: Several were started, or are asked for.
    """
    from hale.train.team import processes_started

    count = max(processes_started(), options.devices * options.nodes, options.devices)
    if count > 1:
        remedy = "start it without torchrun and srun; share a fit by `hale fit`"
        raise Refused("hale reproduce", f"is for one process, and these are {count}", remedy)


def plan(request: Request, budget_minutes: float | None = None) -> list[str]:
    """Return what would be done, a line each; nothing is done.

    Raises:
        Refused: As `reproduce`, before its first training.
    """
    experiment = request.experiment
    refuse_several_processes(Options())
    refuse_place(request)
    lines = [f"{experiment.title} ({experiment.reference})"]
    remarks: dict[str, None] = {}
    for fold in request.asked_folds:
        lists = read_lists(experiment, request.data, request.reading(fold))
        remarks |= dict.fromkeys(lists.remarks)
        lines.append(f"fold {fold}")
        lines += [f"  {line}" for line in _trainings(request, fold, lists, budget_minutes)]
        for name, tested in lists.tested.items():
            chosen = f"thresholds on {name}_val ({len(tested.validation)} volumes)"
            lines.append(f"  {chosen}, test on {name}_test ({len(tested.test)} volumes)")
        if Policy.HEALTHY_FPR in experiment.thresholds:
            lines.append(f"  thresholds on IXI_val_fold{fold} ({len(lists.watched)} healthy scans)")
    lines += [f"fold {fold}: stays as it is" for fold in kept_folds(request)]
    for name, figures in experiment.published.items():
        lines.append(f"published, {name}: {figures}")
    return [*lines, *(f"note: {remark}" for remark in remarks)]


def _trainings(request: Request, fold: int, lists: Lists, budget: float | None) -> list[str]:
    """Return what is fitted in a fold, and whether it is there already."""
    experiment, recipes, place = request.experiment, request.recipes(fold), request.place(fold)
    stages = (
        ("pretrain", experiment.pretrain, recipes.pretrained, PRETRAINED),
        ("fit", experiment.base, recipes.base, BASE),
        ("fit", experiment.recipe, recipes.model, MODEL),
    )
    lines = []
    for verb, name, recipe, folder in stages:
        if recipe is None:
            continue
        who = f"on {len(lists.fit)} healthy scans"
        if folder == MODEL and lists.learnt:
            who += f" and {len(lists.learnt.entries)} patients of {lists.learnt.folder}"
        steps = getattr(recipe.method, "steps", None)
        length = f", {steps} steps" if steps else ""
        there = _standing(place / folder, budget)
        lines.append(f"{verb} {name} {who}{length}{there}: {place / folder}")
    return lines


def _standing(folder: Path, budget: float | None) -> str:
    """Return what is to be known of a training that is there already."""
    if not is_model(folder):
        return ""
    provenance = read_model(folder)[0].provenance
    if not goes_on(provenance, budget):
        return "; there already"
    return f"; there, cut short after {provenance['fit']['steps_done']} steps: goes on"


def _run(request: Request, fold: int, lists: Lists, options: Options) -> Fold:
    """Fit what a fold needs, and test it."""
    experiment, place = request.experiment, request.place(fold)
    options = replace(options, reading=request.reading(fold))
    recipes = request.recipes(fold)
    if fold in request.asked_folds:
        model = fitted(recipes, place, lists, options)
    else:
        model = as_is(recipes.model, place / MODEL, lists, options)
    tester = Tester(
        experiment=experiment,
        model=model,
        workshop=options.workshop(model.recipe.prep, model.space),
        kept=Cache(place / "maps"),
    )
    healthy, failed = tester.healthy(lists.watched)
    outcomes = {
        name: tester.outcome(name, tested, healthy) for name, tested in lists.tested.items()
    }
    return Fold(
        number=fold,
        model_sha256=model.sha256,
        provenance=model.provenance,
        outcomes=outcomes,
        failed=tuple(failed),
        remarks=lists.remarks,
    )


def once(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Return what says each sentence a single time: every training reads the same lists."""
    said: set[str] = set()

    def say(sentence: str) -> None:
        if sentence not in said:
            said.add(sentence)
            tell(sentence)

    return say
