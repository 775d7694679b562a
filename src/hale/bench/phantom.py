"""The data of a suite that needs none: phantom brains, made where results go."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hale.bench.place import PHANTOMS
from hale.bench.suite import Suite
from hale.core.errors import Refused
from hale.data.phantom import write_cohort

MADE = "phantoms.json"
"""Beside phantoms: what they were made by."""


def phantom_data(suite: Suite, data: Path | None, out: Path) -> Path:
    """Return the folder that a suite's folders of scans lie in.

    Args:
        suite: If it describes phantoms, they are made below ``out``, unless just these are there.
        data: As it was given.
        out: Of the benchmark.

    Raises:
        Refused: Data for a suite that makes its own, or none for one that does not; something else
            where phantoms are to go.
    """
    if suite.phantoms is None:
        if data is None:
            raise Refused("--data", "is missing", f"the suite needs {_needed(suite)} below it")
        return data.resolve()
    if data is not None:
        raise Refused(f"--data {data}", "is of no use: the suite makes phantoms", "leave it out")
    folder = out.resolve() / PHANTOMS
    settings = asdict(suite.phantoms)
    if _made(folder) != {**settings, "whole": True}:
        _clear(folder)
        _mark(folder, {**settings, "whole": False})
        write_cohort(folder / suite.healthy, **settings)
        _mark(folder, {**settings, "whole": True})
    return folder


def _made(folder: Path) -> dict[str, Any] | None:
    """Return what the phantoms of a folder were made by, and whether all are there."""
    try:
        told: dict[str, Any] = json.loads((folder / MADE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told


def _mark(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write what the phantoms of a folder are made by."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{MADE}.part"
    part.write_text(json.dumps(settings) + "\n", encoding="utf-8")
    part.replace(folder / MADE)


def _clear(folder: Path) -> None:
    """Take away phantoms of other settings, and nothing else.

    Raises:
        Refused: The folder holds something that was not made here.
    """
    if (folder / MADE).is_file():
        shutil.rmtree(folder)
    elif folder.is_dir() and any(folder.iterdir()):
        why = f"is to hold phantoms, and holds something else (no {MADE})"
        raise Refused(str(folder), why, "take it away, or give another --out")


def _needed(suite: Suite) -> str:
    """Return the folders that a suite names."""
    folders = [suite.healthy, suite.cases, *(cohort.data for cohort in suite.cohorts)]
    folders += [cohort.lesions.shapes for cohort in suite.cohorts if cohort.lesions is not None]
    return ", ".join(dict.fromkeys(name for name in folders if name))
