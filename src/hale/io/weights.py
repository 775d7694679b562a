"""Weights in safetensors files that others wrote: the header is believed first, then the data."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from hale.core.errors import Refused

FLOATS = ("F32", "F16")
"""Types of tensors that are read; both become float32."""
REMEDY = "give the file as it was published, and the recipe of its architecture"


def read_weights(
    path: Path, shapes: Mapping[str, tuple[int, ...]], *, prefix: str = ""
) -> dict[str, np.ndarray]:
    """Return float32 arrays by name; names, shapes and types are checked before any is read.

    Args:
        path: A safetensors file. Nothing else is opened, pickles least of all.
        shapes: Of the arrays that have to be there, all of them and no other.
        prefix: Is dropped from names that begin with it.

    Raises:
        Refused: No safetensors file; or names the first array that is missing, unknown, there
            twice, of another shape or of another type, or that holds NaN or infinity.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = _names(path, list(file.keys()), prefix)
            _refuse_unknown(path, names, shapes)
            for name, shape in shapes.items():
                part = file.get_slice(names[name])
                _refuse_other(path, name, tuple(part.get_shape()), shape, part.get_dtype())
            read = {name: np.asarray(file.get_tensor(names[name]), np.float32) for name in shapes}
    except SafetensorError as error:
        remedy = "give the .safetensors file; hale opens no pickle (.pt, .pth, .bin)"
        raise Refused(str(path), f"is no safetensors file ({error})", remedy) from None
    for name, array in read.items():
        if not np.isfinite(array).all():
            raise Refused(str(path), f"array {name!r} is not finite", "download it again")
    return read


def _names(path: Path, stored: list[str], prefix: str) -> dict[str, str]:
    """Return the name in the file by the name without prefix."""
    names: dict[str, str] = {}
    for name in stored:
        short = name.removeprefix(prefix)
        if short in names:
            raise Refused(str(path), f"holds {short!r} with and without {prefix!r}", REMEDY)
        names[short] = name
    return names


def _refuse_unknown(
    path: Path, names: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    if missing := sorted(shapes.keys() - names.keys()):
        raise Refused(str(path), f"array {missing[0]!r} is missing", REMEDY)
    if extra := sorted(names.keys() - shapes.keys()):
        raise Refused(str(path), f"array {extra[0]!r} is none of this network's", REMEDY)


def _refuse_other(
    path: Path, name: str, have: tuple[int, ...], want: tuple[int, ...], kind: str
) -> None:
    if have != want:
        raise Refused(str(path), f"array {name!r} is {have}, this network's is {want}", REMEDY)
    if kind not in FLOATS:
        why = f"array {name!r} is {kind}, not one of {', '.join(FLOATS)}"
        raise Refused(str(path), why, REMEDY)
