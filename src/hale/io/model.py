"""A model is a folder: arrays in safetensors, the rest in TOML and JSON, a card for people.

Nothing in it is executed, and what was altered since it was written is noticed.
"""

import hashlib
import json
import shutil
import tomllib
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from hale.core.errors import Refused

FORMAT = 2
"""Of the folder; raised when an older `hale` could not read it."""
MANIFEST = "manifest.json"
RECIPE, STATE, SPACE, CALIBRATION, CARD, PROVENANCE = (
    "recipe.toml",
    "state.safetensors",
    "space.json",
    "calibration.safetensors",
    "card.md",
    "provenance.json",
)
NO_ARRAYS = save({})
REQUIRED = (RECIPE, STATE, SPACE, CARD, PROVENANCE)


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelFiles:
    """The content of a model folder, as plain values and arrays."""

    recipe: str
    """TOML, every default written out."""
    state: Mapping[str, np.ndarray]
    space: Mapping[str, Any]
    provenance: Mapping[str, Any]
    card: str
    calibration: Mapping[str, np.ndarray] | None
    """None for a method that is not calibrated."""


def write_model(folder: Path, files: ModelFiles, *, version: str) -> str:
    """Write the folder, whole or not at all, and return the hash that names the model.

    What was at ``folder`` before is replaced, once the new one is complete.

    Raises:
        Refused: The place cannot be written, or the disk is full; what was there is there still.
    """
    contents = {
        RECIPE: files.recipe.encode(),
        STATE: save({k: np.ascontiguousarray(v) for k, v in files.state.items()}),
        SPACE: _json(files.space),
        PROVENANCE: _json(files.provenance),
        CARD: files.card.encode(),
    }
    if files.calibration is not None:
        contents[CALIBRATION] = save(
            {k: np.ascontiguousarray(v) for k, v in files.calibration.items()}
        )
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    contents[MANIFEST] = _json({"format": FORMAT, "hale": version, "files": hashes})
    replace_folder(folder, contents)
    return _hash_of(hashes)


def read_model(folder: Path) -> tuple[ModelFiles, str]:
    """Read a model folder; return its content and the hash that names the model.

    Raises:
        Refused: No model, of a newer format, incomplete, damaged or altered.
    """
    return _read(folder, {STATE, CALIBRATION})


def read_about(folder: Path) -> tuple[ModelFiles, str]:
    """Read a model folder but its network and its calibration: of these, nothing or no arrays.

    Raises:
        Refused: As `read_model`, as far as it is read.
    """
    return _read(folder, set())


def read_calibration(folder: Path) -> tuple[ModelFiles, str]:
    """Read a model folder but its network.

    Raises:
        Refused: As `read_model`, as far as it is read.
    """
    return _read(folder, {CALIBRATION})


def _read(folder: Path, arrays: Container[str]) -> tuple[ModelFiles, str]:
    """Read a model folder, of its files of arrays only ``arrays``."""
    if not folder.is_dir():
        raise Refused(str(folder), "is no model folder", "give the --out of a `hale fit`")
    hashes = _manifest(folder)
    contents = {
        name: NO_ARRAYS
        if name in (STATE, CALIBRATION) and name not in arrays
        else _content(folder, name, sha256)
        for name, sha256 in hashes.items()
    }
    try:
        files = ModelFiles(
            recipe=contents[RECIPE].decode(),
            state=load(contents[STATE]),
            space=_table(contents[SPACE]),
            provenance=_table(contents[PROVENANCE]),
            card=contents[CARD].decode(),
            calibration=load(contents[CALIBRATION]) if CALIBRATION in contents else None,
        )
        tomllib.loads(files.recipe)
    except (SafetensorError, ValueError) as error:
        raise Refused(str(folder), f"is damaged ({error})", "copy or fit it again") from None
    return files, _hash_of(hashes)


def is_model(folder: Path) -> bool:
    """Say whether ``folder`` looks like a model's, whole or not."""
    return (folder / MANIFEST).is_file()


def replace_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Put a folder of files in the place of ``folder``, whole or not at all.

    Raises:
        Refused: The place cannot be written, or the disk is full; what was there is there still.
    """
    part = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        for name, data in contents.items():
            (part / name).write_bytes(data)
        swap(part, folder)
    except OSError as error:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        why = f"cannot be written ({error.strerror or error})"
        raise Refused(str(folder), why, "free space, or give another --out") from None


def swap(new: Path, folder: Path) -> None:
    """Put the folder ``new``, on the same disk, in the place of ``folder``."""
    folder = folder.resolve()
    new.chmod(0o755)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    try:
        new.replace(folder)
    except OSError:
        if old.exists():
            old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _manifest(folder: Path) -> dict[str, str]:
    """Return the files of a model and their hashes."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        number, hashes = manifest["format"], manifest["files"]
        maker = manifest["hale"]
    except FileNotFoundError:
        why = f"is no model of hale: it has no {MANIFEST}"
        raise Refused(str(folder), why, "give the --out of a `hale fit`") from None
    except (ValueError, KeyError, TypeError, OSError):
        why = f"its {MANIFEST} is not one of hale"
        raise Refused(str(folder), why, "copy or fit it again") from None
    if (
        not isinstance(number, int)
        or not isinstance(hashes, dict)
        or not all(isinstance(h, str) for h in hashes.values())
    ):
        raise Refused(str(folder), f"its {MANIFEST} is not one of hale", "copy or fit it again")
    if number > FORMAT:
        why = f"is of format {number}, written by hale {maker}; this one reads up to {FORMAT}"
        raise Refused(str(folder), why, "update hale")
    if number < FORMAT:
        why = f"is of format {number}, whose scans were prepared another way"
        raise Refused(str(folder), why, "fit it again")
    if missing := [name for name in REQUIRED if name not in hashes]:
        raise Refused(str(folder), f"lists no {missing[0]}", "copy or fit it again")
    if foreign := [name for name in hashes if name not in (*REQUIRED, CALIBRATION)]:
        raise Refused(str(folder), f"lists {foreign[0]}, which no model has", "fit it again")
    return dict(hashes)


def _content(folder: Path, name: str, sha256: str) -> bytes:
    try:
        data = (folder / name).read_bytes()
    except OSError:
        raise Refused(str(folder), f"its {name} is missing", "copy it again") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        why = f"its {name} is damaged or was altered (its hash differs)"
        raise Refused(str(folder), why, "copy or fit it again")
    return data


def _table(data: bytes) -> dict[str, Any]:
    table = json.loads(data)
    if not isinstance(table, dict):
        msg = "a list where a table belongs"
        raise ValueError(msg)
    return table


def _json(table: Mapping[str, Any]) -> bytes:
    return (json.dumps(table, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _hash_of(hashes: Mapping[str, str]) -> str:
    """Return one hash for all files but the card, which says nothing to a machine."""
    lines = sorted(f"{name} {sha256}" for name, sha256 in hashes.items() if name != CARD)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
