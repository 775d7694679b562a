"""A figure of several runs, over seeds and folds: its mean, its interval and its spread.

Scans of two models are never ranked together: each run has a figure of its own. In the interval all
cases of a patient, of all runs, are drawn together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hale.bench.measured import Measured
from hale.bench.outcome import Outcome
from hale.bench.plan import Job
from hale.bench.suite import Cohort, Entrant
from hale.metrics import compare
from hale.metrics.bootstrap import Interval, Statistic, bootstrap_mean
from hale.pipeline.workers import Failure

Json = dict[str, Any]
SeedFold = tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tested:
    """One method on one cohort: the runs over seeds and folds, and what each measured."""

    entrant: Entrant
    cohort: Cohort
    jobs: Sequence[Job]
    """Those that have a model of this suite, or need none."""
    runs: Sequence[Sequence[Measured]]
    """Of each job, one per case."""
    failed: Sequence[Failure]

    @property
    def by_run(self) -> dict[SeedFold, Sequence[Measured]]:
        """Return the cases of each run."""
        pairs = zip(self.jobs, self.runs, strict=True)
        return {(job.run.seed, job.run.fold): cases for job, cases in pairs}

    @property
    def everything(self) -> list[Measured]:
        """Return the cases of all runs."""
        return [one for cases in self.runs for one in cases]

    @property
    def patients(self) -> list[str]:
        """Return whose each case of `everything` is."""
        return [one.row.patient for one in self.everything]

    @property
    def first(self) -> tuple[Job, Sequence[Measured]]:
        """Return the first run that has cases, and these; the very first if none has."""
        pairs = list(zip(self.jobs, self.runs, strict=True))
        return next((pair for pair in pairs if pair[1]), pairs[0])

    @property
    def first_run(self) -> Sequence[Measured]:
        """Return the cases of that run."""
        return self.first[1]


def figure_of(
    interval: Interval, *, n: int | None = None, runs: Mapping[SeedFold, float] | None = None
) -> Json:
    """Return a figure as the board keeps it.

    Args:
        interval: Value and ends.
        n: Cases that it is over, each once however many runs; None: what the interval says.
        runs: Its value in each run, which the spread is of.
    """
    spread = compare.spread(runs or {})
    told = {"value": interval.value, "low": interval.low, "high": interval.high}
    told["n"] = interval.n if n is None else n
    return {**told, "seed_sd": spread.seed_sd, "fold_sd": spread.fold_sd}


def mean_figure(values: Sequence[float], one: Tested, outcome: Outcome) -> Json:
    """Return the mean of a figure of each of `Tested.everything`."""
    suite = outcome.suite
    interval = bootstrap_mean(values, one.patients, draws=suite.draws, seed=suite.seed)
    known = {
        case.row.id
        for case, value in zip(one.everything, values, strict=True)
        if not math.isnan(value)
    }
    left, runs = iter(values), dict[SeedFold, float]()
    for key, cases in one.by_run.items():
        runs[key] = mean_of([next(left) for _ in cases])
    return figure_of(interval, n=len(known), runs=runs)


def mean_statistic(statistics: Sequence[Statistic], sizes: Sequence[int]) -> Statistic:
    """Return the mean over runs of a figure of each, for a bootstrap of the cases of all.

    Args:
        statistics: Of each run, from indices of its own cases.
        sizes: How many cases it has.
    """
    run = np.repeat(np.arange(len(sizes)), sizes)
    place = np.concatenate([np.arange(size) for size in sizes] or [np.zeros(0, np.intp)])

    def mean(at: np.ndarray) -> float:
        drawn = [place[at[run[at] == number]] for number in range(len(sizes))]
        return mean_of([of(cases) for of, cases in zip(statistics, drawn, strict=True)])

    return mean


def mean_of(values: Sequence[float]) -> float:
    """Return the mean of what is defined, NaN of nothing."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
