"""From the figures of cases to the leaderboard, as plain JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from hale.bench.card import made
from hale.bench.markdown import write_markdown
from hale.bench.measure import measured
from hale.bench.page import write_page
from hale.bench.plan import Job
from hale.bench.rows import Tested, row_of
from hale.bench.run import Outcome, entries_for
from hale.bench.suite import Cohort, Entrant, Kind
from hale.io.cache import key_of
from hale.metrics import compare
from hale.pipeline.job import Options
from hale.pipeline.workers import Failure

Json = dict[str, Any]


def board_of(outcome: Outcome, options: Options) -> Json:
    """Measure all maps and return the leaderboard.

    Args:
        outcome: Of `hale.bench.run.run`.
        options: Who measures, and who is told.
    """
    suite = outcome.suite
    tested: dict[tuple[str, str], Tested] = {}
    missing: list[Json] = []
    for entrant in suite.methods:
        jobs = [job for job in outcome.jobs if job.entrant is entrant]
        for cohort in suite.cohorts:
            reason = _absence(entrant, cohort, jobs, outcome)
            one = None if reason else _tested(entrant, cohort, jobs, outcome, options)
            if one is not None and not any(one.runs):
                reason = one.failed[0].reason if one.failed else "there are no maps"
            if reason or one is None:
                told = {"method": entrant.name, "cohort": cohort.name, "reason": reason}
                missing.append({**told, "title": entrant.title or entrant.name})
            else:
                tested[entrant.name, cohort.name] = one
    rows = [row_of(one, tested, outcome) for one in tested.values()]
    _compare(rows, tested, outcome)
    board = {
        "suite": {
            "name": suite.name,
            "title": suite.title,
            "notes": [*suite.notes, *outcome.told],
            "sha256": key_of(suite.resolved()),
            "figure": suite.figure,
            "baseline": suite.baseline,
        },
        "made": made(),
        "cohorts": [_cohort(cohort, outcome) for cohort in suite.cohorts],
        "rows": rows,
        "missing": missing,
    }
    plain: Json = _plain(board)
    return plain


def write_board(board: Json, outcome: Outcome) -> None:
    """Write ``leaderboard.json``, ``leaderboard.md`` and ``index.html``."""
    folder = outcome.place.board
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(board, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    (folder / "leaderboard.json").write_text(text, encoding="utf-8")
    write_markdown(board, folder / "leaderboard.md")
    write_page(board, folder)


def _absence(entrant: Entrant, cohort: Cohort, jobs: Sequence[Job], outcome: Outcome) -> str | None:
    """Return why a method has nothing on a cohort, if that is known."""
    if entrant.cohorts and cohort.name not in entrant.cohorts:
        return "the suite leaves it out"
    broken = [outcome.broken.get(str(job.run)) for job in jobs]
    return broken[0] if all(broken) else None


def _tested(
    entrant: Entrant, cohort: Cohort, jobs: Sequence[Job], outcome: Outcome, options: Options
) -> Tested:
    runs, failed = [], dict[str, Failure]()
    for job in jobs:
        entries = entries_for(job, cohort, outcome)
        cases, lost = measured(job, cohort, entries, outcome.place, options)
        runs.append(cases)
        reasons = {one.id: one for one in outcome.failed.get((str(job.run), cohort.name), ())}
        if cohort.name in reasons and not cases:  # the whole cohort failed for one reason
            failed = reasons
            continue
        failed |= {one.id: reasons.get(one.id, one) for one in lost}
    return Tested(
        entrant=entrant, cohort=cohort, jobs=jobs, runs=runs, failed=tuple(failed.values())
    )


def _compare(
    rows: Sequence[Json], tested: Mapping[tuple[str, str], Tested], outcome: Outcome
) -> None:
    """Say of each method whether it differs from the baseline, corrected for their number."""
    suite = outcome.suite
    for cohort in suite.cohorts:
        base = tested.get((suite.baseline, cohort.name))
        if base is None or cohort.kind is Kind.HEALTHY:
            continue
        others = {
            row["method"]: _against(tested[row["method"], cohort.name], base, outcome)
            for row in rows
            if row["cohort"] == cohort.name and row["method"] != suite.baseline
        }
        verdicts = compare.judge(others)
        for row in rows:
            if row["cohort"] == cohort.name and row["method"] in others:
                told = {"figure": suite.figure, **asdict(others[row["method"]])}
                judged = verdicts[row["method"]]
                told |= {"p_holm": judged.p_holm, "verdict": str(judged.verdict)}
                row["against"] = {suite.baseline: told}


def _against(one: Tested, base: Tested, outcome: Outcome) -> compare.Comparison:
    """Compare a method with the baseline on the cases that both have, runs averaged."""
    figure = outcome.suite.figure
    ours, theirs = _mean_by_case(one, figure), _mean_by_case(base, figure)
    both = [key for key in ours if key in theirs]
    return compare.paired(
        [ours[key] for key in both],
        [theirs[key] for key in both],
        [patient for _, patient in both],
        seed=outcome.suite.seed,
    )


def _mean_by_case(one: Tested, figure: str) -> dict[tuple[str, str], float]:
    """Return a figure of each case, by id and patient, the mean over runs."""
    values: dict[tuple[str, str], list[float]] = {}
    for case in one.everything:
        value = case.own.get(figure)
        if value is None:  # a map that is no calibrated one is its own score
            value = getattr(case.row, figure.replace("_own", ""))
        values.setdefault((case.row.id, case.row.patient), []).append(value)
    return {key: float(np.mean(some)) for key, some in values.items()}


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


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it: NaN and infinities are null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
