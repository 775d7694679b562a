"""The server: one process on 127.0.0.1, for one folder at a time."""

import fcntl
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from hale.core.errors import Refused
from hale.serve.app import application
from hale.serve.security import Keys
from hale.serve.station import Station

HOST = "127.0.0.1"


def serve(station: Station, port: int, told: Callable[[str], None]) -> None:
    """Serve until it is stopped.

    Args:
        station: What it is given.
        port: To listen on; 0 takes one that is free.
        told: Is told the address to open, with its token.

    Raises:
        KeyboardInterrupt: It was stopped.
        Refused: The port is taken, or another station serves the folder.
    """
    with _only_one(station), _listening(port) as listener:
        keys = Keys(port=listener.getsockname()[1])
        config = uvicorn.Config(
            application(station, keys),
            log_level="warning",
            access_log=False,  # it would show the token
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=2,
        )
        told(keys.address)
        server = uvicorn.Server(config)
        server.run(sockets=[listener])
        if server.started:  # uvicorn hands the signal that stopped it on, but not every time
            raise KeyboardInterrupt


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """Give a socket that listens on this machine alone.

    Raises:
        Refused: Another program has the port.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            why = f"cannot be listened on ({error.strerror})"
            raise Refused(f"--port {port}", why, "give another --port") from None
        listener.listen(128)
        yield listener


@contextmanager
def _only_one(station: Station) -> Iterator[None]:
    """Hold the folder: two stations would run its jobs twice.

    Raises:
        Refused: Another station holds it, or it cannot be written.
    """
    try:
        station.inside.mkdir(parents=True, exist_ok=True)
        station.inside.chmod(0o700)  # what was brought is nobody else's
        lock = (station.inside / "lock").open("w")
    except OSError as error:
        why = f"cannot be written ({error.strerror})"
        raise Refused(str(station.folder), why, "give another folder") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            remedy = "open that one, or stop it first"
            raise Refused(str(station.folder), "another station serves it", remedy) from None
        yield
