"""Many scans prepared side by side, one thread each; what fails is listed, the others go on."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from pathlib import Path

import SimpleITK as sitk

from hale.core.errors import Refused
from hale.core.scan import RawScan, Space
from hale.data.cohort import Entry
from hale.io.cache import Cache
from hale.io.raw import read_raw
from hale.pipeline.fitness import quality_of, refuse_unfit
from hale.prep.chain import Prepared, prepare
from hale.prep.settings import Preparation

Progress = Callable[[str, int, int], None]
"""Told (what, done, total) as scans are finished."""


def quiet(sentence: str) -> None:
    """Say nothing."""


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A scan that could not be used, and why."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Workshop:
    """How scans are prepared: the recipe's settings, where, and by how many processes."""

    settings: Preparation
    space: Space
    cache: Cache
    workers: int = 1
    progress: Progress = silent

    def prepare_all(
        self, entries: Sequence[Entry], what: str
    ) -> tuple[list[Prepared], list[Failure]]:
        """Return the prepared scans and the failures, both in the order of ``entries``.

        Args:
            entries: Not yet read.
            what: To call the work in the progress.
        """
        results: dict[str, Prepared | Failure] = {}
        self.progress(what, 0, len(entries))
        for entry, result in self._results(entries):
            results[entry.id] = result
            self.progress(what, len(results), len(entries))
        ordered = [results[entry.id] for entry in entries]
        prepared = [r for r in ordered if isinstance(r, Prepared)]
        return prepared, [r for r in ordered if isinstance(r, Failure)]

    def _results(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Prepared | Failure]]:
        """Yield as they are done."""
        if self.workers <= 1 or len(entries) <= 1:
            for entry in entries:
                yield entry, prepared_or_failure(entry, self.settings, self.cache, self.space)
            return
        with pool(self.workers) as executor:
            futures: dict[Future[Prepared | Failure], Entry] = {
                executor.submit(
                    prepared_or_failure, entry, self.settings, self.cache, self.space
                ): entry
                for entry in entries
            }
            for future in as_completed(futures):
                yield futures[future], future.result()


def read_entry(entry: Entry, *, brain: Path | None = None) -> RawScan:
    """Read the scan of an entry."""
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
    """Return the prepared scan of an entry, or why there is none."""
    try:
        prepared = prepare(read_entry(entry), settings, cache, space)
        refuse_unfit(entry.id, quality_of(prepared.trace))
        return prepared
    except Refused as error:
        return Failure(id=entry.id, reason=str(error))


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Give processes of one thread each; an interruption drops what has not begun."""
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=True, cancel_futures=True)
        raise
    executor.shutdown()


def _begin() -> None:
    """Let this process use one thread, so that as many as there are cores do not fight."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    from hale.prep.brain.deepbet import set_threads

    set_threads(1)


def _end_with_parent() -> None:
    """Wait for the process that began this one; should it be killed, do not outlive it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def default_workers() -> int:
    """Return one process per core that we may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
