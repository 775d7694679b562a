"""The outcome of a published experiment beside what was published, and what must be said of it."""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from hale.pipeline.experiment import Experiment, Patients, Policy, Spread
from hale.pipeline.seen import BELOW
from hale.pipeline.versions import versions
from hale.pipeline.volumes import Outcome, Row
from hale.pipeline.workers import Failure

TABLE, SUMMARY, TEXT = "cases.tsv", "summary.json", "summary.md"
FIGURES = ("auprc_grid", "auprc_brain")
TITLES = {
    f"dice_{Policy.BEST_VAL}": "Dice, threshold of labelled validation",
    f"dice_{Policy.BEST_VAL_EXACT}": "Dice, exact threshold of labelled validation",
    f"dice_{Policy.HEALTHY_FPR}": "Dice, threshold of healthy scans",
    f"dice_{Policy.ORACLE}": "best Dice, threshold per volume (oracle)",
    "auprc_grid": "AUPRC over the whole grid",
    "auprc_brain": "AUPRC over voxels of brain or lesion",
}
OWN_PREPARATION = (
    "expect about 40 % Dice on BraTS21 T2w with a preparation of one's own: independent runs of the"
    " public code had 41 to 42 %; 49 to 50 % take the scans as the authors prepared them"
)
"""Of the diffusion models (shared protocol; issues 7 and 8 of the public code)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fold:
    """What came of one fold."""

    number: int
    model_sha256: str
    provenance: Mapping[str, Any]
    """Of the model."""
    outcomes: Mapping[Patients, Outcome]
    failed: tuple[Failure, ...]
    """Healthy scans."""
    remarks: tuple[str, ...]
    """Of the lists."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reproduction:
    """What came of an experiment."""

    experiment: Experiment
    template: Path | None
    published_lists: bool
    folds: tuple[Fold, ...] = ()

    @property
    def figures(self) -> tuple[str, ...]:
        """Return the names of all figures."""
        return (*(f"dice_{policy}" for policy in self.experiment.thresholds), *FIGURES)

    @property
    def data(self) -> tuple[Patients, ...]:
        """Return the data sets that were there."""
        return tuple(self.folds[0].outcomes)

    def published(self, name: Patients, figure: str) -> Spread | None:
        """Return what was published of a figure, in per cent."""
        figures = self.experiment.published.get(name)
        called = {f"dice_{Policy.BEST_VAL}": "dice", "auprc_grid": "auprc"}.get(figure)
        return figures.of(called) if figures and called else None

    def means(self, name: Patients, figure: str) -> dict[int, float]:
        """Return the mean over test volumes of each fold, in per cent; NaN: it has none."""
        return {f.number: 100 * mean_of(f.outcomes[name].test, figure) for f in self.folds}

    def found(self, name: Patients, figure: str) -> Spread:
        """Return mean and standard deviation over folds, in per cent."""
        means = np.array([*self.means(name, figure).values()])
        return Spread(float(means.mean()), float(means.std(ddof=1)) if len(means) > 1 else None)


def value_of(row: Row, figure: str) -> float:
    """Return a figure of a volume."""
    if figure in FIGURES:
        return float(getattr(row, figure))
    return row.dice[Policy(figure.removeprefix("dice_"))]


def mean_of(rows: Sequence[Row], figure: str) -> float:
    """Return the mean over the volumes that have a figure; NaN: none has."""
    values = [value for row in rows if not math.isnan(value := value_of(row, figure))]
    return fmean(values) if values else math.nan


def labels(result: Reproduction) -> list[str]:
    """Return what must be said beside the figures, a sentence each."""
    experiment, first = result.experiment, result.folds[0]
    asked, ran = [*experiment.folds], [fold.number for fold in result.folds]
    which = "all that were published" if asked == ran else f"published: {_listed(asked)}"
    lists = "kept as published" if result.published_lists else "each person once, test first"
    template = "MNI152" if result.template is None else result.template.name
    said = [
        *_policies(result),
        f"means over test volumes, then over folds; ± is the deviation of folds, here of"
        f" {_listed(ran)} ({which})",
        f"all on the model's grid; registered to {template}; published: SRI24",
        f"lists of persons: {lists}",
        *dict.fromkeys(remark for fold in result.folds for remark in fold.remarks),
        *(line for fold in result.folds for line in _cut_short(fold)),
        *_left_out(result),
        *experiment.notes,
    ]
    return [*said, OWN_PREPARATION] if Patients.BRATS in first.outcomes else said


