"""How many of many numbers lie above each of a few, without sorting the many."""

from typing import NamedTuple

import numpy as np

BUCKETS = 2**22
"""At most: four million counters, 32 MB."""
TAIL = 0.001
"""Share of the few, at either end, that may lie beyond the buckets' range: outliers would widen
it."""


class Above(NamedTuple):
    """Counts of the many, for each of the few."""

    at_least: np.ndarray
    """At or above it."""
    more: np.ndarray
    """Strictly above it."""


def above(many: np.ndarray, few: np.ndarray) -> Above:
    """Return how many of ``many`` ``(n,)`` lie at or above, and above, each of ``few`` ``(m,)``.

    Exact. Numbers fall into buckets of equal width; a bucket that holds none of the few lies wholly
    above or below each of them, so counting it is enough. Only what shares a bucket with one of the
    few is sorted.

    Args:
        many: Any real type, finite.
        few: The same type, ascending.
    """
    count = int(min(BUCKETS, max(len(many), 1)))
    place = _places(few, few, count)
    at = _places(many, few, count)
    near = np.zeros(count, bool)
    near[place] = True
    apart = np.bincount(at, minlength=count)
    apart[near] = 0
    higher = apart[::-1].cumsum()[::-1][place]
    close = np.sort(many[near[at]])
    below = np.searchsorted(close, few)
    tied = np.append(close, few[:1])[below] == few
    upto = below.copy()
    upto[tied] = np.searchsorted(close, few[tied], side="right")
    return Above(at_least=higher + len(close) - below, more=higher + len(close) - upto)


def _places(numbers: np.ndarray, few: np.ndarray, count: int) -> np.ndarray:
    """Return the bucket of each number: it never falls as numbers rise, however they round."""
    if not len(few):
        return np.zeros(len(numbers), np.intp)
    kind = few.dtype if few.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    low = few[int(TAIL * len(few))].astype(kind)
    high = few[-1 - int(TAIL * len(few))].astype(kind)
    with np.errstate(over="ignore", divide="ignore"):
        scale = kind.type(count) / (high - low)
        place = np.subtract(numbers, low, dtype=kind)
        if 0 < scale < np.inf:
            place *= scale
        else:  # one value, or a range beyond the type: below, at and above it
            place = np.sign(place) + 1
    np.clip(place, 0, count - 1, out=place)
    bucket: np.ndarray = place.astype(np.intp)
    return bucket
