"""Jobs: a folder each, one at a time, each by a process of its own.

What a job is and what became of it stands in its folder, so a station that was killed goes on where
it was: jobs that ran or waited are queued again, models that had answered are not asked again.

    jobs/<id>/job.json        what was asked; state, reason (written by the server alone)
    jobs/<id>/progress.json   stage, time left, results (written by the worker alone)
    jobs/<id>/log.txt         what the worker printed
"""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from secrets import token_hex
from threading import Condition, Thread
from typing import Any

from hale.serve.files import called, opaque, read_table, write_table
from hale.serve.process import Worker
from hale.serve.station import Station
from hale.serve.uploads import tidy

JOB, PROGRESS = "job.json", "progress.json"


class State(StrEnum):
    """What became of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = (State.QUEUED, State.RUNNING)
"""Of jobs that a station goes on with."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was asked for, and what became of it."""

    id: str
    name: str
    """Of the exam."""
    upload: str
    """Folder of the upload, by its name."""
    exam: str
    models: tuple[str, ...]
    contrast: str | None = None
    """Of a scan that does not say it."""
    series: Mapping[str, str] | None = None
    """Contrast -> DICOM series."""
    insist: bool = False
    state: State = State.QUEUED
    reason: str = ""


def new_job(**asked: Any) -> Job:
    """Return a job with an id that sorts by time."""
    when = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    return Job(id=f"{when}-{token_hex(2)}", **asked)


def read_job(folder: Path) -> Job | None:
    """Return the job of a folder; None if it is damaged."""
    table = read_table(folder / JOB)
    try:
        if table is None:
            return None
        state, models = State(table["state"]), tuple(table["models"])
        return Job(**{**table, "state": state, "models": models})
    except (TypeError, ValueError, KeyError):
        return None


class Queue:
    """Runs the jobs of a station, one after the other."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self._changed = Condition()
        self._worker: Worker | None = None
        self._running = ""
        self._lost: dict[str, str] = {}
        self._ends = False
        self._thread = Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        """Go on with what an earlier station left; what it had not sorted yet goes."""
        tidy(self.station)
        for job in self._all():
            if job.state is State.RUNNING:
                self._write(replace(job, state=State.QUEUED))
        self._thread.start()

    def stop(self) -> None:
        """End the worker; its job goes on when the station is started again."""
        with self._changed:
            self._ends = True
            if self._worker is not None:
                self._worker.kill()
            self._changed.notify_all()
        self._thread.join(timeout=5)

    def add(self, job: Job) -> Job:
        """Queue a job."""
        with self._changed:
            self._write(job)
            self._changed.notify_all()
        return job

    def cancel(self, name: str) -> None:
        """Cancel a job, ending its process; forget one that has ended, and what was brought for it.

        Raises:
            Unknown: There is no such job.
        """
        with self._changed:
            job = called(name, self._all(), "job")
            if job.state not in OPEN:
                self._forget(job)
                return
            self._write(replace(job, state=State.CANCELLED))
            if self._running == name and self._worker is not None:
                self._worker.kill()

    def rows(self) -> list[dict[str, Any]]:
        """Return what the page shows, the newest first."""
        jobs = list(self._all())
        line = [job.id for state in reversed(OPEN) for job in jobs if job.state is state]
        return [self._row(job, line) for job in reversed(jobs)]

    def row(self, job: Job) -> dict[str, Any]:
        """Return what the page shows of one job."""
        return self._row(job, [])

    def _row(self, job: Job, line: Sequence[str]) -> dict[str, Any]:
        progress = read_table(self.station.jobs / job.id / PROGRESS) or {}
        left = progress.get("left")
        if left is not None:
            left = max(0.0, left - max(0.0, time.time() - progress["at"]))
        runs = job.state is State.RUNNING
        return {
            "id": job.id,
            "name": job.name,
            "models": list(job.models),
            "state": str(job.state),
            "waits_for": line.index(job.id) if job.id in line else 0,
            "stage": progress.get("stage", "") if runs else "",
            "model": progress.get("model", "") if runs else "",
            "done": progress.get("done", 0),
            "total": progress.get("total", 0),
            "seconds_left": round(left, 1) if left is not None and runs else None,
            "reason": job.reason,
            "results": [opaque(path) for path in progress.get("results", ())],
        }

    def _run(self) -> None:
        """Take jobs from the queue until the station stops."""
        while True:
            with self._changed:
                job = self._next()
                while job is None and not self._ends:
                    self._changed.wait()
                    job = self._next()
                if self._ends or job is None:
                    return
            try:
                self._done(job)
            except OSError as error:  # a full disk, no more processes: of this job, not of others
                self._lose(job, f"it could not be run ({error.strerror or error})")

    def _done(self, job: Job) -> None:
        """Run a job to its end."""
        with self._changed:
            now = read_job(self.station.jobs / job.id)
            if self._ends or now is None or now.state is not State.QUEUED:
                return  # cancelled or stopped in between
            job = replace(job, state=State.RUNNING, reason="")
            self._write(job)
            self._running = job.id
            self._worker = worker = Worker(self.station, self.station.jobs / job.id)
        status = worker.wait()
        with self._changed:
            self._running, self._worker = "", None
            if not self._ends:
                self._ended(job, status)

    def _lose(self, job: Job, reason: str) -> None:
        """Mark a job as failed; where even that cannot be written, until the station ends."""
        with self._changed:
            self._running, self._worker = "", None
            self._lost[job.id] = reason
            with suppress(OSError):
                self._write(replace(job, state=State.FAILED, reason=reason))

    def _next(self) -> Job | None:
        return next((job for job in self._all() if job.state is State.QUEUED), None)

    def _ended(self, job: Job, status: int) -> None:
        """Write what became of a job whose worker has ended."""
        now = read_job(self.station.jobs / job.id)
        if now is None or now.state is not State.RUNNING:
            return  # cancelled, or forgotten
        progress = read_table(self.station.jobs / job.id / PROGRESS) or {}
        reason = str(progress.get("reason", ""))
        if status != 0 and not progress.get("ended"):
            reason = f"the worker ended with status {status}; its log.txt says more"
        state = State.FAILED if reason else State.DONE
        self._write(replace(now, state=state, reason=reason))

    def _forget(self, job: Job) -> None:
        shutil.rmtree(self.station.jobs / job.id, ignore_errors=True)
        if not any(other.upload == job.upload for other in self._all()):
            shutil.rmtree(self.station.uploads / job.upload, ignore_errors=True)

    def _all(self) -> Iterator[Job]:
        """Yield the jobs, the oldest first."""
        for folder in sorted(self.station.jobs.glob("*/")):
            if (job := read_job(folder)) is None or job.id != folder.name:
                continue
            if job.id in self._lost and job.state in OPEN:
                job = replace(job, state=State.FAILED, reason=self._lost[job.id])
            yield job

    def _write(self, job: Job) -> None:
        write_table(self.station.jobs / job.id / JOB, asdict(job))
