"""Figures of a method on a cohort, with intervals over patients and the spread over runs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hale.bench import tally
from hale.bench.measure import Measured
from hale.bench.outcome import Outcome
from hale.bench.plan import Job
from hale.bench.suite import Cohort, Entrant
from hale.metrics import compare, froc
from hale.metrics.bootstrap import Interval, bootstrap, bootstrap_mean
from hale.metrics.evaluation import Kind as CaseKind
from hale.metrics.evaluation import summarise
from hale.metrics.lesion import SizeBin
from hale.metrics.together import FALSE_PER_SCAN
from hale.pipeline.workers import Failure

Json = dict[str, Any]
Pooled = Callable[[np.ndarray, np.ndarray], float]
"""From counts and the indices of cases, see `hale.bench.tally.dense`."""
POOLED = {"auprc": tally.average_precision, "auroc": tally.auroc}
"""Figures of the voxels of all cases as if of one."""
RUNS = "runs"
"""Value of each run, by seed and fold, until the spread is known."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tested:
    """One method on one cohort: the runs over seeds and folds, and what each measured."""

    entrant: Entrant
    cohort: Cohort
    jobs: Sequence[Job]
    runs: Sequence[Sequence[Measured]]
    """Of each job, one per case."""
    failed: Sequence[Failure]

    @property
    def everything(self) -> list[Measured]:
        """Return the cases of all runs: of a patient all are drawn together."""
        return [one for cases in self.runs for one in cases]

    @property
    def patients(self) -> list[str]:
        """Return whose each case of `everything` is."""
        return [one.row.patient for one in self.everything]


def figures_of(one: Tested, healthy: Tested | None, outcome: Outcome) -> Json:
    """Return all figures with intervals over patients and the spread over seeds and folds.

    Args:
        one: A method on a cohort.
        healthy: The same method on the healthy cohort beside it, or on itself; None: there is none.
        outcome: Of the suite.
    """
    figures = {**_summary(one, healthy, outcome), **_own(one, outcome)}
    figures |= {**_free_response(one, healthy, outcome), **_rebuilt(healthy, outcome)}
    for kind, ending in (("map", ""), ("own", "_own")):
        if one.everything and all(kind in case.tallies for case in one.everything):
            for name, figure in _pooled(one, kind, outcome).items():
                figures[f"{name}{ending}_pooled"] = figure
    for figure in figures.values():
        runs = figure.pop(RUNS, {})
        spread = compare.spread({key: v for key, v in runs.items() if v is not None})
        figure |= {"seed_sd": spread.seed_sd, "fold_sd": spread.fold_sd}
    return figures


def _summary(one: Tested, healthy: Tested | None, outcome: Outcome) -> dict[str, Json]:
    """Return the figures of maps and masks, the mean over runs.

    All cases of a patient, of all runs, are drawn together. Scans of two models
    are never ranked together: the mean is of each run's own figure.
    """
    suite = outcome.suite
    beside = None if healthy is one else healthy
    rows = [case.row for case in [*one.everything, *(beside.everything if beside else ())]]
    summary = summarise(rows, draws=suite.draws, seed=suite.seed)
    figures = {name: figure_of(interval, len(one.runs)) for name, interval in summary.items()}
    alike = {} if beside is None else _by_run(beside)
    for key, cases in _by_run(one).items():
        run = [case.row for case in (*cases, *alike.get(key, ()))]
        for name, interval in summarise(run, draws=2, seed=0).items():
            figures[name].setdefault(RUNS, {})[key] = interval.value
    for figure in figures.values():
        mean = mean_of(list(figure[RUNS].values()))
        figure["value"] = math.nan if mean is None else mean
    return figures


def _own(one: Tested, outcome: Outcome) -> dict[str, Json]:
    """Return the figures of the method's own score."""
    figures = {}
    for name in sorted({name for case in one.everything for name in case.own}):
        values = [case.own.get(name, math.nan) for case in one.everything]
        runs = {
            key: mean_of([case.own.get(name, math.nan) for case in cases])
            for key, cases in _by_run(one).items()
        }
        figures[name] = {**mean_figure(values, one, outcome), RUNS: runs}
    return figures


