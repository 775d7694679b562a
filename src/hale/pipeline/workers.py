"""Many exams side by side, one thread each, no more at a time than memory holds."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import TypeVar

import SimpleITK as sitk

from hale.core.errors import Refused
from hale.data.cohort import Entry
from hale.io.nifti import voxel_count

Result = TypeVar("Result")

BASE_GIB = 1.3
"""That a process takes for a small scan, its libraries and networks included: 1.2 measured."""
BYTES_PER_VOXEL = 16
"""Of native voxels at the peak: 13.7 measured on 512 x 512 x 320."""
GIB = 2**30
SHARE = 0.9
"""Of the memory that is available: what we may take unasked."""
MEMORY = Path("/proc/meminfo")
"""Where Linux says how much there is."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A scan that could not be used, and why."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Crew:
    """How many processes there are, and how much memory they may take together."""

    workers: int = 1
    max_ram_gib: float | None = None
    """None: 90 % of what is available when the work begins, where the system says."""

    def each(
        self, work: Callable[[Entry], Result], entries: Sequence[Entry]
    ) -> Iterator[tuple[Entry, Result | Failure]]:
        """Yield each entry with its result, as they are done.

        An entry that alone would take more memory than ``max_ram_gib`` is not begun.

        Args:
            work: A function of the module level, or a `functools.partial` of one.
            entries: Taken in this order.

        Raises:
            Refused: The system stopped a process.
        """
        fitting = []
        for entry in entries:
            if (failure := self._too_large(entry)) is not None:
                yield entry, failure
            else:
                fitting.append(entry)
        if self.workers <= 1 or len(fitting) <= 1:
            for entry in fitting:
                yield entry, work(entry)
            return
        with pool(self.workers) as executor:
            yield from self._side_by_side(executor, work, fitting)

    def _side_by_side(
        self,
        executor: ProcessPoolExecutor,
        work: Callable[[Entry], Result],
        entries: Sequence[Entry],
    ) -> Iterator[tuple[Entry, Result]]:
        """Keep as many going as there are processes and memory for."""
        limit = available_gib() if self.max_ram_gib is None else self.max_ram_gib
        left, running = list(entries), dict[Future[Result], Entry]()
        started = 0  # a process is started when none is idle, and stays
        while left or running:
            while left and len(running) < self.workers:
                idle = max(0, started - len(running) - 1)
                if running and not has_room([*running.values(), left[0]], idle, limit):
                    break
                entry = left.pop(0)
                running[executor.submit(work, entry)] = entry
                started = max(started, len(running))
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()

    def _too_large(self, entry: Entry) -> Failure | None:
        """Return why an entry cannot be begun, None if it can."""
        if self.max_ram_gib is None:
            return None
        needed = peak_gib(entry)
        if needed <= self.max_ram_gib:
            return None
        why = f"needs about {needed:.1f} GiB, --max-ram allows {self.max_ram_gib:g}"
        refusal = Refused(entry.id, why, "allow more, or resample it first")
        return Failure(id=entry.id, reason=str(refusal))


def has_room(together: Sequence[Entry], idle: int, limit_gib: float | None) -> bool:
    """Say whether exams can be worked on together, beside so many idle processes."""
    if limit_gib is None:
        return True
    return BASE_GIB * idle + sum(map(peak_gib, together)) <= limit_gib


def available_gib() -> float | None:
    """Return the memory that we may take unasked; None where the system does not say."""
    try:
        told = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines())
        return SHARE * int(told["MemAvailable"].split()[0]) * 1024 / GIB
    except (OSError, ValueError, KeyError):
        return None


def peak_gib(entry: Entry) -> float:
    """Return about how much memory an exam takes at most, by its headers.

    One that cannot be read takes no more than the process: the work will say why.
    """
    try:
        voxels = sum(voxel_count(path) for path in entry.files.values())
    except Refused:
        voxels = 0
    return BASE_GIB + BYTES_PER_VOXEL * voxels / GIB


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Give processes of one thread each; an interruption drops what has not begun.

    Raises:
        Refused: The system stopped one.
    """
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
    try:
        yield executor
    except BrokenProcessPool:
        executor.shutdown(wait=True, cancel_futures=True)
        why = "was stopped by the system, most likely for want of memory"
        raise Refused("a worker", why, "give --workers 1, or --max-ram with less") from None
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
        wait_for([parent.sentinel])
        os._exit(1)


def default_workers() -> int:
    """Return one process per core that we may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
