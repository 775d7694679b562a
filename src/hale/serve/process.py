"""The process of a job: it ends when the server does, and with it all that it began."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import Any

from hale.serve.station import Station

LOG = "log.txt"


class Worker:
    """Runs one job; it and its children are a process group of their own."""

    def __init__(self, station: Station, folder: Path) -> None:
        with (folder / LOG).open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hale.serve.worker", str(folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.write(f"{json.dumps(asdict(station), default=str)}\n".encode())
                self._process.stdin.flush()

    def wait(self) -> int:
        """Return its exit status, once it has ended."""
        status = self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return status

    def kill(self) -> None:
        """End it and all that it began, at once."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def station_told() -> Station:
    """Return the station that the server writes to a worker's standard input.

    The pipe stays open; when it closes the server has ended, and the worker's group is ended too.
    """
    table: dict[str, Any] = json.loads(sys.stdin.readline())
    Thread(target=_end_with_server, daemon=True).start()
    place = {key: table[key] and Path(table[key]) for key in ("folder", "scans", "cache")}
    return Station(**{**table, **place, "models": tuple(map(Path, table["models"]))})


def _end_with_server() -> None:
    sys.stdin.read()
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
