"""The queue goes on, whatever becomes of a job."""

import time
from dataclasses import asdict, replace

import pytest

from hale.serve.files import write_table
from hale.serve.jobs import JOB, PROGRESS, Queue, State, new_job, read_job


class Broken:
    """A worker that cannot be begun the first time, and ends at once then."""

    begun = 0

    def __init__(self, station, folder) -> None:
        del station
        Broken.begun += 1
        if Broken.begun == 1:
            raise OSError(28, "No space left on device")
        write_table(folder / PROGRESS, {"ended": True, "reason": ""})

    def wait(self) -> int:
        return 0

    def kill(self) -> None:
        """There is nothing to end."""


@pytest.mark.parametrize("writes", [True, False])
def test_a_job_that_cannot_be_begun_does_not_end_the_queue(station, monkeypatch, writes):
    """Whether or not the disk still takes that it has failed."""
    monkeypatch.setattr("hale.serve.jobs.Worker", Broken)
    monkeypatch.setattr(Broken, "begun", 0)
    queue = Queue(station)
    first, second = (
        new_job(name="e", upload="u", exam="1", models=("intensity",)) for _ in range(2)
    )
    kept = queue._write

    def write(job) -> None:
        if not writes and job.id == first.id and job.state is State.FAILED:
            raise OSError(28, "No space left on device")
        kept(job)

    for job in (first, second):
        (station.jobs / job.id).mkdir(parents=True)
        kept(job)
    monkeypatch.setattr(queue, "_write", write)
    queue.start()
    end = time.monotonic() + 20
    while read_job(station.jobs / second.id).state is not State.DONE:
        assert time.monotonic() < end, "the queue has ended"
        time.sleep(0.02)
    states = {row["id"]: (row["state"], row["reason"]) for row in queue.rows()}
    assert states[first.id] == ("failed", "it could not be run (No space left on device)")
    queue.stop()


def test_a_job_is_told_how_many_are_before_it(station):
    """The one that runs counts."""
    queue = Queue(station)
    jobs = [new_job(name="e", upload="u", exam="1", models=("intensity",)) for _ in range(3)]
    states = (State.RUNNING, State.QUEUED, State.QUEUED)
    for job, state in zip(jobs, states, strict=True):
        write_table(station.jobs / job.id / JOB, asdict(replace(job, state=state)))
    assert [row["waits_for"] for row in queue.rows()] == [2, 1, 0]
