"""Where a result lies in the space of its model: the way back, kept beside it.

``station.json`` holds the affine, ``place.safetensors`` the warp where there is one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from hale.core.grid import Grid
from hale.core.trace import Trace
from hale.core.warp import Warp, Way
from hale.serve.files import read_table, write_bytes

MADE = "station.json"
"""What the station notes of a result that it made; written last."""
WARP = "place.safetensors"


def place_of(folder: Path, trace: Trace) -> dict[str, Any]:
    """Keep the warp of a scan, and return the rest of its place as plain JSON."""
    warp = trace.warp
    if warp is not None:
        arrays = {"forward": warp.forward, "inverse": warp.inverse, "affine": warp.grid.affine}
        kept = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        write_bytes(folder / WARP, save(kept))
    return trace.place()


def way_of(folder: Path, told: Any = None) -> tuple[Way, Grid] | None:
    """Return the way from model space to the scan, and the model's grid; None if unknown.

    Args:
        folder: Of the result.
        told: What its ``detection.json`` says of the place, which knows no warp.
    """
    table = (read_table(folder / MADE) or {}).get("place") or told
    try:
        if not isinstance(table, Mapping):
            return None
        i, j, k = (int(n) for n in table["model_shape"])
        grid = Grid(shape=(i, j, k), affine=np.array(table["model_affine"], float))
        warp = _warp(folder / WARP) if table["warped"] else None
        return Way(affine=np.array(table["affine"], float), warp=warp), grid
    except (KeyError, TypeError, ValueError, OSError, SafetensorError):
        return None


def _warp(path: Path) -> Warp:
    arrays = load_file(path)
    i, j, k = arrays["forward"].shape[1:]
    grid = Grid(shape=(i, j, k), affine=arrays["affine"])
    return Warp(grid=grid, forward=arrays["forward"], inverse=arrays["inverse"])
