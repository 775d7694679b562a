"""Ranking figures of all voxels of any number of scans together, in memory that does not grow.

Scores are counted, not kept. The bits of a float32, with the sign turned over, rise as the number
does; their first 16 name a page, and each page that is met has as many counters as fit: one for
each float32 there is while few pages are met (then all figures are exact, ties and all), half as
many each time that the pages outgrow the memory. What shares a counter is taken for tied;
`Ranking.error` bounds what that can do to the AUPRC.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hale.metrics.voxel import NAN, Curve, yes_no

BINS = 2**22
"""Counters of each kind, lesion and other: 64 MB in all."""
PAGES = 2**16
LOW_BITS = 16
"""Of a number within its page."""
CHUNK = 2**16
"""Counters that are looked at together."""
SIGN = np.uint32(2**31)
TINY = np.finfo(np.float32).tiny
"""Numbers nearer to 0 (1.2e-38) count as 0."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Figures of all voxels together; NaN where undefined."""

    average_precision: float
    error: float
    """How far that may lie from the AUPRC of the scores themselves; 0 if exact.

    Were the scores that share a counter distinct, the lesion voxels among them could come first or
    last; the bound is the larger difference of these two from the tie.
    """
    auroc: float
    best_dice: float
    """An oracle, at one threshold for all."""


