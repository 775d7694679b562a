"""Operating points: one threshold for all cases, from four sources, and what Dice cases have there.

- *oracle*: the threshold of the highest mean Dice on the very cases that are scored. Nobody has it.
- *validation*: that threshold of another cohort, of other patients whose lesions are known.
- *alpha* and *fpr01*: healthy scans alone, no lesion seen: the mask, and the voxels with p <= 0.01.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hale.bench.measured import Measured
from hale.bench.tally import Tally, best_level, dice_at, precision_at, recall_at, threshold_of

Runs = Sequence[Sequence[Measured]]
"""Cases of each run of a method."""
NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Points:
    """Dice of every case of every run at each operating point."""

    dice: Mapping[str, Sequence[float]]
    shares: Mapping[str, Sequence[float]]
    """Precision and recall at the two thresholds that are one for all cases."""
    oracle_threshold: float
    """Of the first run, on the scale of its map."""
    threshold: float
    """Chosen on validation, of the first run; NaN without one."""


def points_of(runs: Runs, validation: Runs | None) -> Points:
    """Return the operating points of a method on a cohort.

    Args:
        runs: Its cases, run by run.
        validation: Cases of the validation cohort, in the same order of runs; None: there is none.
    """
    oracles = [_best(cases) for cases in runs]
    chosen = [None] * len(runs) if validation is None else [_best(cases) for cases in validation]
    cases = [case for run in runs for case in run]
    return Points(
        dice={
            "oracle": _at(runs, oracles, dice_at),
            "validation": _at(runs, chosen, dice_at),
            "alpha": [case.row.dice_at_alpha for case in cases],
            "fpr01": [case.row.dice_at_fpr01 for case in cases],
        },
        shares={
            f"{name}_{point}": _at(runs, levels, figure)
            for point, levels in (("oracle", oracles), ("validation", chosen))
            for name, figure in (("precision", precision_at), ("recall", recall_at))
        },
        oracle_threshold=_threshold(oracles),
        threshold=_threshold(chosen),
    )


def _best(cases: Sequence[Measured]) -> int | None:
    """Return the best level on cases; None where no lesion chooses."""
    tallies = [case.tallies["map"] for case in cases]
    ill = any(one.lesion.any() for one in tallies)
    return best_level(tallies) if ill else None


def _at(
    runs: Runs, levels: Sequence[int | None], figure: Callable[[Tally, int], float]
) -> list[float]:
    """Return a figure of each case at the level of its run."""
    return [
        NAN if level is None else figure(case.tallies["map"], level)
        for cases, level in zip(runs, levels, strict=True)
        for case in cases
    ]


def _threshold(levels: Sequence[int | None]) -> float:
    first = next(iter(levels), None)
    return NAN if first is None else threshold_of(first)
