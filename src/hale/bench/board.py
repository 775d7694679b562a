"""From the figures of cases to the leaderboard, as plain JSON: see `leaderboard` for its keys."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hale.bench import tally
from hale.bench.card import card_of, made
from hale.bench.markdown import write_markdown
from hale.bench.measure import Measured, measured
from hale.bench.page import write_page
from hale.bench.plan import Job
from hale.bench.points import Points, points_of
from hale.bench.run import Outcome, entries_for
from hale.bench.scenes import write_scenes
from hale.bench.suite import Cohort, Entrant, Kind
from hale.calibration import flagged_range
from hale.data.cohort import Entry
from hale.io.cache import key_of
from hale.io.model import is_model, read_about
from hale.metrics import compare, froc
from hale.metrics.bootstrap import Interval, bootstrap, bootstrap_mean
from hale.metrics.evaluation import summarise
from hale.metrics.lesion import SizeBin
from hale.pipeline.job import Options
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
    rows = [_row(one, tested, outcome) for one in tested.values()]
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


def _row(one: Tested, tested: Mapping[tuple[str, str], Tested], outcome: Outcome) -> Json:
    """Return the line of a method on a cohort, without comparisons."""
    cohort, entrant = one.cohort, one.entrant
    healthy = tested.get((entrant.name, cohort.beside or cohort.name))
    chosen_on = tested.get((entrant.name, cohort.validation))
    points = points_of(one.runs, None if chosen_on is None else chosen_on.runs)
    entries: Sequence[Entry] = outcome.cases[cohort.name]
    return {
        "method": entrant.name,
        "title": entrant.title or entrant.name,
        "supervision": str(one.jobs[0].supervision),
        "trained": any(job.model is not None for job in one.jobs),
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
    settings = build_recipe(_toml(files.recipe)).calibration
    n = len(set(files.provenance.get("calibrate", {}).get("scans", ())))
    low, high = flagged_range(settings.alpha, n, len(cases))
    total = int(sum(flagged))
    return {"flagged": total, "of": len(cases), "low": low, "high": high, "alpha": settings.alpha}


def _toml(text: str) -> Mapping[str, Any]:
    import tomllib

    return tomllib.loads(text)


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


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else None


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it: NaN and infinities are null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
