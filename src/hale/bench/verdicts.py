"""Which methods the test tells apart: each from the baseline, and each from each."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations

import numpy as np

from hale.bench.over_runs import Json, Tested
from hale.bench.suite import Kind, Suite
from hale.bench.words import is_supervised
from hale.metrics import compare

ByCase = Mapping[tuple[str, str], float]
"""A figure by id and patient."""
OPPOSITE = {
    compare.Verdict.BETTER: compare.Verdict.WORSE,
    compare.Verdict.WORSE: compare.Verdict.BETTER,
    compare.Verdict.ALIKE: compare.Verdict.ALIKE,
}


def mean_by_case(one: Tested, figure: str) -> ByCase:
    """Return a figure of each case, the mean over runs."""
    values: dict[tuple[str, str], list[float]] = {}
    for case in one.everything:
        value = case.own.get(figure)
        if value is None:  # a map that is no calibrated one is its own score
            value = getattr(case.row, figure.replace("_own", ""))
        values.setdefault((case.row.id, case.row.patient), []).append(value)
    return {key: float(np.mean(some)) for key, some in values.items()}


def compare_methods(
    rows: Sequence[Json], by_case: Mapping[str, Mapping[str, ByCase]], suite: Suite
) -> None:
    """Put into each row whether its method differs from the baseline, and from each other.

    Corrected for the number of methods, and of pairs.

    Args:
        rows: Of all cohorts.
        by_case: By cohort and method, the figure that methods are compared by.
        suite: What is the baseline, what the figure.
    """
    for cohort in suite.cohorts:
        if cohort.kind is Kind.HEALTHY:
            continue
        methods = by_case[cohort.name]
        here = {row["method"]: row for row in rows if row["cohort"] == cohort.name}
        if base := methods.get(suite.baseline):
            _against_baseline(here, methods, base, suite)
        _each_pair(here, methods, suite)


def _against_baseline(
    rows: Mapping[str, Json], methods: Mapping[str, ByCase], base: ByCase, suite: Suite
) -> None:
    compared = {
        name: _compared(figures, base, suite.seed)
        for name, figures in methods.items()
        if name != suite.baseline
    }
    judged = compare.judge(compared)
    for name, one in compared.items():
        told = {"figure": suite.figure, **asdict(one), "p_holm": judged[name].p_holm}
        rows[name]["against"] = {suite.baseline: {**told, "verdict": str(judged[name].verdict)}}


def _each_pair(rows: Mapping[str, Json], methods: Mapping[str, ByCase], suite: Suite) -> None:
    """Judge all pairs as one family; who learns from lesions is compared with such alone."""
    compared = {
        (a, b): _compared(methods[a], methods[b], suite.seed)
        for a, b in combinations(methods, 2)
        if is_supervised(rows[a]) == is_supervised(rows[b])
    }
    for (a, b), one in compare.judge(compared).items():
        difference = compared[a, b].difference
        rows[a]["pairs"][b] = _pair(difference, one.p_holm, one.verdict)
        rows[b]["pairs"][a] = _pair(-difference, one.p_holm, OPPOSITE[one.verdict])


def _pair(difference: float, p_holm: float, verdict: compare.Verdict) -> Json:
    return {"difference": difference, "p_holm": p_holm, "verdict": str(verdict)}


def _compared(ours: ByCase, theirs: ByCase, seed: int) -> compare.Comparison:
    """Compare two methods on the cases that both have."""
    both = [key for key in ours if key in theirs]
    return compare.paired(
        [ours[key] for key in both],
        [theirs[key] for key in both],
        [patient for _, patient in both],
        seed=seed,
    )
