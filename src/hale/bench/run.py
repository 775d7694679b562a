"""To run a suite: plant, fit, score. Each finished piece is a folder, and is not done again.

Nothing but the folders is remembered, so that a run that was stopped at any point goes on by the
same call. What fails is a row with its reason, and the others go on.
"""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import tomli_w

from hale.bench.cohorts import scans_of
from hale.bench.guards import checked
from hale.bench.place import PHANTOMS, Place, Run
from hale.bench.plan import Job, jobs
from hale.bench.planting import planted, there
from hale.bench.suite import Cohort, Kind, Suite
from hale.core.errors import Refused
from hale.core.method import Supervision
from hale.data.cohort import Entry
from hale.data.folder import Reading
from hale.data.layouts import FOLDED, find_layout
from hale.io.model import is_model, read_about
from hale.pipeline import cohort as pipeline
from hale.pipeline.fit import fit
from hale.pipeline.job import Options
from hale.pipeline.pretrain import pretrain
from hale.pipeline.reuse import goes_on, going_on
from hale.pipeline.workers import Failure

Result = TypeVar("Result")


@dataclass(kw_only=True, eq=False)
class Outcome:
    """What came of a suite, beside what lies in its folder."""

    suite: Suite
    place: Place
    jobs: list[Job]
    cases: Mapping[str, Sequence[Entry]]
    """Of each cohort, each with its reference mask where it has one."""
    told: tuple[str, ...]
    """What readers must know of the data."""
    broken: dict[str, str] = field(default_factory=dict)
    """Runs that have no model, and why."""
    failed: dict[tuple[str, str], list[Failure]] = field(default_factory=dict)
    """Scans of a run and a cohort that have no map, and why."""


def hosts_of(suite: Suite, place: Place) -> dict[str, list[Entry]]:
    """Return the scans of each cohort as they lie about, nothing planted.

    Raises:
        Refused: As `hale.bench.cohorts.scans_of`.
    """
    return {cohort.name: scans_of(cohort, place) for cohort in suite.cohorts}


def run(suite: Suite, place: Place, options: Options) -> Outcome:
    """Fit or reuse every model and write every map that is not there yet.

    Args:
        suite: Which.
        place: Where its data are, and where results go.
        options: Device, processes, cache, ... A budget wins over the suite's.

    Raises:
        Refused: A folder of another suite; what `hale.bench.guards.checked` refuses.
    """
    todo = jobs(suite, place)
    hosts = hosts_of(suite, place)
    told = checked(suite, place, todo, hosts, options.cache)
    claim(suite, place)
    cases: dict[str, Sequence[Entry]] = {}
    for cohort in suite.cohorts:
        cases[cohort.name], lost = _cases(cohort, hosts[cohort.name], place, options)
        told += tuple(f"{cohort.name}: not planted: {failure.reason}" for failure in lost)
    outcome = Outcome(suite=suite, place=place, jobs=todo, cases=cases, told=told)
    for number, job in enumerate(todo):
        options.progress("methods", number, len(todo))
        _run_job(outcome, job, options)
    options.progress("methods", len(todo), len(todo))
    return outcome


def claim(suite: Suite, place: Place) -> None:
    """Put the suite's name on the folder; it may change where that spoils nothing.

    What is in the folder already is known by model and file, so methods and cohorts may be added.

    Raises:
        Refused: The folder holds something else, or cannot be written.
    """
    try:
        there = [path for path in place.out.glob("*") if path.name != PHANTOMS]
        if there and not place.suite.is_file():
            why = "is not empty, and holds no benchmark to go on with"
            raise Refused(str(place.out), why, "give another --out")
        place.out.mkdir(parents=True, exist_ok=True)
        place.suite.write_text(tomli_w.dumps(suite.resolved()), encoding="utf-8")
    except OSError as error:
        why = f"cannot be written ({error.strerror or error})"
        raise Refused(str(place.out), why, "give another --out") from None


def entries_for(job: Job, cohort: Cohort, outcome: Outcome) -> list[Entry]:
    """Return a cohort's cases with the contrasts that a method takes.

    Raises:
        Refused: The cohort does not hold them.
    """
    cases = list(outcome.cases[cohort.name])
    if job.slots(cohort) == ((cohort.contrast,),) or cohort.kind is Kind.SYNTHETIC:
        return cases
    masks = {case.id: case.lesion for case in cases}
    found = scans_of(replace(cohort, kind=Kind.HEALTHY), outcome.place, job.slots(cohort))
    return [replace(e, lesion=masks[e.id]) for e in found if e.id in masks]


def _cases(
    cohort: Cohort, hosts: list[Entry], place: Place, options: Options
) -> tuple[list[Entry], list[Failure]]:
    if cohort.kind is not Kind.SYNTHETIC:
        return hosts, []
    return planted(
        cohort,
        hosts,
        place,
        cache=options.cache,
        crew=options.crew,
        progress=options.progress,
    )


