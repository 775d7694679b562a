"""Figures of a method on a cohort, with intervals over patients and the spread over runs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from hale.bench import tally
from hale.bench.measured import Measured
from hale.bench.outcome import Outcome
from hale.bench.over_runs import (
    Json,
    SeedFold,
    Tested,
    figure_of,
    mean_figure,
    mean_of,
    mean_statistic,
)
from hale.metrics import froc, scan
from hale.metrics.bootstrap import Interval, Statistic, bootstrap
from hale.metrics.evaluation import Kind as CaseKind
from hale.metrics.evaluation import Row, summarise
from hale.metrics.lesion import SizeBin
from hale.metrics.together import FALSE_PER_SCAN

Runs = Mapping[SeedFold, Sequence[Measured]]
POOLED: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "auprc": tally.average_precision,
    "auroc": tally.auroc,
}
"""Figures of the voxels of all cases as if of one, from counts (`hale.bench.tally.dense`) and the
indices of cases."""
RANKING = {"scan_auroc": scan.auroc, "scan_ap": scan.average_precision}
"""Figures that rank scans, which only those of one model may be: of scores, and who is ill."""


def figures_of(one: Tested, healthy: Tested | None, outcome: Outcome) -> Json:
    """Return all figures with intervals over patients and the spread over seeds and folds.

    Args:
        one: A method on a cohort.
        healthy: The same method on the healthy cohort beside it, or on itself; None: there is none.
        outcome: Of the suite.
    """
    beside = None if healthy is one else healthy
    figures = {**_summary(one, beside, outcome), **_own(one, outcome)}
    figures |= {**_free_response(one, beside, outcome), **_rebuilt(healthy, outcome)}
    for kind, ending in (("map", ""), ("own", "_own")):
        if one.everything and all(kind in case.tallies for case in one.everything):
            for name, figure in _pooled(one, kind, outcome).items():
                figures[f"{name}{ending}_pooled"] = figure
    return figures


def _summary(one: Tested, beside: Tested | None, outcome: Outcome) -> dict[str, Json]:
    """Return the figures of maps and masks, the mean over runs of each run's own."""
    suite = outcome.suite
    runs = {key: [case.row for case in cases] for key, cases in _with_healthy(one, beside).items()}
    rows = [row for some in runs.values() for row in some]
    summary = summarise(rows, draws=suite.draws, seed=suite.seed)
    alone = {key: summarise(some, draws=2, seed=0) for key, some in runs.items()}
    once = summary
    if len(runs) > 1:
        summary |= _ranked_by_run(list(runs.values()), outcome)
        distinct = {(row.kind, row.id): row for row in rows}
        once = summarise(list(distinct.values()), draws=2, seed=0)
    figures = {}
    for name, interval in summary.items():
        values = {key: told[name].value for key, told in alone.items()}
        mean = replace(interval, value=mean_of(list(values.values())))
        figures[name] = figure_of(mean, n=once[name].n, runs=values)
    return figures


def _ranked_by_run(runs: Sequence[Sequence[Row]], outcome: Outcome) -> dict[str, Interval]:
    """Return how well scans are told apart by score: each run ranks its own."""
    ranked = [[row for row in rows if row.kind is not CaseKind.EMPTY] for rows in runs]
    scores = [np.array([row.score for row in rows]) for rows in ranked]
    ill = [np.array([row.kind is CaseKind.LESION for row in rows], bool) for rows in ranked]
    patients = [row.patient for rows in ranked for row in rows]
    suite = outcome.suite

    def of(run: int, figure: Callable[[np.ndarray, np.ndarray], float]) -> Statistic:
        return lambda at: figure(scores[run][at], ill[run][at])

    return {
        name: bootstrap(
            mean_statistic([of(run, figure) for run in range(len(runs))], list(map(len, ranked))),
            patients,
            draws=suite.draws,
            seed=suite.seed,
        )
        for name, figure in RANKING.items()
    }


def _own(one: Tested, outcome: Outcome) -> dict[str, Json]:
    """Return the figures of the method's own score."""
    cases = one.everything
    return {
        name: mean_figure([case.own.get(name, math.nan) for case in cases], one, outcome)
        for name in sorted({name for case in cases for name in case.own})
    }


def _pooled(one: Tested, kind: str, outcome: Outcome) -> dict[str, Json]:
    """Return the figures of the voxels of all cases as if of one, means over runs."""
    runs, suite = one.by_run, outcome.suite
    counts = {
        key: tally.dense([case.tallies[kind] for case in cases]) for key, cases in runs.items()
    }
    grouped = [tally.grouped(told) for told in counts.values()]
    n = len({case.row.id for case in one.everything})
    figures = {}
    for name, statistic in POOLED.items():
        values = {key: statistic(told, np.arange(len(told))) for key, told in counts.items()}
        resampled = [partial(statistic, told) for told in grouped]
        interval = bootstrap(
            mean_statistic(resampled, list(map(len, runs.values()))),
            one.patients,
            draws=min(suite.draws, 1000),
            seed=suite.seed,
        )
        interval = replace(interval, value=mean_of(list(values.values())))
        figures[name] = figure_of(interval, n=n, runs=values)
    return figures


def _free_response(one: Tested, beside: Tested | None, outcome: Outcome) -> Json:
    """Return the lesions found at some numbers of false findings a scan, healthy ones included."""
    runs = {
        key: [case for case in cases if case.row.kind is not CaseKind.EMPTY]
        for key, cases in _with_healthy(one, beside).items()
    }
    told = {}
    for name, allowed in FALSE_PER_SCAN.items():
        for size in (None, *SizeBin):
            found = _recall(runs, allowed, size, outcome)
            if size is None or not math.isnan(found["value"]):
                told[f"{name}_{size.name.lower()}" if size else name] = found
    return told


def _recall(runs: Runs, allowed: float, size: SizeBin | None, outcome: Outcome) -> Json:
    """Return the share of lesions found at a number of false findings a scan, mean over runs."""
    read = [froc.recall([case.profile for case in some], allowed, size) for some in runs.values()]
    cases = [case for some in runs.values() for case in some]
    interval = bootstrap(
        mean_statistic([one.resampled for one in read], list(map(len, runs.values()))),
        [case.row.patient for case in cases],
        draws=min(outcome.suite.draws, 500),
        seed=outcome.suite.seed,
    )
    values = dict(zip(runs, (one.value for one in read), strict=True))
    interval = interval.moved_to(mean_of(list(values.values())))
    return figure_of(interval, n=len({(case.row.kind, case.row.id) for case in cases}), runs=values)


def _rebuilt(healthy: Tested | None, outcome: Outcome) -> dict[str, Json]:
    """Return how the method rebuilds healthy scans, where its pictures say so."""
    if healthy is None:
        return {}
    told = [case.rebuilt for case in healthy.everything]
    names = sorted({name for figures in told for name in figures})
    return {
        f"healthy_{name}": mean_figure([f.get(name, math.nan) for f in told], healthy, outcome)
        for name in names
    }


def _with_healthy(one: Tested, beside: Tested | None) -> Runs:
    """Return the cases of each run, then the healthy ones that it scored beside them."""
    healthy = {} if beside is None else beside.by_run
    return {key: [*cases, *healthy.get(key, ())] for key, cases in one.by_run.items()}