def _policies(result: Reproduction) -> Iterator[str]:
    """Yield which set chose each threshold."""
    experiment = result.experiment
    for policy in experiment.thresholds:
        if policy is Policy.ORACLE:
            yield f"dice_{policy}: chosen for each test volume by its own lesion: an upper bound"
            continue
        volumes = {
            name: _range([fold.outcomes[name].cuts[policy].volumes for fold in result.folds])
            for name in result.data
        }
        if policy is Policy.HEALTHY_FPR:
            count = next(iter(volumes.values()))
            rate = f"marks {100 * experiment.rate:g} % of the brain of {count} healthy scans"
            yield f"dice_{policy}: one threshold, which {rate} of IXI_val; sees no lesion"
        else:
            where = ", ".join(f"{name}_val ({count})" for name, count in volumes.items())
            yield f"dice_{policy}: a threshold a data set, chosen by the lesions of {where}"


def _cut_short(fold: Fold) -> Iterator[str]:
    """Yield which trainings a budget ended."""
    parts = {"model": fold.provenance, **{k: fold.provenance.get(k, {}) for k in BELOW}}
    for name, part in parts.items():
        fit = part.get("fit", {})
        if not fit.get("finished", True):
            yield f"fold {fold.number}: its {name} was cut short, after {fit['steps_done']} steps"


def _left_out(result: Reproduction) -> Iterator[str]:
    """Yield which volumes have no figure, and why."""
    for fold in result.folds:
        for failure in fold.failed:
            yield f"fold {fold.number}: healthy {failure.id} failed: {failure.reason}"
        for name, outcome in fold.outcomes.items():
            for failure in outcome.failed:
                yield f"fold {fold.number}: {name} {failure.id} failed: {failure.reason}"
    for name, outcome in result.folds[0].outcomes.items():
        if empty := sum(row.lesion_ml == 0 for row in outcome.test):
            yield f"{name}: {empty} test volumes have no lesion on the grid, and no figure"


def write_reproduction(folder: Path, result: Reproduction) -> None:
    """Write ``cases.tsv`` (a row a volume), ``summary.json`` and ``summary.md``."""
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        columns = ("fold", "data", "list", "id", "person", "lesion_ml", *result.figures, "score")
        writer.writerow(columns)
        writer.writerows(_rows(result))
    text = json.dumps(summary_of(result), indent=2, allow_nan=False) + "\n"
    (folder / SUMMARY).write_text(text, encoding="utf-8")
    (folder / TEXT).write_text(text_of(result), encoding="utf-8")


def _rows(result: Reproduction) -> Iterator[list[str]]:
    """Yield the rows of the table."""
    for fold in result.folds:
        for name, outcome in fold.outcomes.items():
            for part, rows in (("val", outcome.validation), ("test", outcome.test)):
                for row in rows:
                    values = [row.lesion_ml, *(value_of(row, f) for f in result.figures), row.score]
                    cells = ["n/a" if math.isnan(value) else f"{value:.6g}" for value in values]
                    yield [str(fold.number), name, part, row.id, row.person, *cells]


def summary_of(result: Reproduction) -> dict[str, Any]:
    """Return the figures as plain JSON; NaN is None."""
    return {
        "experiment": result.experiment.resolved(),
        "unit": "%, but thresholds",
        "labels": labels(result),
        "models": {str(fold.number): fold.model_sha256 for fold in result.folds},
        "data": {name: _summary_of(result, name) for name in result.data},
        **versions(),
    }


def _summary_of(result: Reproduction, name: Patients) -> dict[str, Any]:
    """Return the figures of a data set."""
    outcomes = {str(fold.number): fold.outcomes[name] for fold in result.folds}
    figures = {}
    for figure in result.figures:
        published = result.published(name, figure)
        found = result.found(name, figure)
        figures[figure] = {
            "published": None if published is None else published._asdict(),
            "found": {key: _number(value) for key, value in found._asdict().items()},
            "folds": {str(n): _number(v) for n, v in result.means(name, figure).items()},
        }
    return {
        "test_volumes": {number: len(outcome.test) for number, outcome in outcomes.items()},
        "thresholds": {
            number: {
                policy: {"threshold": cut.threshold, "volumes": cut.volumes}
                for policy, cut in outcome.cuts.items()
            }
            for number, outcome in outcomes.items()
        },
        "figures": figures,
    }


def text_of(result: Reproduction) -> str:
    """Return the figures for people, as Markdown."""
    experiment = result.experiment
    lines = [f"# {experiment.title}", "", f"{experiment.reference}. {experiment.contrast}, in %."]
    lines += ["", "| data set | figure | published | here |", "|---|---|---|---|"]
    for name in result.data:
        for figure in result.figures:
            published, here = result.published(name, figure), result.found(name, figure)
            lines.append(f"| {name} | {TITLES[figure]} | {published or ''} | {here} |")
    lines += ["", *(f"- {label}" for label in labels(result))]
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _range(counts: Sequence[int]) -> str:
    """Return the count of all folds, or the fewest and the most."""
    first, last = min(counts), max(counts)
    return str(first) if first == last else f"{first} to {last}"


def _listed(numbers: Sequence[int]) -> str:
    return f"fold{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
