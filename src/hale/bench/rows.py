"""One line of the leaderboard: a method on a cohort, over all seeds and folds, as plain JSON."""

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hale.bench import tally
from hale.bench.card import card_of
from hale.bench.measure import Measured
from hale.bench.plan import Job
from hale.bench.points import Points, points_of
from hale.bench.run import Outcome
from hale.bench.scenes import write_scenes
from hale.bench.suite import Cohort, Entrant, Kind
from hale.calibration import flagged_range
from hale.core.method import Supervision
from hale.data.cohort import Entry
from hale.io.model import is_model, read_about
from hale.metrics import compare, froc
from hale.metrics.bootstrap import Interval, bootstrap, bootstrap_mean
from hale.metrics.evaluation import summarise
from hale.metrics.lesion import SizeBin
from hale.pipeline.workers import Failure
from hale.recipe import build_recipe

Json = dict[str, Any]
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
    return {
        "method": entrant.name,
        "title": entrant.title or entrant.name,
        "supervision": str(one.jobs[0].supervision),
        "trained": one.jobs[0].supervision is not Supervision.NONE,
        "cohort": cohort.name,
        "contrast": str(cohort.contrast),
        "disease": cohort.disease,
        "kind": str(cohort.kind),
        "seeds": sorted({job.run.seed for job in one.jobs}),
        "folds": sorted({job.run.fold for job in one.jobs}),
        "figures": _figures(one, healthy, outcome),
        "points": _point_figures(points, one, outcome),
        "thresholds": {"oracle": points.oracle_threshold, "validation": points.threshold},
        "healthy": _false_alarms(healthy, outcome),
        "against": {},
        "by_lesion": _by_lesion(one, outcome),
        "by_size": _by_size(one, outcome),
        "cases": [_case(case) for case in one.runs[0]],
        "curves": _curves(one),
        "pictures": write_scenes(one.runs[0], one.jobs[0], cohort, outcome),
        "failed": [asdict(failure) for failure in one.failed],
        "card": card_of(one.jobs, cohort, entries, _mean([c.seconds for c in one.everything])),
    }


def _figures(one: Tested, healthy: Tested | None, outcome: Outcome) -> Json:
    """Return all figures with intervals over patients and the spread over seeds and folds."""
    suite = outcome.suite
    beside = [] if healthy is None or healthy is one else healthy.everything
    rows = [case.row for case in [*one.everything, *beside]]
    summary = summarise(rows, draws=suite.draws, seed=suite.seed)
    figures = {name: _figure(interval, len(one.runs)) for name, interval in summary.items()}
    for (seed, fold), cases in _by_run(one).items():
        for name, interval in summarise([c.row for c in cases], draws=2, seed=0).items():
            figures[name].setdefault("runs", {})[f"{seed},{fold}"] = interval.value
    people = one.patients
    for name in sorted({name for case in one.everything for name in case.own}):
        values = [case.own.get(name, math.nan) for case in one.everything]
        interval = bootstrap_mean(values, people, draws=suite.draws, seed=suite.seed)
        figures[name] = _figure(interval, len(one.runs))
        for (seed, fold), cases in _by_run(one).items():
            defined = [case.own[name] for case in cases if not math.isnan(case.own[name])]
            figures[name].setdefault("runs", {})[f"{seed},{fold}"] = _mean(defined)
    for kind, name in (("map", "auprc_pooled"), ("own", "auprc_own_pooled")):
        if one.everything and all(kind in case.tallies for case in one.everything):
            figures[name] = _pooled(one, kind, outcome)
    for figure in figures.values():
        values = figure.pop("runs", {})
        keyed = {tuple(map(int, key.split(","))): value for key, value in values.items()}
        spread = compare.spread({(k[0], k[1]): v for k, v in keyed.items() if v is not None})
        figure |= {"seed_sd": spread.seed_sd, "fold_sd": spread.fold_sd}
    return figures


def _pooled(one: Tested, kind: str, outcome: Outcome) -> Json:
    """Return the average precision over the voxels of all cases as if of one, mean over runs."""
    people = [case.row.patient for case in one.runs[0]]
    counts = [tally.dense([case.tallies[kind] for case in cases]) for cases in one.runs]

    groups = [tally.grouped(part) for part in counts]

    def mean(at: np.ndarray) -> float:
        return float(np.mean([tally.average_precision(part, at) for part in groups]))

    suite = outcome.suite
    interval = bootstrap(mean, people, draws=min(suite.draws, 1000), seed=suite.seed)
    keys = _by_run(one)
    alone = [tally.average_precision(part, np.arange(len(people))) for part in counts]
    values = {f"{seed},{fold}": value for (seed, fold), value in zip(keys, alone, strict=True)}
    return {**_figure(interval, 1), "value": float(np.mean(alone)), "runs": values}


