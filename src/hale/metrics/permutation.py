"""How often would chance alone tell two methods as far apart: p-values by exchanging them.

References: Fisher 1935, "The design of experiments"; Phipson & Smyth 2010,
doi:10.2202/1544-6115.1585 (the + 1 of random exchanges); Horowitz & Sahni 1974,
doi:10.1145/321812.321823 (all sums of a set, by those of its halves).
"""

from collections.abc import Callable, Iterator

import numpy as np

from hale.metrics.voxel import NAN

EXACT = 36
"""Patients up to whom every exchange of a mean is counted: two halves of 2 ** 18 sums."""
CHUNK = 4096
"""Exchanges that are computed at once."""

Null = Callable[[np.ndarray], np.ndarray]
"""Differences ``(m,)`` of rows of booleans ``(m, people)`` that say whose results are exchanged."""


def counted(parts: np.ndarray) -> float:
    """Return the share of all signs of ``(people,)`` parts whose sum is as far from 0 as theirs.

    Exact, by the sums of two halves: of each sum of one, a search among the sorted sums of the
    other counts the pairs.
    """
    seen = abs(parts.sum())
    least = seen * (1 - 1e-9) - 1e-15  # equal but for rounding is equal
    if least <= 0:
        return 1.0
    half = len(parts) // 2
    one, other = _signed_sums(parts[:half]), np.sort(_signed_sums(parts[half:]))
    above = len(other) - np.searchsorted(other, least - one, side="left")
    below = np.searchsorted(other, -least - one, side="right")
    return float((above.sum() + below.sum()) / 2.0 ** len(parts))


def _signed_sums(parts: np.ndarray) -> np.ndarray:
    """Return the ``2 ** n`` sums of ``(n,)`` parts under all signs."""
    sums = np.zeros(1)
    for part in parts:
        sums = np.concatenate([sums + part, sums - part])
    return sums


def permuted(null: Null, seen: float, people: int, draws: int, seed: int) -> float:
    """Return the two-sided p-value: exact if all exchanges are tried, else with + 1 for the seen.

    An exact count includes the difference seen already: it is the exchange of nobody.
    """
    if np.isnan(seen):
        return NAN
    exact = 2**people <= draws
    least = abs(seen) * (1 - 1e-9) - 1e-15  # equal but for rounding is equal
    extreme, defined = (0, 0) if exact else (1, 1)
    for swapped in _exchanges(people, draws, seed):
        size = np.abs(null(swapped))
        extreme += int((size >= least).sum())
        defined += int((~np.isnan(size)).sum())
    return extreme / defined


def _exchanges(people: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield whose results are exchanged, ``(m, people)`` at a time: all ways, or random ones."""
    rng = np.random.default_rng(seed)
    total = min(2**people, draws)
    for start in range(0, total, CHUNK):
        count = min(CHUNK, total - start)
        if 2**people <= draws:
            yield (np.arange(start, start + count)[:, None] >> np.arange(people) & 1).astype(bool)
        else:
            yield rng.integers(2, size=(count, people), dtype=np.uint8).astype(bool)