def _pooled(one: Tested, kind: str, outcome: Outcome) -> dict[str, Json]:
    """Return the figures of the voxels of all cases as if of one, means over runs."""
    groups, alone = [], {name: dict[tuple[int, int], float]() for name in POOLED}
    for key, cases in _by_run(one).items():
        if cases:
            counts = tally.dense([case.tallies[kind] for case in cases])
            groups.append(tally.grouped(counts))
            for name, statistic in POOLED.items():
                alone[name][key] = statistic(counts, np.arange(len(cases)))
    return {
        name: _mean_pooled(statistic, groups, alone[name], one, outcome)
        for name, statistic in POOLED.items()
    }


def _mean_pooled(
    statistic: Pooled,
    groups: Sequence[np.ndarray],
    alone: Mapping[tuple[int, int], float],
    one: Tested,
    outcome: Outcome,
) -> Json:
    """Return the mean of a pooled figure over runs.

    Args:
        statistic: The figure.
        groups: Grouped counts of the cases of each run, which its interval is drawn from.
        alone: The figure itself, of each run.
        one: Whose.
        outcome: Of the suite.
    """
    sizes = [len(counts) for counts in groups]
    run = np.repeat(np.arange(len(sizes)), sizes)
    place = np.concatenate([np.arange(size) for size in sizes])

    def mean(at: np.ndarray) -> float:
        parts = [
            statistic(part, place[at[run[at] == number]]) for number, part in enumerate(groups)
        ]
        defined = [part for part in parts if not math.isnan(part)]
        return float(np.mean(defined)) if defined else math.nan

    suite = outcome.suite
    interval = bootstrap(mean, one.patients, draws=min(suite.draws, 1000), seed=suite.seed)
    values = [value for value in alone.values() if not math.isnan(value)]
    value = float(np.mean(values)) if values else math.nan
    n = len({case.row.id for case in one.everything})
    return {**figure_of(interval, 1), "value": value, "n": n, RUNS: dict(alone)}


def _free_response(one: Tested, healthy: Tested | None, outcome: Outcome) -> Json:
    """Return the lesions found at some numbers of false findings a scan, healthy ones included."""
    cases = [*first_run(one), *([] if healthy is None or healthy is one else first_run(healthy))]
    known = [case for case in cases if case.row.kind is not CaseKind.EMPTY]
    profiles, people = [case.profile for case in known], [case.row.patient for case in known]
    draws, seed = min(outcome.suite.draws, 500), outcome.suite.seed
    told = {}
    for name, allowed in FALSE_PER_SCAN.items():
        for size in (None, *SizeBin):
            found = froc.interval(profiles, people, allowed, size, draws=draws, seed=seed)
            if size is None or not math.isnan(found.value):
                told[f"{name}_{size.name.lower()}" if size else name] = figure_of(found, 1)
    return told


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


def first_run(one: Tested) -> Sequence[Measured]:
    """Return the cases of the first run that has any."""
    return next((cases for cases in one.runs if cases), ())


def _by_run(one: Tested) -> dict[tuple[int, int], Sequence[Measured]]:
    pairs = zip(one.jobs, one.runs, strict=True)
    return {(job.run.seed, job.run.fold): cases for job, cases in pairs}


def figure_of(interval: Interval, runs: int) -> Json:
    """Return a figure as the board keeps it; of several runs, a case counts once."""
    told: Json = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {**told, "n": -(-interval.n // runs), "seed_sd": math.nan, "fold_sd": math.nan}


def mean_figure(values: Sequence[float], one: Tested, outcome: Outcome) -> Json:
    """Return the mean of a figure of each of `Tested.everything`."""
    suite = outcome.suite
    interval = bootstrap_mean(values, one.patients, draws=suite.draws, seed=suite.seed)
    return figure_of(interval, len(one.runs))


def mean_of(values: Sequence[float]) -> float | None:
    """Return the mean of what is defined, None of nothing."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else None
