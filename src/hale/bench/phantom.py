"""The data of a suite that needs none: phantom brains, made where results go."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hale.bench.place import PHANTOMS, Place
from hale.bench.suite import Phantoms, Suite
from hale.core.errors import Refused
from hale.data.phantom import write_cohort

MADE = "phantoms.json"
"""Beside phantoms: what they were made by."""


def data_of(suite: Suite, data: Path | None, out: Path) -> Path:
    """Return the folder that a suite's folders of scans lie in: below ``out`` if it is made.

    Args:
        suite: Which.
        data: As it was given.
        out: Of the benchmark.

    Raises:
        Refused: Data for a suite that makes its own, or none for one that does not.
    """
    if suite.phantoms is None:
        if data is None:
            raise Refused("--data", "is missing", f"the suite needs {_needed(suite)} below it")
        return data.resolve()
    if data is not None:
        raise Refused(f"--data {data}", "is of no use: the suite makes phantoms", "leave it out")
    return out.resolve() / PHANTOMS


def make_phantoms(suite: Suite, folder: Path) -> None:
    """Make the phantoms that a suite describes, if it does, unless just these are there.

    Raises:
        Refused: The folder holds something else, or cannot be written.
    """
    if suite.phantoms is None or _are_made(suite.phantoms, folder):
        return
    settings = asdict(suite.phantoms)
    try:
        _clear(folder)
        _mark(folder, {**settings, "whole": False})
        write_cohort(folder / suite.healthy, **settings)
        _mark(folder, {**settings, "whole": True})
    except OSError as error:
        why = f"cannot be written ({error.strerror or error})"
        raise Refused(str(folder.parent), why, "give another --out") from None


@contextmanager
def rehearsed(suite: Suite, place: Place) -> Iterator[Place]:
    """Yield a place whose data are there, though phantoms for a moment only: nothing is kept."""
    if suite.phantoms is None or _are_made(suite.phantoms, place.data):
        yield place
        return
    with TemporaryDirectory() as folder:
        make_phantoms(suite, Path(folder) / PHANTOMS)
        yield replace(place, data=Path(folder) / PHANTOMS)


def _are_made(phantoms: Phantoms, folder: Path) -> bool:
    """Say whether a folder holds all phantoms of just these settings."""
    try:
        told = json.loads((folder / MADE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(told == {**asdict(phantoms), "whole": True})


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
