"""To run a suite: plant, fit, score. Each finished piece is a folder, and is not done again.

Nothing but the folders is remembered, so that a run that was stopped at any point goes on by the
same call. What fails is a row with its reason, and the others go on.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import tomli_w

from hale.bench.cohorts import scans_of
from hale.bench.guards import checked
from hale.bench.models import fit_model, refuse_other_recipe, remarks
from hale.bench.outcome import ALL, Outcome, attempt
from hale.bench.phantom import make_phantoms, rehearsed
from hale.bench.place import PHANTOMS, Place
from hale.bench.plan import Job, described, jobs
from hale.bench.planting import planted, there
from hale.bench.suite import Cohort, Kind, Suite
from hale.core.errors import Refused
from hale.data.cohort import Entry
from hale.io.model import is_model
from hale.pipeline import cohort as pipeline
from hale.pipeline.job import Options
from hale.pipeline.workers import Failure
from hale.recipe import read_table


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
    refuse_place(suite, place)
    make_phantoms(suite, place.data)
    hosts = hosts_of(suite, place)
    told = checked(suite, place, todo, hosts, options.cache) + remarks(todo)
    claim(suite, place)
    cases: dict[str, Sequence[Entry]] = {}
    for cohort in suite.cohorts:
        cases[cohort.name], lost = _cases(cohort, hosts[cohort.name], place, options)
        told += tuple(f"{cohort.name}: not planted: {failure.reason}" for failure in lost)
    outcome = Outcome(suite=suite, place=place, jobs=todo, cases=cases, told=told)
    for number, job in enumerate(todo):
        options.progress("methods", number, len(todo))
        _run_job(outcome, job, options)
        outcome.keep()
    options.progress("methods", len(todo), len(todo))
    return outcome


def rehearse(suite: Suite, place: Place, options: Options) -> list[str]:
    """Return the plan and its cost, a line each, and what readers will be told; write nothing.

    Raises:
        Refused: What `run` would refuse.
    """
    refuse_place(suite, place)
    with rehearsed(suite, place) as there:
        todo, hosts = jobs(suite, there), hosts_of(suite, there)
        told = checked(suite, there, todo, hosts, options.cache) + remarks(todo)
        return [*described(suite, there, todo, hosts), *told]


def refuse_place(suite: Suite, place: Place) -> None:
    """Refuse to work where results of something else are, or where models and maps are not.

    Raises:
        Refused: Names the folder.
    """
    for option, folder in (("--models", place.models), ("--maps", place.maps)):
        if folder is not None and not folder.is_dir():
            raise Refused(f"{option} {folder}", "is not a folder", "correct it, or leave it out")
    try:
        ours = (place.out / PHANTOMS, place.suite_part)
        there = [path for path in place.out.glob("*") if path not in ours]
        if there and not place.suite.is_file():
            why = "is not empty, and holds no benchmark to go on with"
            raise Refused(str(place.out), why, "give another --out")
        if place.suite.is_file() and (name := read_table(place.suite).get("name")) != suite.name:
            raise Refused(str(place.out), f"holds the suite {name}", "give another --out")
    except OSError as error:
        why = f"cannot be read ({error.strerror or error})"
        raise Refused(str(place.out), why, "give another --out") from None


def claim(suite: Suite, place: Place) -> None:
    """Put the suite's name on the folder; the same suite may have changed.

    Methods and cohorts may be added: models are known by recipe and people, maps by their model,
    figures by the files that they are of.

    Raises:
        Refused: The folder cannot be written.
    """
    try:
        place.out.mkdir(parents=True, exist_ok=True)
        place.suite_part.write_text(tomli_w.dumps(suite.resolved()), encoding="utf-8")
        place.suite_part.replace(place.suite)
    except OSError as error:
        why = f"cannot be written ({error.strerror or error})"
        raise Refused(str(place.out), why, "give another --out") from None


def entries_for(job: Job, cohort: Cohort, outcome: Outcome) -> list[Entry]:
    """Return a cohort's cases with the contrasts that a method takes.

    Raises:
        Refused: The cohort does not hold them.
    """
    cases = list(outcome.cases[cohort.name])
    if job.slots(cohort) == ((cohort.contrast,),):
        return cases
    if cohort.kind is Kind.SYNTHETIC:
        slots = job.slots(cohort)
        if len(slots) == 1 and cohort.contrast in slots[0]:
            return cases
        why = f"its lesions are planted in {cohort.contrast} alone, the model takes more"
        raise Refused(f"cohort {cohort.name}", why, "leave the method out of it")
    masks = {case.id: case.lesion for case in cases}
    found = scans_of(cohort, outcome.place, job.slots(cohort))
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
        _, reason = attempt(lambda: fit_model(job, outcome, options), outcome, job.run)
        if reason is not None:
            outcome.broken[str(job.run)] = reason
            return
    for cohort in job.cohorts:
        lost, reason = attempt(partial(_scored, job, cohort, outcome, options), outcome, job.run)
        failures = lost or [] if reason is None else [Failure(id=ALL, reason=reason)]
        outcome.failed[str(job.run), cohort.name] = failures


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
    refuse_place(suite, place)
    todo, hosts = jobs(suite, place), hosts_of(suite, place)
    told = checked(suite, place, todo, hosts, options.cache) + remarks(todo)
    cases = {cohort.name: there(cohort, hosts[cohort.name], place) for cohort in suite.cohorts}
    outcome = Outcome(suite=suite, place=place, jobs=todo, cases=cases, told=told)
    outcome.recall()
    for job in todo:
        if job.is_fitted_here and job.recipe is not None and is_model(place.model(job.run)):
            work = partial(refuse_other_recipe, place.model(job.run), job.recipe)
            _, reason = attempt(work, outcome, job.run)
            if reason is not None:
                outcome.broken[str(job.run)] = reason
    return outcome