def _by_run(one: Tested) -> dict[tuple[int, int], Sequence[Measured]]:
    pairs = zip(one.jobs, one.runs, strict=True)
    return {(job.run.seed, job.run.fold): cases for job, cases in pairs}


def _figure(interval: Interval, runs: int) -> Json:
    told: Json = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {**told, "n": interval.n // runs, "seed_sd": math.nan, "fold_sd": math.nan}


def _mean_figure(values: Sequence[float], one: Tested, outcome: Outcome) -> Json:
    suite = outcome.suite
    interval = bootstrap_mean(values, one.patients, draws=suite.draws, seed=suite.seed)
    return _figure(interval, len(one.runs))


def _point_figures(points: Points, one: Tested, outcome: Outcome) -> Json:
    """Return the Dice at each operating point, and what is lost from the oracle to it."""
    figures = {name: _mean_figure(values, one, outcome) for name, values in points.dice.items()}
    for name, values in points.dice.items():
        if name != "oracle":
            lost = [a - b for a, b in zip(points.dice["oracle"], values, strict=True)]
            figures[f"gap_{name}"] = _mean_figure(lost, one, outcome)
    return figures


def _false_alarms(healthy: Tested | None, outcome: Outcome) -> Json | None:
    """Return how many healthy test scans were flagged, and how many chance explains."""
    if healthy is None or healthy.cohort.kind is not Kind.HEALTHY or not healthy.runs[0]:
        return None
    job, cases = healthy.jobs[0], healthy.runs[0]
    flagged = [case.row.flagged for case in cases]
    if job.model is None or not is_model(job.model) or any(map(math.isnan, flagged)):
        return None
    files, _ = read_about(job.model)
    settings = build_recipe(tomllib.loads(files.recipe)).calibration
    n = len(set(files.provenance.get("calibrate", {}).get("scans", ())))
    low, high = flagged_range(settings.alpha, n, len(cases))
    total = int(sum(flagged))
    return {"flagged": total, "of": len(cases), "low": low, "high": high, "alpha": settings.alpha}


def _by_lesion(one: Tested, outcome: Outcome) -> list[Json]:
    """Return the figures of each cell of planted lesions."""
    cells = sorted({case.spot for case in one.everything if case.spot is not None})
    lines = []
    for volume, contrast in cells:
        inside = [
            (case.row if (case.spot == (volume, contrast)) else None) for case in one.everything
        ]
        names: dict[str, Callable[[Any], float]] = {
            "auprc": lambda row: row.auprc,
            "best_dice_oracle": lambda row: row.best_dice_oracle,
            "dice_at_alpha": lambda row: row.dice_at_alpha,
            "recall_at_alpha": lambda row: row.recall_at_alpha,
            "flagged": lambda row: row.flagged,
            "detected": lambda row: row.lesions_detected,
        }
        figures = {
            name: _mean_figure([math.nan if r is None else get(r) for r in inside], one, outcome)
            for name, get in names.items()
        }
        count = sum(row is not None for row in inside) // len(one.runs)
        lines.append({"volume_ml": volume, "contrast_sd": contrast, "n": count, "figures": figures})
    return lines


def _by_size(one: Tested, outcome: Outcome) -> Json:
    """Return the share of lesions detected by the mask, by their size."""
    suite = outcome.suite
    counted = [(case.row.counts, case.row.patient) for case in one.everything]
    known = [(counts, patient) for counts, patient in counted if counts is not None]
    told = {}
    for size in SizeBin:
        hits = np.array(
            [[sum(SizeBin.of(v) is size for v in c.volumes_ml), _hits(c, size)] for c, _ in known]
        ).reshape(-1, 2)

        def share(at: np.ndarray, hits: np.ndarray = hits) -> float:
            there, found = hits[at].sum(0)
            return float(found / there) if there else math.nan

        people = [patient for _, patient in known]
        interval = bootstrap(share, people, draws=suite.draws, seed=suite.seed)
        told[size.value] = {**_figure(interval, 1), "n": int(hits[:, 0].sum()) // len(one.runs)}
    return told


def _hits(counts: Any, size: SizeBin) -> int:
    pairs = zip(counts.detected, counts.volumes_ml, strict=True)
    return sum(hit for hit, volume in pairs if SizeBin.of(volume) is size)


def _case(case: Measured) -> Json:
    known = {name: getattr(case.row, name, math.nan) for name in CASE}
    return {**known, "kind": str(case.row.kind), **case.own}


def _curves(one: Tested) -> Json:
    """Return precision over recall, and recall over false findings a scan, of the first run."""
    cases = one.runs[0]
    recall, precision = tally.precision_recall([case.tallies["map"] for case in cases])
    curve = froc.froc([case.profile for case in cases])
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


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else None
