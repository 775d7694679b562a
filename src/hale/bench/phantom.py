"""The data of a suite that needs none: phantom brains, made where results go."""

from dataclasses import asdict
from pathlib import Path

from hale.bench.place import PHANTOMS
from hale.bench.suite import Suite
from hale.core.errors import Refused
from hale.data.participants import TABLE
from hale.data.phantom import write_cohort


def phantom_data(suite: Suite, data: Path | None, out: Path) -> Path:
    """Return the folder that a suite's folders of scans lie in.

    Args:
        suite: If it describes phantoms, they are made below ``out``, unless they are there.
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
    folder = out.resolve() / PHANTOMS
    place = folder / suite.healthy
    if not (place / TABLE).is_file():  # written last
        out.mkdir(parents=True, exist_ok=True)
        write_cohort(place, **asdict(suite.phantoms))
    return folder


def _needed(suite: Suite) -> str:
    """Return the folders that a suite names."""
    folders = [suite.healthy, suite.cases, *(cohort.data for cohort in suite.cohorts)]
    folders += [cohort.lesions.shapes for cohort in suite.cohorts if cohort.lesions is not None]
    return ", ".join(dict.fromkeys(name for name in folders if name))
