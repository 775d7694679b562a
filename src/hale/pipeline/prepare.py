"""Many scans prepared side by side; what fails is listed, the others go on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from hale.core.errors import Refused
from hale.core.scan import RawScan, Space
from hale.data.cohort import Entry
from hale.io.cache import Cache
from hale.io.raw import read_raw
from hale.pipeline.fitness import quality_of, refuse_unfit
from hale.pipeline.workers import Crew, Failure, Result
from hale.prep.chain import Prepared, prepare
from hale.prep.settings import Preparation

Progress = Callable[[str, int, int], None]
"""Told (what, done, total) as scans are finished."""


def quiet(sentence: str) -> None:
    """Say nothing."""


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Workshop:
    """How scans are prepared: the recipe's settings, where, and by whom."""

    settings: Preparation
    space: Space
    cache: Cache
    crew: Crew = field(default_factory=Crew)
    progress: Progress = silent

    def prepare_all(
        self, entries: Sequence[Entry], what: str
    ) -> tuple[list[Prepared], list[Failure]]:
        """Return the prepared scans and the failures, both in the order of ``entries``.

        A whole cohort is held at once: the way back to the native grids is left out.

        Args:
            entries: Not yet read.
            what: To call the work in the progress.
        """
        work = partial(
            prepared_or_failure, settings=self.settings, cache=self.cache, space=self.space
        )
        results = self.each(work, entries, what)
        prepared = [r for r in results if isinstance(r, Prepared)]
        return prepared, [r for r in results if isinstance(r, Failure)]

    def each(
        self, work: Callable[[Entry], Result], entries: Sequence[Entry], what: str
    ) -> list[Result | Failure]:
        """Return what the crew makes of each entry, in their order, telling the progress."""
        results: dict[str, Result | Failure] = {}
        self.progress(what, 0, len(entries))
        for entry, result in self.crew.each(work, entries):
            results[entry.id] = result
            self.progress(what, len(results), len(entries))
        return [results[entry.id] for entry in entries]


def read_entry(entry: Entry, *, brain: Path | None = None) -> RawScan:
    """Read the scan of an entry.

    Raises:
        Refused: It cannot be read, or its files do not settle what is meant.
    """
    if entry.refusal is not None:
        raise entry.refusal
    raw = read_raw(
        entry.files,
        name=entry.id,
        brain=brain or entry.brain,
        age=entry.age,
        notes=entry.notes,
    )
    return replace(raw, source=replace(raw.source, dicom=entry.dicom)) if entry.dicom else raw


def prepared_or_failure(
    entry: Entry, settings: Preparation, cache: Cache, space: Space
) -> Prepared | Failure:
    """Return the prepared scan of an entry without its way back, or why there is none."""
    try:
        prepared = prepare(read_entry(entry), settings, cache, space)
        refuse_unfit(entry.id, quality_of(prepared.trace))
        return without_way_back(prepared)
    except Refused as error:
        return Failure(id=entry.id, reason=str(error))


def without_way_back(prepared: Prepared) -> Prepared:
    """Return a prepared scan without native brain and warp: 5 and 17 MB an exam at 1 mm."""
    brain = np.zeros((0, 0, 0), bool)
    return replace(prepared, trace=replace(prepared.trace, brain=brain, warp=None))
