"""From the figures of cases to the leaderboard, as plain JSON."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hale.bench.markdown import write_markdown
from hale.bench.measure import maps_folder, measured, ranked_apart
from hale.bench.measured import Measured
from hale.bench.outcome import ALL, Outcome, attempt
from hale.bench.over_runs import Json, Tested
from hale.bench.page import write_page
from hale.bench.place import Place
from hale.bench.plan import Job
from hale.bench.rows import row_of
from hale.bench.run import entries_for
from hale.bench.suite import Cohort, Entrant
from hale.bench.verdicts import ByCase, compare_methods, mean_by_case
from hale.io.cache import key_of
from hale.pipeline.job import Options
from hale.pipeline.versions import versions
from hale.pipeline.workers import Failure

SAID = 3
"""Scans that a note names."""
LEFT_OUT = "the suite leaves it out"
"""Why a method is missing that nobody asked for."""


def board_of(outcome: Outcome, options: Options) -> Json:
    """Measure all maps and return the leaderboard.

    Args:
        outcome: Of `hale.bench.run.run`.
        options: Who measures, and who is told.
    """
    suite = outcome.suite
    rows, missing = list[Json](), list[Json]()
    by_case: dict[str, dict[str, ByCase]] = {cohort.name: {} for cohort in suite.cohorts}
    for entrant in suite.methods:  # one at a time: voxels of all methods would fill the memory
        tested, gone = _cohorts_of(entrant, outcome, options)
        missing += gone
        for name, one in tested.items():
            row, reason = attempt(partial(row_of, one, tested, outcome), outcome, one.jobs[0].run)
            if row is None:
                missing.append(_missing(entrant, one.cohort, str(reason)))
                continue
            rows.append(row)
            by_case[name][entrant.name] = mean_by_case(one, suite.figure)
    compare_methods(rows, by_case, suite)
    regions = [told for cohort in suite.cohorts for told in _told_of_regions(cohort, outcome)]
    board = {
        "suite": {
            "name": suite.name,
            "title": suite.title,
            "notes": [*suite.notes, *outcome.told, *regions],
            "sha256": key_of(suite.resolved()),
            "figure": suite.figure,
            "baseline": suite.baseline,
        },
        "made": versions(),
        "cohorts": [_cohort(cohort, outcome) for cohort in suite.cohorts],
        "rows": rows,
        "missing": missing,
    }
    plain: Json = _plain(board, outcome.place)
    return plain


def is_whole(board: Json) -> bool:
    """Say whether everything that the suite asks for is there."""
    wanted = [one for one in board["missing"] if one["reason"] != LEFT_OUT]
    return not wanted and not any(row["failed"] for row in board["rows"])


def write_board(board: Json, outcome: Outcome) -> None:
    """Write ``leaderboard.json``, ``leaderboard.md`` and ``index.html``."""
    folder = outcome.place.board
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(board, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    (folder / "leaderboard.json").write_text(text, encoding="utf-8")
    write_markdown(board, folder / "leaderboard.md")
    write_page(board, folder)


def _cohorts_of(
    entrant: Entrant, outcome: Outcome, options: Options
) -> tuple[dict[str, Tested], list[Json]]:
    """Return what a method's maps of each cohort say, and where it has none, why."""
    tested, missing = dict[str, Tested](), list[Json]()
    jobs = [job for job in outcome.jobs if job.entrant is entrant]
    for cohort in outcome.suite.cohorts:
        reason = _absence(entrant, cohort, jobs, outcome)
        one: Tested | None = None
        if reason is None:
            work = partial(_tested, entrant, cohort, jobs, outcome, options)
            one, reason = attempt(work, outcome, jobs[0].run)
        if one is not None and any(one.runs):
            tested[cohort.name] = one
            continue
        if one is not None:
            reason = one.failed[0].reason if one.failed else "there are no maps"
        missing.append(_missing(entrant, cohort, str(reason)))
    return tested, missing


def _missing(entrant: Entrant, cohort: Cohort, reason: str) -> Json:
    told = {"method": entrant.name, "title": entrant.title or entrant.name}
    return {**told, "cohort": cohort.name, "reason": reason}


def _absence(entrant: Entrant, cohort: Cohort, jobs: Sequence[Job], outcome: Outcome) -> str | None:
    """Return why a method has nothing on a cohort, if that is known."""
    if entrant.cohorts and cohort.name not in entrant.cohorts:
        return LEFT_OUT
    broken = [outcome.broken.get(str(job.run)) for job in jobs]
    return broken[0] if all(broken) else None


def _tested(
    entrant: Entrant, cohort: Cohort, jobs: Sequence[Job], outcome: Outcome, options: Options
) -> Tested:
    kept, runs, failed = list[Job](), list[Sequence[Measured]](), list[Failure]()
    for job in jobs:
        why = outcome.reasons(job.run, cohort.name)
        if ALL in why:  # and whatever scans have maps nevertheless
            failed.append(Failure(id=str(job.run), reason=why[ALL].reason))
        if str(job.run) in outcome.broken:
            continue
        entries, baseline = entries_for(job, cohort, outcome), _baseline_maps(cohort, outcome)
        cases, lost = measured(job, cohort, entries, outcome.place, options, baseline=baseline)
        kept.append(job)
        runs.append(cases)
        if ALL not in why:
            failed += [why.get(one.id, one) for one in lost]
    return Tested(entrant=entrant, cohort=cohort, jobs=kept, runs=runs, failed=tuple(failed))


def _baseline_maps(cohort: Cohort, outcome: Outcome) -> Path:
    """Return the maps of the baseline's first run: all runs of all methods rank in its brain."""
    job = next(job for job in outcome.jobs if job.entrant.name == outcome.suite.baseline)
    return maps_folder(job, cohort, outcome.place)


def _told_of_regions(cohort: Cohort, outcome: Outcome) -> Iterator[str]:
    """Yield a sentence if methods are not ranked in the same voxels of each scan."""
    entries = outcome.cases[cohort.name]
    apart = ranked_apart(cohort, entries, _baseline_maps(cohort, outcome))
    if apart:
        yield (
            f"{cohort.name}: neither the data nor {outcome.suite.baseline} say where the brain is "
            f"in {len(apart)} scans ({', '.join(apart[:SAID])}{', ...' if apart[SAID:] else ''}): "
            "there each method is ranked in its own brain, or in the whole grid without one"
        )


def _cohort(cohort: Cohort, outcome: Outcome) -> Json:
    entries = outcome.cases[cohort.name]
    return {
        "name": cohort.name,
        "title": cohort.title or cohort.name,
        "contrast": str(cohort.contrast),
        "disease": cohort.disease,
        "kind": str(cohort.kind),
        "scans": len(entries),
        "people": len({entry.person for entry in entries}),
        "note": cohort.note,
    }


def _plain(value: Any, place: Place) -> Any:
    """Return a value as JSON holds it, NaN and infinities null, and no path of this disk in it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, place) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, place) for item in value]
    if isinstance(value, str):
        roots = (place.out, place.data, place.models, place.maps)
        for root in (f"{root}/" for root in roots if root is not None):
            value = value.replace(root, "")
        return value
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
