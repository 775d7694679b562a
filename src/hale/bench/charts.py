"""Where the marks of the leaderboard's charts lie, SVG user units; the templates draw them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from hale.bench.words import Json, case_value, figure_of, finite

DICE = {
    "best_dice_oracle": "best Dice of the map (oracle)",
    "dice_at_alpha": "dice_at_alpha",
    "dice_at_fpr01": "dice_at_fpr01",
}
"""What strips can show of every case beside what methods are compared by, all from 0 to 1."""
TONES, DASHES = 6, 4
"""Colours and dashes that methods' curves take in turn: 24 methods look different."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A straight axis: which values its ends stand for, and where they lie."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Return where ``value`` lies, the nearer end if it is beyond."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


@dataclass(frozen=True, kw_only=True)
class Doubling(Axis):
    """An axis on which a doubling is always as long."""

    def at(self, value: float) -> float:
        """Return where ``value`` lies, the nearer end if it is beyond."""
        low, high = math.log2(self.low), math.log2(self.high)
        inside = math.log2(min(max(value, self.low), self.high))
        return round(self.start + (inside - low) / (high - low) * (self.end - self.start), 1)


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A chart of curves, one a method."""

    name: str
    title: str
    x_title: str
    y_title: str
    x_key: str
    y_key: str
    x: Axis
    y: Axis

    def path(self, curves: Json) -> str:
        """Return the ``d`` of a row's curve; empty where it has none.

        It never turns back: as a threshold sinks, false findings merge and become fewer, and what
        counts is how many lesions were found before they exceeded a number for the first time.
        """
        told = curves.get(self.name) or {}
        pairs = zip(told.get(self.x_key) or (), told.get(self.y_key) or (), strict=False)
        read = [(finite(x), finite(y)) for x, y in pairs]
        known = [(x, y) for x, y in read if x is not None and y is not None]
        furthest = accumulate((x for x, _ in known), max)
        known = [(x, y) for x, (_, y) in zip(furthest, known, strict=True)]
        before = [pair for pair in known if pair[0] < self.x.low][-1:]
        within = [pair for pair in known if self.x.low <= pair[0] <= self.x.high]
        spots = [f"{self.x.at(x)} {self.y.at(y)}" for x, y in before + within]
        return f"M{' L'.join(spots)}" if len(spots) > 1 else ""


UNIT = (0.0, 0.25, 0.5, 0.75, 1.0)
STRIP = Axis(low=0.0, high=1.0, start=8.0, end=202.0, ticks=UNIT)
"""Of the strips: 210 wide."""
MIDDLE, STEP = 17, 4.5
"""Height of a strip's middle, and of what keeps dots of one value apart."""
HALVES = (0.125, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
UPWARDS = Axis(low=0.0, high=1.0, start=262.0, end=12.0, ticks=UNIT)
PLOTS = (
    Plot(
        name="pr",
        title="Precision and recall of voxels",
        x_title="recall",
        y_title="precision",
        x_key="recall",
        y_key="precision",
        x=Axis(low=0.0, high=1.0, start=44.0, end=434.0, ticks=UNIT),
        y=UPWARDS,
    ),
    Plot(
        name="froc",
        title="FROC: lesions found, false components a scan",
        x_title="false components a scan",
        y_title="lesions found",
        x_key="false_per_scan",
        y_key="recall",
        x=Doubling(low=0.125, high=16.0, start=44.0, end=434.0, ticks=HALVES),
        y=UPWARDS,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A case on a strip."""

    case: int
    """Its place among all cases of the cohort: the same in every row."""
    id: str
    lesion_ml: float | None
    values: tuple[float | None, ...]
    """Of what the strips can show, in its order."""
    x: float
    y: float
    shown: bool
    """Whether the first measure is defined; another one may be where it is not."""


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A row's figure on a strip."""

    x: float | None
    low: float | None
    high: float | None


def dots_of(row: Json, names: Sequence[str], places: dict[str, int]) -> list[Dot]:
    """Return the cases of a row; ``places`` numbers the ids of the whole cohort."""
    dots = []
    for case in row["cases"]:
        values = tuple(case_value(case, name) for name in names)
        if all(value is None for value in values):
            continue
        place = places.setdefault(case["id"], len(places))
        dots.append(
            Dot(
                case=place,
                id=case["id"],
                lesion_ml=finite(case["lesion_ml"]),
                values=values,
                x=STRIP.at(values[0] or 0.0),
                y=MIDDLE + STEP * (place * 3 % 5 - 2),
                shown=values[0] is not None,
            )
        )
    return dots


def means_of(row: Json, names: Sequence[str]) -> list[Mean]:
    """Return where the strip's mark and interval lie for each figure."""
    return [_mean(figure_of(row, name)) for name in names]


def _mean(figure: Json | None) -> Mean:
    ends: Sequence[float | None] = [
        None if figure is None or (known := finite(figure[key])) is None else STRIP.at(known)
        for key in ("value", "low", "high")
    ]
    return Mean(x=ends[0], low=ends[1], high=ends[2])


def look(place: int) -> str:
    """Return the classes of the ``place``-th method's curve."""
    return f"tone{place % TONES} dash{place // TONES % DASHES}"
