"""One line of the leaderboard: a method on a cohort, over all seeds and folds, as plain JSON."""

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from hale.bench import tally
from hale.bench.card import card_of
from hale.bench.figures import figures_of
from hale.bench.outcome import Outcome
from hale.bench.over_runs import Json, Tested, figure_of, mean_figure, mean_of
from hale.bench.points import Points, points_of
from hale.bench.scenes import write_scenes
from hale.bench.suite import Kind
from hale.calibration import flagged_range
from hale.data.cohort import Entry
from hale.io.model import read_calibration
from hale.metrics import froc
from hale.metrics.bootstrap import bootstrap
from hale.metrics.evaluation import Kind as CaseKind
from hale.metrics.lesion import SizeBin
from hale.recipe import build_recipe

CURVE = 200
"""Points of a curve, at most."""
CASE = (
    "id",
    "patient",
    "kind",
    "lesion_ml",
    "auprc",
    "best_dice_oracle",
    "dice_at_alpha",
    "dice_at_fpr01",
    "hd95_mm",
    "flagged",
    "score",
)
"""What the board keeps of each case."""


def row_of(one: Tested, tested: Mapping[str, Tested], outcome: Outcome) -> Json:
    """Return the line of a method on a cohort, without comparisons.

    Args:
        one: The method on the cohort.
        tested: The same method on every cohort, by name.
        outcome: Of the suite.
    """
    cohort, entrant = one.cohort, one.entrant
    healthy = tested.get(cohort.beside or cohort.name)
    chosen_on = tested.get(cohort.validation)
    points = points_of(one.runs, None if chosen_on is None else chosen_on.runs)
    entries: Sequence[Entry] = outcome.cases[cohort.name]
    job, seen = one.first
    return {
        "method": entrant.name,
        "title": entrant.title or entrant.name,
        "supervision": str(one.jobs[0].supervision),
        "cohort": cohort.name,
        "contrast": str(cohort.contrast),
        "disease": cohort.disease,
        "kind": str(cohort.kind),
        "seeds": sorted({seed for (seed, _), cases in one.by_run.items() if cases}),
        "folds": sorted({fold for (_, fold), cases in one.by_run.items() if cases}),
        "figures": figures_of(one, healthy, outcome),
        "points": _point_figures(points, one, outcome),
        "thresholds": {"oracle": points.oracle_threshold, "validation": points.threshold},
        "healthy": _false_alarms(healthy, outcome),
        "against": {},
        "pairs": {},
        "by_lesion": _by_lesion(one, outcome),
        "by_size": {} if cohort.kind is Kind.HEALTHY else _by_size(one, outcome),
        "cases": _cases(one),
        "curves": _curves(one, healthy),
        "pictures": write_scenes(seen, job, cohort, outcome),
        "failed": [asdict(failure) for failure in one.failed],
        "card": card_of(one.jobs, cohort, entries, one.everything),
    }


def _point_figures(points: Points, one: Tested, outcome: Outcome) -> Json:
    """Return the figures of each operating point, and the Dice lost from the oracle to it."""
    told = {**points.dice, **points.shares}
    figures = {name: mean_figure(values, one, outcome) for name, values in told.items()}
    for name, values in points.dice.items():
        if name != "oracle":
            lost = [a - b for a, b in zip(points.dice["oracle"], values, strict=True)]
            figures[f"gap_{name}"] = mean_figure(lost, one, outcome)
    return figures


def _false_alarms(healthy: Tested | None, outcome: Outcome) -> Json | None:
    """Return how many healthy test scans were flagged, and how many chance explains."""
    if healthy is None or healthy.cohort.kind is not Kind.HEALTHY:
        return None
    job, cases = healthy.first
    flagged = [case.row.flagged for case in cases]
    if job.model is None or not cases or any(map(math.isnan, flagged)):
        return None
    files, _ = read_calibration(job.model)
    if files.calibration is None:
        return None
    settings = build_recipe(tomllib.loads(files.recipe)).calibration
    people = files.calibration["maxima"].size
    low, high = flagged_range(settings.alpha, people, len(cases))
    total = int(sum(flagged))
    return {"flagged": total, "of": len(cases), "low": low, "high": high, "alpha": settings.alpha}


