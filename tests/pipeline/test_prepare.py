"""Many scans side by side: order, failures, and no process left behind."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.scan import Contrast
from hale.data.bids import read_bids
from hale.data.cohort import Entry
from hale.data.phantom import write_cohort
from hale.io.cache import Cache
from hale.pipeline.prepare import Workshop
from hale.pipeline.workers import Crew, Failure, available_gib, has_room, peak_gib
from hale.prep.chain import space_of
from hale.prep.settings import Preparation

SETTINGS = Preparation(spacing_mm=4.0, shape=(48, 48, 40), bias=False)
SPACE = space_of(SETTINGS)

PARENT = """
import multiprocessing, time
from hale.pipeline.workers import pool

def main():
    with pool(2) as executor:
        list(executor.map(time.sleep, [0.5, 0.5]))
        print(*[p.pid for p in multiprocessing.active_children()], flush=True)
        list(executor.map(time.sleep, [60, 60]))

if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def entries(tmp_path_factory) -> list[Entry]:
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, fit=0, standardise=0, calibrate=2, healthy=0, lesions=0, seed=5)
    (folder / "sub-000" / "anat").mkdir(parents=True)
    (folder / "sub-000" / "anat" / "sub-000_T1w.nii.gz").write_bytes(b"")
    return read_bids(folder, ((Contrast.T1W,),))


def test_two_processes_do_what_one_does_in_the_order_given(entries):
    said: list[tuple[int, int]] = []

    def progress(what: str, done: int, total: int) -> None:
        assert what == "preparing"
        said.append((done, total))

    shops = [
        Workshop(settings=SETTINGS, space=SPACE, cache=Cache(), crew=crew, progress=progress)
        for crew in (Crew(), Crew(workers=2))
    ]
    (alone, failed), (side_by_side, failed_too) = (
        shop.prepare_all(entries, "preparing") for shop in shops
    )
    assert [p.scan.id for p in alone] == ["sub-001", "sub-002"]
    for one, other in zip(alone, side_by_side, strict=True):
        np.testing.assert_array_equal(one.scan.image, other.scan.image)
        np.testing.assert_array_equal(one.trace.to_native, other.trace.to_native)
        for prepared in (one, other):  # a cohort is held at once: no more than scoring needs
            assert len(pickle.dumps(prepared)) < 1.05 * len(pickle.dumps(prepared.scan))
    assert failed == failed_too
    assert [failure.id for failure in failed] == ["sub-000"]
    assert isinstance(failed[0], Failure)
    assert "is empty (0 bytes)" in failed[0].reason
    assert said == [(0, 3), (1, 3), (2, 3), (3, 3)] * 2


def test_memory_is_counted_before_a_scan_is_begun(entries):
    good = entries[1:]
    assert peak_gib(good[0]) == pytest.approx(1.3 + 16 * 92 * 92 * 108 / 2**30, rel=1e-6)
    told = [result for _, result in Crew(max_ram_gib=1.0).each(identify, good)]
    assert [type(result) for result in told] == [Failure, Failure]
    assert "needs about 1.3 GiB, --max-ram allows 1" in told[0].reason
    assert peak_gib(entries[0]) == 1.3  # unreadable, as its work will say


def test_no_more_are_begun_than_memory_holds(entries):
    good = entries[1:] * 2
    assert has_room(good[:2], 0, 3.0)
    assert not has_room(good[:2], 0, 2.0)
    assert not has_room(good[:2], 1, 3.0)  # an idle process has its libraries still
    assert has_room(good, 0, None)
    crew = Crew(workers=2, max_ram_gib=2.0)  # one at a time
    assert [name for _, name in crew.each(identify, good)] == [e.id for e in good]


def test_unasked_no_more_is_taken_than_is_available(entries, tmp_path, monkeypatch):
    said = tmp_path / "meminfo"
    monkeypatch.setattr("hale.pipeline.workers.MEMORY", said)
    assert available_gib() is None
    said.write_text("MemTotal:  8388608 kB\nMemAvailable:  2097152 kB\n")
    assert available_gib() == pytest.approx(1.8)
    told = [result for _, result in Crew(workers=2).each(pause, entries[1:])]
    (one, other) = sorted(told)
    assert one[1] <= other[0]  # one after the other


def pause(entry: Entry) -> tuple[float, float]:
    begin = time.monotonic()
    time.sleep(0.2)
    return begin, time.monotonic()


def test_a_worker_that_the_system_stops_is_refused_and_is_no_defect(entries):
    with pytest.raises(Refused, match=r"a worker: was stopped .* memory; give --workers 1"):
        list(Crew(workers=2).each(die, entries[1:]))


def die(entry: Entry) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def identify(entry: Entry) -> str:
    return entry.id


def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path: Path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while any(_is_alive(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