def _run_job(outcome: Outcome, job: Job, options: Options) -> None:
    """Fit what is to be fitted, and score all cohorts; keep what fails."""
    if job.recipe is None:
        return  # maps are there, or not: whoever measures them will say
    if job.is_fitted_here:
        _, reason = attempt(lambda: _fitted(job, outcome, options), outcome, job.run)
        if reason is not None:
            outcome.broken[str(job.run)] = reason
            return
    for cohort in job.cohorts:
        lost, reason = attempt(partial(_scored, job, cohort, outcome, options), outcome, job.run)
        failures = lost or [] if reason is None else [Failure(id=cohort.name, reason=reason)]
        outcome.failed[str(job.run), cohort.name] = failures


def attempt(
    work: Callable[[], Result], outcome: Outcome, run: Run
) -> tuple[Result | None, str | None]:
    """Return what a piece of work gives, or why it failed: one method must not stop the others.

    What is no refusal is a defect: its traceback is kept, for its author, in ``errors/<run>.txt``.
    """
    try:
        return work(), None
    except Refused as refusal:
        return None, str(refusal)
    except Exception as error:
        log = outcome.place.out / "errors" / f"{run}.txt"
        log.parent.mkdir(exist_ok=True)
        log.write_text(traceback.format_exc(), encoding="utf-8")
        return None, f"{type(error).__name__}: {error}; see {log.relative_to(outcome.place.out)}"


def _fitted(job: Job, outcome: Outcome, options: Options) -> None:
    """Fit a model that is not there, or that a smaller budget has cut short."""
    suite, place = outcome.suite, outcome.place
    assert job.model is not None
    assert job.recipe is not None
    budget = options.budget_minutes or job.entrant.budget_minutes
    reading = reading_of(suite, place, job.run.fold)
    options = replace(options, budget_minutes=budget, reading=reading)
    healthy, encoder, model = place.data / suite.healthy, place.encoder(job.run), job.model
    if job.stage is not None and _is_wanted(encoder, budget):
        pretrain(job.stage, healthy, encoder, going_on(encoder, options))
    takes_cases = job.supervision is Supervision.LESION_MASKS and suite.cases
    if _is_wanted(model, budget):
        cases = place.data / suite.cases if takes_cases else None
        fit(job.recipe, healthy, model, going_on(model, options), cases)


def reading_of(suite: Suite, place: Place, fold: int) -> Reading:
    """Return how the healthy people of a fold are read: a published list's, or divided anew."""
    folder = place.data / suite.healthy
    if folder.is_dir() and find_layout(folder) in FOLDED:
        return Reading(fold=fold)
    return Reading(turn=(fold, suite.folds))


def _is_wanted(folder: Path, budget: float | None) -> bool:
    """Say whether a model is to be made: it is not there, or a smaller budget has cut it short."""
    return not is_model(folder) or goes_on(read_about(folder)[0].provenance, budget)


def _scored(job: Job, cohort: Cohort, outcome: Outcome, options: Options) -> list[Failure]:
    """Write the maps of a cohort that are not there yet; return the scans that fail."""
    out = outcome.place.maps_of(job.run, cohort.name)
    out.parent.mkdir(parents=True, exist_ok=True)
    work = pipeline.Job(
        out=out,
        model_folder=job.model,
        recipe=None if job.model is not None else job.recipe,
        cache=options.cache,
        device=options.device,
        precision=options.precision,
        report=False,
        own=True,
    )
    result = pipeline.run_cohort(
        work,
        entries_for(job, cohort, outcome),
        crew=options.crew,
        overwrite=_is_of_another_model(out, work),
        progress=_called(options, f"{job.run} on {cohort.name}"),
    )
    return list(result.failures)


def _called(options: Options, name: str) -> Callable[[str, int, int], None]:
    """Return a progress that says which method and cohort is scored."""
    return lambda _, done, total: options.progress(name, done, total)


def _is_of_another_model(out: Path, job: pipeline.Job) -> bool:
    """Say whether maps are there of a model that has been fitted anew since."""
    made = pipeline.made_with(out / pipeline.MARK)
    return made is not None and made != job.identity()[1]


def as_it_is(suite: Suite, place: Place, options: Options) -> Outcome:
    """Return what lies in the folder of a benchmark; nothing is planted, fitted or scored.

    Raises:
        Refused: As `run`; no benchmark is there.
    """
    if not place.suite.is_file():
        raise Refused(str(place.out), "holds no benchmark", "run it first, without --figures")
    todo, hosts = jobs(suite, place), hosts_of(suite, place)
    told = checked(suite, place, todo, hosts, options.cache)
    cases = {cohort.name: there(cohort, hosts[cohort.name], place) for cohort in suite.cohorts}
    return Outcome(suite=suite, place=place, jobs=todo, cases=cases, told=told)