class Pool:
    """Counts of the voxels of many scans: `add` each, then ask.

    Scores are compared as float32. The order of scans changes nothing.

        >>> pool = Pool()
        >>> pool.add([0.9, 0.4], [1, 0])
        >>> pool.add([0.4, 0.1], [1, 0])
        >>> pool.ranking().average_precision, pool.error
        (0.8333333333333333, 0.0)
    """

    def __init__(self, bins: int = BINS) -> None:
        """Make an empty pool of ``bins`` counters of each kind, at least 65536."""
        self._counts = np.zeros((2, max(bins, PAGES)), np.int64)
        self._slot = np.full(PAGES, -1, np.int32)
        self._used = 0
        self._bits = LOW_BITS

    def add(self, score: ArrayLike, truth: ArrayLike) -> None:
        """Count voxels of a scan: of its brain, or of whatever is to be ranked.

        Args:
            score: Any shape, finite as float32.
            truth: Same shape; booleans or 0 and 1.

        Raises:
            ValueError: The shapes differ, a score is not finite, truth holds other values.
        """
        lesion = yes_no(truth, np.shape(score))
        keys = _keys(np.asarray(score))
        pages = keys >> LOW_BITS
        self._make_room(np.flatnonzero(np.bincount(pages, minlength=PAGES)))
        low = (keys & np.uint32(PAGES - 1)) >> (LOW_BITS - self._bits)
        at = (self._slot[pages].astype(np.intp) << self._bits) + low
        for row, kind in enumerate((lesion, ~lesion)):
            np.add.at(self._counts[row], at[kind], 1)

    @property
    def exact(self) -> bool:
        """Return whether nothing but equal scores has shared a counter."""
        return self._bits == LOW_BITS

    @property
    def error(self) -> float:
        """Return how far the AUPRC of `ranking` may lie from that of the scores; 0 if exact."""
        return self.ranking().error

    def ranking(self) -> Ranking:
        """Return the ranking figures, looking at some counters at a time."""
        (lesion, normal), seen = self._totals(), 0
        if not lesion:
            return Ranking(average_precision=NAN, error=0.0, auroc=NAN, best_dice=NAN)
        precision, below, dice, doubt = 0.0, 0.0, 0.0, np.zeros(2)
        for piece in self._pieces():
            if not len(piece.true):
                continue
            steps = np.diff(piece.true, prepend=seen)
            seen = int(piece.true[-1])
            precision += float((steps * piece.true / (piece.true + piece.false)).sum())
            below += float((steps * (normal - (piece.false + piece.false_above) / 2)).sum())
            dice = max(dice, float(piece.dice.max()))
            doubt += _doubt(piece, steps)
        return Ranking(
            average_precision=precision / lesion,
            error=0.0 if self.exact else float(doubt.max()) / lesion,
            auroc=below / lesion / normal if normal else NAN,
            best_dice=dice,
        )

    def curve(self) -> Curve:
        """Return the counts at every threshold that admits another lesion voxel.

        Each threshold is the lowest score that its counter can hold, so the counts at it are exact.
        A row for each counter with a lesion voxel: `ranking` has the same figures without them.
        """
        pieces = list(self._pieces())
        lesion, normal = self._totals()
        names = ("threshold", "true", "false", "false_above")
        joined = {
            name: np.concatenate(
                [np.zeros(0, np.float32 if name == "threshold" else np.int64)]
                + [getattr(piece, name) for piece in pieces]
            )
            for name in names
        }
        return Curve(**joined, lesion=lesion, normal=normal)

    def threshold_at(self, rate: float | int) -> float:
        """Return the lowest threshold that marks at most a share of the voxels without lesion.

        Of healthy scans, that is the healthy-only operating point (`thresholds.healthy_fpr`). Where
        the pool is not exact it marks no more, and at most one counter fewer.

        Raises:
            ValueError: There is no such voxel, or the rate is no share.
        """
        _, normal = self._totals()
        if not normal or not 0 <= rate < 1:
            msg = "needs voxels without lesion and a rate from 0 to below 1"
            raise ValueError(msg)
        allowed, seen, key = int(np.floor(rate * normal + 1e-9)), 0, 0
        for keys, counts in self._descending():
            upto = seen + counts[1].cumsum()
            seen = int(upto[-1])
            if seen > allowed:  # one of these marks too many: the lowest key above it
                key = int(keys[np.searchsorted(upto, allowed, side="right")])
                break
        return float(_scores(np.array([key + (1 << (LOW_BITS - self._bits))]))[0])

    def _make_room(self, pages: np.ndarray) -> None:
        """Give each page that is new its counters; join counters two by two until all fit."""
        new = pages[self._slot[pages] < 0]
        while (self._used + len(new)) << self._bits > self._counts.shape[1]:
            held = self._used << self._bits
            for start in range(0, held, CHUNK):
                pairs = self._counts[:, start : min(start + CHUNK, held)].reshape(2, -1, 2)
                self._counts[:, start // 2 : start // 2 + pairs.shape[1]] = pairs.sum(-1)
            self._counts[:, held // 2 : held] = 0
            self._bits -= 1
        self._slot[new] = self._used + np.arange(len(new))
        self._used += len(new)

    def _totals(self) -> tuple[int, int]:
        lesion, normal = self._counts[:, : self._used << self._bits].sum(1)
        return int(lesion), int(normal)

    def _pieces(self) -> Iterator[Curve]:
        """Yield the curve part by part."""
        (lesion, normal), seen = self._totals(), np.zeros(2, np.int64)
        for keys, counts in self._descending():
            upto = seen[:, None] + counts.cumsum(1)
            seen = upto[:, -1]
            hit = np.flatnonzero(counts[0])
            yield Curve(
                threshold=_scores(keys[hit]),
                true=upto[0, hit],
                false=upto[1, hit],
                false_above=upto[1, hit] - counts[1, hit],
                lesion=lesion,
                normal=normal,
            )

    def _descending(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield lowest keys ``(n,)`` of counters and counts ``(2, n)``, highest key first."""
        pages = np.flatnonzero(self._slot >= 0)[::-1]
        size = 1 << self._bits
        held = self._counts[:, : self._used << self._bits].reshape(2, self._used, size)
        low = np.arange(size)[::-1] << (LOW_BITS - self._bits)
        together = max(CHUNK // size, 1)
        for start in range(0, len(pages), together):
            some = pages[start : start + together]
            keys = (some[:, None] << LOW_BITS) + low
            yield keys.ravel(), held[:, self._slot[some], ::-1].reshape(2, -1)


def _doubt(piece: Curve, steps: np.ndarray) -> np.ndarray:
    """Return what the average precision could gain and lose, ``(2,)``, times all lesion voxels.

    Precision as lesion voxels come is concave: at most that of the middle one (Jensen), at least
    the mean of the first and the last.
    """
    counted = steps * (piece.threshold != 0)  # that counter holds 0 alone: a true tie
    before = piece.true - steps
    tied = piece.true / (piece.true + piece.false)
    middle = before + (steps + 1) / 2
    first = (before + 1) / (before + 1 + piece.false)
    gain = counted * (middle / (middle + piece.false_above) - tied)
    return np.array([gain.sum(), (counted * (tied - first)).sum() / 2])


def _keys(score: np.ndarray) -> np.ndarray:
    """Return unsigned integers ``(n,)`` in the order of the scores."""
    with np.errstate(over="ignore"):
        values = score.ravel().astype(np.float32)
    if not np.isfinite(values).all():
        msg = "a score is not finite"
        raise ValueError(msg)
    values[np.abs(values) < TINY] = 0  # also -0, which equals 0
    bits = values.view(np.uint32)
    return np.where(bits & SIGN, ~bits, bits | SIGN)


def _scores(keys: np.ndarray) -> np.ndarray:
    """Return the scores ``(n,)`` of keys."""
    bits = keys.astype(np.uint32)
    return np.where(bits & SIGN, bits ^ SIGN, ~bits).view(np.float32)
