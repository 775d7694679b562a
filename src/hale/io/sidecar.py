"""The JSON beside an image, as BIDS and dcm2niix write it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hale.core.errors import Refused
from hale.io.nifti import stem


def sidecar_of(path: Path) -> Path:
    """Return where the side-car of an image would lie."""
    return path.with_name(f"{stem(path)}.json")


def read_sidecar(sidecar: Path) -> Mapping[str, Any]:
    """Return its table.

    Raises:
        Refused: The file cannot be read, or is no JSON table.
    """
    try:
        table: Any = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(str(sidecar), f"is no JSON ({error})", "mend or remove it") from None
    if not isinstance(table, dict):
        raise Refused(str(sidecar), "is no JSON table", "mend or remove it")
    return table
