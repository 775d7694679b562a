"""Results of preparation stages on disk, found by the content and the settings they came from."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Cache:
    """A folder of safetensors files, one per stage and key; None keeps nothing."""

    folder: Path | None = None

    def get(self, stage: str, key: str, compute: Callable[[], Arrays]) -> Arrays:
        """Return the arrays of ``stage`` for ``key``, computing and keeping them the first time.

        A file that is damaged counts as absent. A cache that cannot be written is no error: the
        result is returned, and computed again next time.
        """
        if self.folder is None:
            return compute()
        path = self.folder / stage / key[:2] / f"{key}.safetensors"
        try:
            return load_file(path)
        except (FileNotFoundError, SafetensorError):
            arrays = compute()
        _store(path, save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))
        return arrays


def key_of(*parts: Any) -> str:
    """Return a hash of plain values and arrays: the name of what was made from them."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).view(np.uint8).data)
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _store(path: Path, data: bytes) -> None:
    """Write whole or not at all."""
    part: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as file:
            part = Path(file.name)
            file.write(data)
        part.replace(path)
    except OSError:
        if part is not None:
            part.unlink(missing_ok=True)
