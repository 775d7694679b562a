"""What fits and pretrainings share: healthy scans, prepared and granted, and a run on them."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hale.core.errors import Refused
from hale.core.method import Supervision, Training
from hale.core.scan import Split
from hale.data.cohort import Entry, of_split, refuse_shared_people, with_splits
from hale.data.folder import Data
from hale.io.cache import key_of
from hale.pipeline.calibrate import persons, read_cohort
from hale.pipeline.grant import granted
from hale.pipeline.job import Options
from hale.pipeline.prepare import Workshop, quiet, read_entry, silent
from hale.pipeline.workers import Failure
from hale.prep.chain import space_of
from hale.prep.settings import Mode
from hale.prep.template import template_hash
from hale.recipe import Recipe, StageRecipe

if TYPE_CHECKING:
    from hale.train.run import FabricRun
    from hale.train.team import Team

FIT_SHARES = {Split.FIT: 0.6, Split.STANDARDISE: 0.15, Split.CALIBRATE: 0.25}
MIN_FIT = 2


def team_of(options: Options) -> tuple["Team", Options]:
    """Return the processes that share a fit, and how the job is run in this one.

    The first tells and shows what all do; the others prepare from what it has left in the cache,
    together with as many workers as it had.

    Raises:
        Refused: The device or the processes are not there, or nothing can be compiled.
    """
    from hale.train.compiling import refuse_without_compiler
    from hale.train.team import joined

    team = joined(options.device, options.precision, devices=options.devices, nodes=options.nodes)
    if options.compiled:
        team.in_turn(lambda: refuse_without_compiler(team.device))
    if team.is_first:
        return team, options
    workers = max(1, options.crew.workers // (team.size - 1))
    crew = replace(options.crew, workers=workers)
    return team, replace(options, crew=crew, progress=silent, tell=quiet)


def healthy_entries(recipe: Recipe | StageRecipe, data: Data, options: Options) -> Sequence[Entry]:
    """Return the healthy scans of a folder, or of a list of files, each with its split.

    A pretraining divides people as a fit does, and so learns from those alone that a fit does.

    Raises:
        Refused: A person is learnt from and sets thresholds too, and no published list says so.
    """
    found = read_cohort(data, recipe.prep.slots, options)
    entries = with_splits(found, FIT_SHARES, options.reading.turn)
    if not options.reading.published:
        setting = of_split(entries, Split.STANDARDISE, Split.CALIBRATE)
        refuse_shared_people(setting, of_split(entries, Split.FIT))
    return entries


def workshop_of(
    recipe: Recipe | StageRecipe, entries: Sequence[Entry], options: Options
) -> Workshop:
    """Return where the scans are prepared for what the recipe makes.

    Raises:
        Refused: They would not come to lie on one grid.
    """
    if recipe.prep.mode is Mode.NATIVE:
        why = "leaves each scan on its own grid: there is nothing in common to learn"
        raise Refused("prep.mode = 'native'", why, "use 'full' or 'given'")
    readable = next((entry for entry in entries if entry.refusal is None), entries[0])
    first = read_entry(readable) if recipe.prep.mode is Mode.GIVEN else None
    return options.workshop(recipe.prep, space_of(recipe.prep, first))


def refuse_few_to_learn_from(entries: Sequence[Entry]) -> None:
    """Refuse fewer people to fit on than there can be one to learn from and one to hold out."""
    if (count := persons(entries, Split.FIT)) < MIN_FIT:
        raise Refused("healthy cohort", f"{count} scans to fit on", f"give {MIN_FIT} or more")


def prepared_healthy(
    recipe: Recipe | StageRecipe, data: Data, entries: Sequence[Entry], workshop: Workshop
) -> tuple[Training, dict[str, Any]]:
    """Return the healthy scans that may be seen, prepared, and who that is, as plain JSON.

    Raises:
        Refused: Too few scans could be prepared.
    """
    fitting = of_split(entries, Split.FIT)
    if recipe.method.supervision is Supervision.NONE:
        fitting = []  # granted nothing, so nothing is prepared
    prepared, failed = workshop.prepare_all(fitting, "preparing the fit scans")
    if fitting and len(prepared) < MIN_FIT:
        raise Refused(name_of(data), f"{len(prepared)} scans could be prepared", _first(failed))
    record = {
        "data": name_of(data),
        "terms": recipe.cohort.terms or _terms(data),
        "scans": [p.scan.id for p in prepared],
        "people": sorted({entry.person for entry in fitting}),
        "sha256": {e.id: e.sha256 for e in fitting},
        "failed": {f.id: f.reason for f in failed},
        "template": template_hash(recipe.prep.template_of_reference),
    }
    return granted(recipe, prepared, fitting, workshop.space), record


def run_of(
    recipe: Recipe | StageRecipe,
    training: Training,
    beside: Sequence[str],
    out: Path,
    options: Options,
    team: "Team",
) -> "FabricRun":
    """Return the run that a recipe's method, or stage, learns in.

    Args:
        recipe: Of it.
        training: What it learns from.
        beside: Hashes of what else decides the outcome.
        out: Where the result goes; checkpoints lie beside it.
        options: Budget, ...
        team: The processes that share it.
    """
    from hale.train.run import FabricRun

    seen = [scan.content for scan in (*training.healthy, *training.held_out)]
    return FabricRun(
        seed=recipe.seed,
        team=team,
        compiled=options.compiled,
        folder=work_folder(out),
        budget_minutes=options.budget_minutes,
        fingerprint=key_of(recipe.resolved(), [*seen, *beside]),
        resume=options.resume,
        save_seconds=60 * options.checkpoint_minutes,
    )


def told_of(run: "FabricRun") -> dict[str, Any]:
    """Return how far a run went, as plain JSON; nothing of one that was not needed."""
    if not run.steps_done:
        return {}
    cut = {} if run.finished else {"budget_minutes": run.budget_minutes}
    return {"steps_done": run.steps_done, "finished": run.finished, **cut}


def work_folder(out: Path) -> Path:
    """Return where the checkpoints of a fit lie until it is finished."""
    return out.with_name(f"{out.name}.fitting")


def clear_work(out: Path, options: Options) -> None:
    """Discard the checkpoints of an earlier run, if a fresh start may."""
    if options.anew and options.resume is None:
        shutil.rmtree(work_folder(out), ignore_errors=True)


def refuse_nothing_to_resume(out: Path, options: Options) -> None:
    """Refuse to go on where nothing was left off, before hours of work start anew unasked."""
    if options.resume is not None and not any(work_folder(out).glob("*.safetensors")):
        what = f"--resume of {out}"
        raise Refused(what, "there is no checkpoint to go on from", "start without --resume")


def name_of(data: Data) -> str:
    """Return what data are called in a model's record."""
    return data.name if isinstance(data, Path) else f"{len(data)} files"


def _terms(data: Data) -> str:
    """Return the licence that the data set's own description states."""
    if not isinstance(data, Path):
        return "not stated"
    try:
        about = json.loads((data / "dataset_description.json").read_text(encoding="utf-8"))
        return str(about["License"])
    except (OSError, ValueError, KeyError, TypeError):
        return "not stated"


def _first(failed: Sequence[Failure]) -> str:
    return f"the first said: {failed[0].reason}" if failed else "give more"
