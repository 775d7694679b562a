"""The true server: its address, its one folder, a kill in the middle of a job."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

HALE = Path(sys.executable).with_name("hale")


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """A server, and its address with the token."""
    command = [str(HALE), "serve", str(folder), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        try:
            yield it, it.stdout.readline().strip()
        finally:
            it.kill()


def test_it_prints_an_address_that_opens_once_per_browser_on_this_machine_alone(lab):
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with serving(lab.results, "--models", str(lab.models)) as (server, address):
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=[\w-]{40,}", address)
        assert found is not None, address
        home = f"http://127.0.0.1:{found[1]}"
        with opener.open(address) as page:
            assert page.url == f"{home}/"  # without the token
        assert b'"sub-91"' in opener.open(f"{home}/api/results").read()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{home}/api/results")
        assert refused.value.code == 401
        refused.value.close()
        assert _listens(int(found[1])) == ["0100007F"]  # 127.0.0.1 in hexadecimal
        second = subprocess.run(
            [str(HALE), "serve", str(lab.results), "--port", "0"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 2
        assert "another station serves it" in second.stderr
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 130  # stopped
        told = server.stdout.read() + server.stderr.read()
        assert "token" not in told  # no log of requests shows it
        assert "Traceback" not in told


def _listens(port: int) -> list[str]:
    """Addresses that a port is listened on, of /proc/net/tcp and its IPv6 kin."""
    rows = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        rows += [line.split() for line in Path(table).read_text().splitlines()[1:]]
    local = [row[1].split(":") for row in rows if row[3] == "0A"]
    return [address for address, number in local if int(number, 16) == port]


def test_a_port_that_is_taken_is_refused(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [str(HALE), "serve", str(tmp_path), "--port", port],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "give another --port" in done.stderr


def test_the_command_line_starts_without_it():
    heavy = "('fastapi', 'torch', 'uvicorn')"
    code = f"import sys, hale.cli.app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_worker_does_not_outlive_a_server_that_was_killed(lab, tmp_path):
    options = ("--models", str(lab.models), "--scans", str(lab.ill.parent))
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with serving(tmp_path / "station", *options) as (server, address):
        home = address.partition("/?")[0]
        opener.open(address).read()
        scans = opener.open(f"{home}/api/scans").read().decode()
        scan = re.search(r'"id":"([0-9a-f]{16})","name":"sub-91"', scans)[1]
        body = f'{{"scan": "{scan}", "models": ["convae_scan"], "insist": true}}'.encode()
        asked = urllib.request.Request(f"{home}/api/jobs", data=body, method="POST")
        asked.add_header("content-type", "application/json")
        opener.open(asked).read()
        worker = _child(server.pid)
        server.kill()
        end = time.monotonic() + 20
        while _lives(worker) and time.monotonic() < end:
            time.sleep(0.05)
        assert not _lives(worker)
    (job,) = (tmp_path / "station/.station/jobs").glob("*/job.json")
    assert '"state": "running"' in job.read_text()  # what the next start goes on with


def _child(pid: int) -> int:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        everywhere = [
            child
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
        if found := children or everywhere:
            return int(found[0])
        time.sleep(0.05)
    pytest.fail("no worker was started")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