def _by_lesion(one: Tested, outcome: Outcome) -> list[Json]:
    """Return the figures of each cell of planted lesions."""
    cells = sorted({case.spot for case in one.everything if case.spot is not None})
    lines = []
    for volume, contrast in cells:
        inside = [case.row if case.spot == (volume, contrast) else None for case in one.everything]
        names: dict[str, Callable[[Any], float]] = {
            "auprc": lambda row: row.auprc,
            "best_dice_oracle": lambda row: row.best_dice_oracle,
            "dice_at_alpha": lambda row: row.dice_at_alpha,
            "recall_at_alpha": lambda row: row.recall_at_alpha,
            "flagged": lambda row: row.flagged,
            "detected": lambda row: row.lesions_detected,
        }
        figures = {
            name: mean_figure([math.nan if r is None else get(r) for r in inside], one, outcome)
            for name, get in names.items()
        }
        count = len({row.id for row in inside if row is not None})
        lines.append({"volume_ml": volume, "contrast_sd": contrast, "n": count, "figures": figures})
    return lines


def _by_size(one: Tested, outcome: Outcome) -> Json:
    """Return the share of lesions detected by the mask, by their size."""
    suite = outcome.suite
    known = [case.row for case in one.everything if case.row.counts is not None]
    told = {}
    for size in SizeBin:
        hits = np.array([_of_size(row.counts, size) for row in known]).reshape(-1, 2)

        def share(at: np.ndarray, hits: np.ndarray = hits) -> float:
            there, found = hits[at].sum(0)
            return float(found / there) if there else math.nan

        people = [row.patient for row in known]
        interval = bootstrap(share, people, draws=suite.draws, seed=suite.seed)
        once = {row.id: int(there) for row, there in zip(known, hits[:, 0], strict=True)}
        told[size.value] = figure_of(interval, n=sum(once.values()))
    return told


def _of_size(counts: Any, size: SizeBin) -> tuple[int, int]:
    """Return how many lesions of a size there are, and how many are detected."""
    pairs = zip(counts.detected, counts.volumes_ml, strict=True)
    hits = [hit for hit, volume in pairs if SizeBin.of(volume) is size]
    return len(hits), sum(hits)


def _cases(one: Tested) -> list[Json]:
    """Return the figures of each case, means over the runs that have it."""
    by_id: dict[str, list[Json]] = {}
    for case in one.everything:
        known = {name: getattr(case.row, name, math.nan) for name in CASE}
        told = {**known, "kind": str(case.row.kind), **case.own}
        by_id.setdefault(case.row.id, []).append(told)
    return [
        {
            name: value if isinstance(value, str) else mean_of([told[name] for told in some])
            for name, value in some[0].items()
        }
        for some in by_id.values()
    ]


def _curves(one: Tested, healthy: Tested | None) -> Json:
    """Return precision over recall, and recall over false findings a scan, of the first run."""
    beside = [] if healthy is None or healthy is one else healthy.first_run
    cases = one.first_run
    recall, precision = tally.precision_recall([case.tallies["map"] for case in cases])
    told = [c for c in (*cases, *beside) if c.row.kind is not CaseKind.EMPTY]
    curve = froc.froc([case.profile for case in told])
    return {
        "pr": _thinned(recall=recall, precision=precision),
        "froc": _thinned(false_per_scan=curve.false_per_scan, recall=curve.recall),
    }


def _thinned(**arrays: np.ndarray) -> dict[str, list[float]]:
    """Return at most `CURVE` points of a curve, the ends among them."""
    count = len(next(iter(arrays.values())))
    if not count:
        return {name: [] for name in arrays}
    at = np.unique(np.linspace(0, count - 1, min(count, CURVE)).astype(int))
    return {name: [round(float(x), 5) for x in values[at]] for name, values in arrays.items()}
