"""What a leaderboard says, the same in Markdown and on the page: figures, verdicts, order.

A board is the plain JSON of ``leaderboard.json``. A figure there is a mapping of ``value``,
``low``, ``high`` (95 % over patients), ``n``, ``seed_sd`` and ``fold_sd``, None where undefined.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hale.core.method import Supervision
from hale.metrics.lesion import SizeBin
from hale.metrics.together import FALSE_PER_SCAN
from hale.pipeline.evaluate import TITLES

Json = Mapping[str, Any]
Cell = tuple[float, float]
"""Volume in ml and change of intensity in SD of planted lesions."""

NOTHING = "–"
FEW = 2
"""Cohorts of so many people or fewer give figures and pictures, no ranking."""
ORACLE = "oracle"
POINTS = {
    "oracle": "oracle",
    "validation": "labelled validation",
    "alpha": "healthy only: dice_at_alpha",
    "fpr01": "healthy only: dice_at_fpr01",
}
"""The operating points whose Dice stand side by side."""
GAPS = {
    "gap_validation": "gap to labelled validation",
    "gap_alpha": "gap to dice_at_alpha",
    "gap_fpr01": "gap to dice_at_fpr01",
}
"""The calibration gap: Dice of the oracle less that of another operating point."""
SHARES = {
    "precision_oracle": "precision at the one threshold of the oracle",
    "recall_oracle": "recall at the one threshold of the oracle",
    "precision_validation": "precision at the labelled validation's threshold",
    "recall_validation": "recall at the labelled validation's threshold",
}
"""What else is told of the points whose threshold is one for all scans."""
SIZES = tuple(size.value for size in SizeBin)
GROUPS = {
    Supervision.NONE.value: "Learns from the scan itself",
    Supervision.HEALTHY.value: "Learns from healthy scans",
    Supervision.LESION_MASKS.value: "Supervised by lesion masks: not ranked with the others",
}
NO_RANKING = (
    "One or two patients: a figure and a picture each, in the order of the suite, no ranking."
)
MARKS = {"better": "▲", "worse": "▼"}
"""Drawn only where the test tells two methods apart."""
VERDICTS = {"better": "better than", "worse": "worse than", "not told apart": "not told apart from"}
HEADS = {"auprc_own": "AUPRC of the score", "auprc": "AUPRC of the map"}
"""Of the method's own score, and of the map: the standardised score where healthy scans allow."""
OWN = "_own"
"""Ends the names of figures of the own score. A map that nobody standardised is the own score."""
MORE_TITLES = {
    "auprc_own": "AUPRC in the brain, own score",
    "auroc_own": "AUROC in the brain, own score",
    "best_dice_own_oracle": "best Dice of the own score, threshold per scan (oracle)",
    "auprc_own_pooled": "AUPRC, own score, voxels of all scans together",
    "auroc_own_pooled": "AUROC, own score, voxels of all scans together",
    "healthy_l1": "healthy scans rebuilt: mean difference (1: 99th percentile of the scan)",
    "healthy_ssim": "healthy scans rebuilt: SSIM",
    "healthy_psnr": "healthy scans rebuilt: PSNR, dB",
} | {
    f"{name}_{size.name.lower()}": TITLES[name].replace("lesions", f"lesions {size.value}")
    for name in FALSE_PER_SCAN
    for size in SizeBin
}


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows of one cohort that learnt from the same."""

    title: str
    supervised: bool
    rows: Sequence[Json]


def head_of(name: str) -> str:
    """Return a figure's name as short as a column needs it."""
    return HEADS.get(name, title_of(name))


def figure_of(row: Json, name: str) -> Json | None:
    """Return a row's figure; that of the map where the map is the own score."""
    told: Json | None = row["figures"].get(name, row["figures"].get(name.removesuffix(OWN)))
    return told


def case_value(case: Json, name: str) -> float | None:
    """Return a case's figure; that of the map where the map is the own score."""
    return finite(case.get(name, case.get(name.removesuffix(OWN))))


