"""From files to a raw scan."""

import json
from pathlib import Path
from typing import Any

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Contrast, RawScan, Source
from hale.core.types import Mask
from hale.io.nifti import read_volume, stem


def read_raw(
    path: Path,
    contrast: Contrast,
    *,
    name: str | None = None,
    brain: Path | None = None,
    age: float | None = None,
) -> RawScan:
    """Read one scan.

    Args:
        path: The image.
        contrast: What it is.
        name: Its id; the file's stem if None.
        brain: A brain mask on the same grid.
        age: Years, if known.

    Raises:
        Refused: The image cannot be read, or the mask does not fit it.
    """
    read = read_volume(path)
    source = Source(
        stored=read.stored,
        files=(path.name,),
        sha256=(read.sha256,),
        notes=read.notes,
        age=age,
        scanner=_scanner(path.with_name(f"{stem(path)}.json")),
    )
    return RawScan(
        id=name if name is not None else stem(path),
        volumes={contrast: read.volume},
        brain=None if brain is None else _read_brain(brain, read.volume.grid, path),
        source=source,
    )


def _read_brain(path: Path, grid: Grid, scan: Path) -> Mask:
    """Return a given brain mask, refusing one that does not lie on the scan."""
    try:
        volume = read_volume(path).volume
    except Refused as error:
        if "every voxel is 0" in error.why:
            raise Refused(str(path), "the brain mask is empty", "give another") from None
        raise
    if not volume.grid.is_the_same_as(grid):
        why = f"the brain mask lies on another grid than {scan.name}"
        raise Refused(str(path), why, "resample the mask onto the scan")
    brain: Mask = volume.values > 0
    if not brain.any():
        raise Refused(str(path), "the brain mask is empty", "give another")
    return brain


def _scanner(sidecar: Path) -> str | None:
    """Return maker, model and field strength from a BIDS side-car, None if it says none."""
    if not sidecar.is_file():
        return None
    try:
        table: Any = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(str(sidecar), f"is no JSON ({error})", "mend or remove it") from None
    if not isinstance(table, dict):
        raise Refused(str(sidecar), "is no JSON table", "mend or remove it")
    keys = ("Manufacturer", "ManufacturersModelName", "MagneticFieldStrength")
    said = [str(table[key]) for key in keys if key in table]
    return " ".join(said) or None
