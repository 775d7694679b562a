"""Benchmarks below the folder of results: a leaderboard, and any case of it against its mask."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from hale.core.errors import Refused
from hale.core.types import Map, MapElsewhere, Mask, MaskElsewhere
from hale.data.cohort import Entry
from hale.data.references import MapFiles, find_maps, read_map, read_on
from hale.serve.files import Unknown, called, opaque

BOARD = Path("leaderboard") / "leaderboard.json"
SUITE, MAPS, PHANTOMS = "suite.toml", "maps", "phantoms"
TRUE, MISSED, FALSE = 1, 2, 3
"""Values of an outcome."""
LARGEST_BOARD = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The folder of one."""

    id: str
    folder: Path
    path: str


@dataclass(frozen=True, kw_only=True)
class Case:
    """A case of a run on a cohort."""

    entry: Entry
    maps: MapFiles
    cohort: Any
    """`hale.bench.suite.Cohort`."""
    place: Any
    """`hale.bench.place.Place`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What a method found of a case, RAS+."""

    values: np.ndarray
    """uint8 (i j k): 0, `TRUE`, `MISSED` or `FALSE`."""
    affine: np.ndarray
    voxel_ml: float
    found_by: str

    def as_json(self) -> dict[str, Any]:
        """Return its volumes, ml."""
        names = {"true_ml": TRUE, "missed_ml": MISSED, "false_ml": FALSE}
        counts = np.bincount(self.values.ravel(), minlength=4)
        told = {name: round(int(counts[n]) * self.voxel_ml, 3) for name, n in names.items()}
        return {**told, "found_by": self.found_by}


def benchmarks(root: Path) -> Iterator[Benchmark]:
    """Yield the benchmarks at and below a folder; links are not followed."""
    for folder, folders, _ in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if (Path(folder) / BOARD).is_file():
            folders.clear()
            path = Path(folder).relative_to(root).as_posix()
            yield Benchmark(id=opaque(path), folder=Path(folder), path=path)


def benchmark_of(root: Path, name: str) -> Benchmark:
    """Return the benchmark of an id.

    Raises:
        Unknown: There is none.
    """
    return called(name, benchmarks(root), "benchmark")


def board_of(one: Benchmark) -> dict[str, Any]:
    """Return a leaderboard.

    Raises:
        Refused: It cannot be read.
    """
    path = one.folder / BOARD
    try:
        if path.stat().st_size > LARGEST_BOARD:
            raise Refused(one.path, "its leaderboard is too large", "run `hale bench` again")
        table: Any = json.loads(path.read_bytes())
    except (OSError, ValueError):
        table = None
    if not isinstance(table, dict):
        raise Refused(one.path, "its leaderboard cannot be read", "run `hale bench` again")
    return table


def runs_of(one: Benchmark) -> dict[str, list[str]]:
    """Return the runs whose maps are there, and the cohorts of each."""
    runs = sorted((one.folder / MAPS).glob("*/"))
    return {run.name: sorted(path.name for path in run.glob("*/")) for run in runs}


def case_of(one: Benchmark, run: str, cohort: str, name: str, data: Path | None) -> Case:
    """Return a case of a run on a cohort.

    Args:
        one: Of `benchmark_of`.
        run: A name that `runs_of` lists.
        cohort: Likewise.
        name: Of the case.
        data: Folder that the suite's folders of scans lie in.

    Raises:
        Refused: The suite's scans are not there.
        Unknown: There is no such case.
    """
    if cohort not in runs_of(one).get(run, ()):
        raise Unknown(f"{run}, {cohort}", "the benchmark has no such maps", "load the list again")
    maps = find_maps(one.folder / MAPS / run / cohort)
    changed = (one.folder / SUITE).stat().st_mtime_ns
    phantoms = one.folder / PHANTOMS
    found, place = _entries(one.folder, phantoms if phantoms.is_dir() else data, changed)
    settings, entries = found.get(cohort, (None, {}))
    if name not in maps or name not in entries:
        raise Unknown(name, "the cohort has no such case", "load the list again")
    return Case(entry=entries[name], maps=maps[name], cohort=settings, place=place)


def outcome_of(case: Case) -> Outcome:
    """Return what was found of a case, missed, and found wrongly.

    Where a method has no mask, it is given as many of its highest voxels as the lesion has: an
    oracle, and called one.

    Raises:
        Refused: A mask cannot be read, or lies elsewhere.
    """
    from hale.bench.cohorts import labels_of
    from hale.bench.guards import truth_of

    anomaly = read_map(case.maps.anomaly)
    lesion = np.zeros(anomaly.values.shape, bool)
    if case.entry.lesion is not None:
        lesion, _ = truth_of(case.entry, labels_of(case.cohort, case.place))
    if lesion.shape != anomaly.values.shape:
        raise Refused(case.entry.id, "map and mask lie on different grids", "run it again")
    if case.maps.mask is not None:
        found, by = read_on(case.maps.mask, anomaly.grid) > 0, "its mask"
    else:
        found = _highest(anomaly.values, int(lesion.sum()))
        by = "as many of its highest voxels as the lesion has (oracle)"
    values = np.zeros(lesion.shape, np.uint8)
    values[lesion & found], values[lesion & ~found], values[found & ~lesion] = TRUE, MISSED, FALSE
    grid = anomaly.grid
    return Outcome(values=values, affine=grid.affine, voxel_ml=grid.voxel_ml, found_by=by)


def write_outcome(outcome: Outcome, path: Path) -> None:
    """Write it as NIfTI, RAS+."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{path.name}")
    nib.save(nib.Nifti1Image(outcome.values, outcome.affine), part)
    part.replace(path)


def _highest(values: Map | MapElsewhere, count: int) -> Mask | MaskElsewhere:
    if not count:
        return np.zeros(values.shape, bool)
    limit = np.partition(values.ravel(), values.size - count)[values.size - count]
    chosen: Mask = (values >= limit) & (values > 0)
    return chosen


@lru_cache(maxsize=4)
def _entries(
    folder: Path, data: Path | None, changed: int
) -> tuple[Mapping[str, tuple[Any, Mapping[str, Entry]]], Any]:
    """Return the cases of each cohort of a benchmark, and where its data are."""
    from hale.bench.cohorts import scans_of
    from hale.bench.place import Place
    from hale.bench.planting import there
    from hale.bench.suite_file import read_suite

    del changed
    if data is None:
        why = "its scans are not here"
        raise Refused(folder.name, why, "start the station with --scans ROOT, the bench's --data")
    suite, place = read_suite(str(folder / SUITE)), Place(data=data, out=folder)
    found: dict[str, tuple[Any, Mapping[str, Entry]]] = {}
    for cohort in suite.cohorts:
        try:
            entries: Sequence[Entry] = there(cohort, scans_of(cohort, place), place)
        except Refused:
            continue  # of this cohort the scans are not here, of others they may be
        found[cohort.name] = (cohort, {entry.id: entry for entry in entries})
    return found, place