def shown_first(board: Json) -> list[str]:
    """Return the figure that methods are compared by, then that of map or score beside it."""
    compared = board["suite"]["figure"]
    others = [name for name in HEADS if any(name in row["figures"] for row in board["rows"])]
    return [compared, *(name for name in others if name != compared)]


def value_of(figure: Json | None) -> float | None:
    """Return a figure's value, None where there is none."""
    return None if figure is None else finite(figure["value"])


def finite(number: Any) -> float | None:
    """Return a number, None for what JSON holds for NaN."""
    return None if number is None or not math.isfinite(number) else float(number)


def decimal(number: Any, places: int = 3) -> str:
    """Return a number with ``places`` decimals, a dash for none."""
    known = finite(number)
    return NOTHING if known is None else f"{known:.{places}f}".replace("-", "−")


def signed(number: Any, places: int = 3) -> str:
    """Return a difference with its sign."""
    said = decimal(number, places)
    return said if said.startswith(("−", NOTHING)) else f"+{said}"


def short(number: Any) -> str:
    """Return a number of any size in few digits."""
    known = finite(number)
    if known is None:
        return NOTHING
    return f"{known:,.0f}" if abs(known) >= 1000 else f"{known:.3g}".replace("-", "−")


def span(figure: Json | None) -> str:
    """Return the interval of a figure, empty without one."""
    if figure is None or finite(figure["low"]) is None or finite(figure["high"]) is None:
        return ""
    return f"{decimal(figure['low'])} to {decimal(figure['high'])}"


def spread(figure: Json | None) -> str:
    """Return the spread over seeds and folds, empty without one."""
    told = (("seeds", "seed_sd"), ("folds", "fold_sd"))
    known = [(name, finite((figure or {}).get(key))) for name, key in told]
    return ", ".join(f"{name} ± {decimal(sd)}" for name, sd in known if sd is not None)


def title_of(name: str) -> str:
    """Return what people call a figure; an oracle's name always says that it is one."""
    title = (TITLES | MORE_TITLES).get(name, name.replace("_", " ")).strip()
    if name in SUB_BINS:
        title = f"lesions detected, {title}"
    return f"{title} (oracle)" if ORACLE in name and ORACLE not in title else title


SUB_BINS = frozenset(f"lesion_recall_{size.name.lower()}" for size in SizeBin)
"""Figures whose title is a line below that of all lesions."""


def all_figures(row: Json) -> list[tuple[str, Json]]:
    """Return every figure of a row by its title, the operating points after the rest."""
    points = {f"Dice, {title}": name for name, title in POINTS.items()}
    told = [(title_of(name), figure) for name, figure in row["figures"].items()]
    points |= {title: name for name, title in (SHARES | GAPS).items()}
    told += [(title, row["points"].get(name)) for title, name in points.items()]
    return [(title, figure) for title, figure in told if figure is not None]


def flagged(healthy: Json | None) -> str:
    """Return how many healthy test scans were flagged, beside the range that chance explains."""
    if healthy is None:
        return NOTHING
    expected = f"{healthy['low']} to {healthy['high']}{'' if in_range(healthy) else ', outside'}"
    return f"{healthy['flagged']} of {healthy['of']} (expected {expected})"


def in_range(healthy: Json) -> bool:
    """Say whether chance explains the false alarms."""
    return bool(healthy["low"] <= healthy["flagged"] <= healthy["high"])


def is_ranked(cohort: Json) -> bool:
    """Say whether a cohort has enough people for an order of methods to mean anything."""
    return bool(cohort["people"] > FEW)


def is_supervised(row: Json) -> bool:
    """Say whether a method saw lesion masks."""
    return "lesion" in row["supervision"]


def rows_of(board: Json, cohort: Json) -> list[Json]:
    """Return the rows of a cohort in the order of the suite."""
    return [row for row in board["rows"] if row["cohort"] == cohort["name"]]


