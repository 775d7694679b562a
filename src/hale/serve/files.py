"""Small files of the station: JSON, whole or not at all; ids that say nothing."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Protocol, TypeVar, runtime_checkable

from hale.core.errors import Refused


class Unknown(Refused):
    """What was asked for by an id is not here."""


@runtime_checkable
class HasId(Protocol):
    """What addresses call by an id."""

    @property
    def id(self) -> str:
        """Return it."""


One = TypeVar("One", bound=HasId)


def called(name: str, things: Iterable[One], kind: str) -> One:
    """Return the thing of an id.

    Args:
        name: The id.
        things: To look through.
        kind: What they are, in words.

    Raises:
        Unknown: There is none.
    """
    for thing in things:
        if thing.id == name:
            return thing
    raise Unknown(name, f"there is no such {kind}", "load the list again")


def opaque(text: str) -> str:
    """Return the id that stands for a path in addresses: 16 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_table(path: Path) -> dict[str, Any] | None:
    """Return a JSON table; None if there is none, or if it is damaged."""
    try:
        table: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return table if isinstance(table, dict) else None


def write_table(path: Path, table: Mapping[str, Any]) -> None:
    """Write a JSON table, whole or not at all."""
    text = json.dumps(table, indent=2, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as file:
        part = Path(file.name)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            part.chmod(0o644)
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