def missing_of(board: Json, cohort: Json) -> list[Json]:
    """Return what a cohort lacks, and why."""
    return [one for one in board["missing"] if one["cohort"] == cohort["name"]]


def missing_elsewhere(board: Json) -> list[Json]:
    """Return what is lacking of cohorts that the board does not list."""
    listed = {cohort["name"] for cohort in board["cohorts"]}
    return [one for one in board["missing"] if one["cohort"] not in listed]


def groups_of(board: Json, cohort: Json) -> list[Group]:
    """Return a cohort's rows by supervision, supervised last; within a group the best come first.

    Rows that lack scans come after those that do not: they were spared what they failed on. The
    suite's order stays where nothing may be ranked: few patients, no lesions.
    """
    rows = rows_of(board, cohort)
    known = [*GROUPS, *(row["supervision"] for row in rows)]
    found = sorted({row["supervision"] for row in rows}, key=known.index)
    groups = []
    for supervision in sorted(found, key=lambda name: "lesion" in name):
        members = [row for row in rows if row["supervision"] == supervision]
        if is_ranked(cohort):
            members.sort(key=lambda row: _worst_last(row, board["suite"]["figure"]))
        groups.append(
            Group(
                title=group_title(supervision),
                supervised=is_supervised(members[0]),
                rows=members,
            )
        )
    return groups


def group_title(supervision: str) -> str:
    """Return the heading of the rows that learnt from the same."""
    return GROUPS.get(supervision, f"Learns from: {supervision}")


def _worst_last(row: Json, name: str) -> tuple[bool, float]:
    value = value_of(figure_of(row, name))
    return bool(row["failed"]), math.inf if value is None else -value


def verdict_of(row: Json, cohort: Json, baseline: str) -> str:
    """Return what the test says against a method; empty where it says nothing or may not."""
    told = row["against"].get(baseline)
    return told["verdict"] if told and is_ranked(cohort) else ""


def pairs_of(row: Json) -> list[tuple[str, list[str]]]:
    """Return what the test says against each other method: a verdict's words, and the methods."""
    told = {verdict: list[str]() for verdict in VERDICTS}
    for name, pair in row["pairs"].items():
        told[pair["verdict"]].append(f"{name} ({signed(pair['difference'])})")
    return [(VERDICTS[verdict], names) for verdict, names in told.items() if names]


def tally(rows: Iterable[Json], cohort: Json, baseline: str) -> str:
    """Return how many unsupervised methods the test tells from one; empty without a test."""
    verdicts = [verdict_of(row, cohort, baseline) for row in rows if not is_supervised(row)]
    told = [verdict for verdict in verdicts if verdict]
    counts = ", ".join(f"{told.count(verdict)} {verdict}" for verdict in VERDICTS)
    against = f"against {baseline}: {counts}."
    return f"Of {_count(len(told), 'unsupervised method')}, {against}" if told else ""


def patients(cohort: Json) -> str:
    """Return how many scans of how many people a cohort holds."""
    return f"{_count(cohort['scans'], 'scan')} of {_count(cohort['people'], 'person', 'people')}"


def cells_of(rows: Iterable[Json]) -> list[Cell]:
    """Return what lesions were planted with, small and dark first."""
    told = [one for row in rows for one in row["by_lesion"]]
    return sorted({(float(one["volume_ml"]), float(one["contrast_sd"])) for one in told})


def cell_of(row: Json, cell: Cell) -> Json | None:
    """Return what a row says of lesions of one volume and change."""
    for one in row["by_lesion"]:
        if (one["volume_ml"], one["contrast_sd"]) == cell:
            return dict(one)
    return None


def duration(seconds: Any) -> str:
    """Return a time in the unit that suits it."""
    known = finite(seconds)
    if known is None:
        return NOTHING
    if known < 120:
        return f"{known:.3g} s"
    return f"{known / 60:.0f} min" if known < 7200 else f"{known / 3600:.1f} h"


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"
