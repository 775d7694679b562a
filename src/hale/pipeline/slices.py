"""Slices of BraTS-like folders as 256 x 256 arrays, for methods and tools that take pictures."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from hale.core.errors import Refused
from hale.core.grid import Grid, resample
from hale.core.types import Map
from hale.io.nifti import read_volume
from hale.pipeline.prepare import quiet
from hale.pipeline.write import new_folder

KINDS = ("t1", "t1ce", "t2", "flair", "t1n", "t1c", "t2w", "t2f")
"""Of BraTS until 2021, and since 2023."""
NAME = re.compile(rf"(?P<id>.+)[_-](?P<kind>{'|'.join(KINDS)})\.nii(?:\.gz)?")
"""The whole end of a name decides: ``_t1`` is not ``_t1ce``."""
SIZE = 256
PERCENTILES = (1.0, 99.0)
"""Of the brain; they become 0 and 1."""
TABLE = "slices.tsv"
FLOOR = 1 / 255
"""What the darkest of the brain become: 0 is not brain."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """One slice that was written."""

    id: str
    contrast: str
    slice: int
    """Its number from the feet, the same for all contrasts of an exam."""
    brain_voxels: int
    low: float
    """The scan's intensity that became 0."""
    high: float
    """The one that became 1."""
    pixel_mm: float
    left_voxel: float
    """First index, of the scan turned to RAS, of column 0."""
    front_voxel: float
    """Second index, of the scan turned to RAS, of row 0."""
    source: str
    """The file, from the folder of data on."""
    file: str


COLUMNS = tuple(field.name for field in fields(Written))


def write_slices(
    data: Path, out: Path, *, every: bool = False, tell: Callable[[str], None] = quiet
) -> list[Written]:
    """Write the axial slice with most brain of each exam, as ``<id>/<id>_<contrast>.npy``.

    float32, 256 x 256, `FLOOR` to 1 (1st to 99th percentile of the brain), 0 outside the brain,
    which is where a contrast is 0. Rows from front to back, columns from left to right. `TABLE`
    holds what it takes to go back: row r, column c shows the voxel (left_voxel + c * pixel_mm /
    spacing, front_voxel - r * pixel_mm / spacing, slice). The data is read, never changed.

    Args:
        data: Brain-extracted exams with files named ``*_t1``, ``*_t1ce``, ``*_t2``, ``*_flair`` at
            any depth. Files with ``seg`` in their names are left alone.
        out: A folder, to be made; `TABLE` lists what is in it.
        every: Each slice with brain; its number, ``_k077``, ends the name.
        tell: Told which exams were left out, and why.

    Raises:
        Refused: No such exam, or no exam that can be cut.
    """
    exams = find_exams(data, tell=tell)
    rows: list[Written] = []
    with new_folder(out) as folder:
        for name, files in exams.items():
            try:
                rows += _write_exam(name, files, (data, folder), every=every)
            except Refused as error:
                tell(f"left out {name}: {error}")
        if not rows:
            raise Refused(str(data), "no exam could be cut", "see what is said of each")
        (folder / TABLE).write_text(_table(rows), encoding="utf-8")
    return rows


def find_exams(data: Path, *, tell: Callable[[str], None] = quiet) -> dict[str, dict[str, Path]]:
    """Return the files of each exam by contrast, in the order of `KINDS`.

    An exam is the files of one folder whose names are the same but for their end. That name is its
    id; where several folders have it, their path from ``data`` on comes first.

    Args:
        data: A folder.
        tell: Told which exams were left out because two files are of one contrast.

    Raises:
        Refused: No folder, or no exam there.
    """
    if not data.is_dir():
        raise Refused(str(data), "is not a folder", "give a folder of exams")
    found: dict[tuple[Path, str], dict[str, list[Path]]] = {}
    for path in sorted(data.rglob("*")):
        match = NAME.fullmatch(path.name.lower())
        apart = "seg" in path.name.lower() or path.name.startswith(".")
        if match is None or apart or not path.is_file():
            continue
        files = found.setdefault((path.parent, path.name[: match.end("id")]), {})
        files.setdefault(match["kind"], []).append(path)
    if not found:
        named = ", ".join(f"*_{kind}.nii.gz" for kind in KINDS[:4])
        raise Refused(str(data), f"holds no {named}", "name the files so")
    shared = Counter(name for _, name in found)
    exams = {}
    for (folder, name), files in found.items():
        where = folder.relative_to(data).parts
        known_as = name if shared[name] == 1 else "_".join((*where, name))
        if twice := [paths for paths in files.values() if len(paths) > 1]:
            tell(f"left out {known_as}: {twice[0][0]} and {twice[0][1]} are of one contrast")
        elif known_as in exams:
            tell(f"left out {folder / name}: another exam is known as {known_as}")
        else:
            exams[known_as] = {kind: files[kind][0] for kind in KINDS if kind in files}
    return exams


def _write_exam(
    name: str, files: Mapping[str, Path], folders: tuple[Path, Path], *, every: bool
) -> list[Written]:
    """Write the slices of one exam, from the first folder to the second.

    Raises:
        Refused: A file cannot be read, or its contrasts do not share a grid; nothing is written.
    """
    data, folder = folders
    volumes = {kind: read_volume(path).volume for kind, path in files.items()}
    grid = next(iter(volumes.values())).grid
    for kind, volume in volumes.items():
        if not volume.grid.is_the_same_as(grid):
            raise Refused(name, f"its {kind} lies on another grid", "register and resample it")
    brain = np.logical_and.reduce(
        [np.isfinite(volume.values) & (volume.values != 0) for volume in volumes.values()]
    )
    counts = brain.sum((0, 1))
    if not counts.any():
        raise Refused(
            name, "every voxel is 0 in one contrast or another", "give brain-extracted scans"
        )
    chosen = np.flatnonzero(counts) if every else np.array([counts.argmax()])
    ranges = {kind: np.percentile(v.values[brain], PERCENTILES) for kind, v in volumes.items()}
    flat = [kind for kind, (low, high) in ranges.items() if low == high]
    if flat:
        raise Refused(name, f"its {flat[0]} has no contrast (one grey value)", "check the scan")
    (folder / name).mkdir()
    pixel, left, front = layout(grid)
    rows = []
    for kind, volume in volumes.items():
        low, high = map(float, ranges[kind])
        unitless = np.where(brain, ((volume.values - low) / (high - low)).clip(FLOOR, 1), 0)
        for k in map(int, chosen):
            row = Written(
                id=name,
                contrast=kind,
                slice=k,
                brain_voxels=int(counts[k]),
                low=low,
                high=high,
                pixel_mm=pixel,
                left_voxel=left,
                front_voxel=front,
                source=files[kind].relative_to(data).as_posix(),
                file=f"{name}/{name}_{kind}{f'_k{k:03}' if every else ''}.npy",
            )
            np.save(folder / row.file, as_picture(unitless.astype(np.float32), grid, k))
            rows.append(row)
    return rows


def layout(grid: Grid) -> tuple[float, float, float]:
    """Return the mm of a pixel, the first index of column 0 and the second index of row 0."""
    counts, mm = np.array(grid.shape[:2]), np.array(grid.spacing[:2])
    pixel = float((counts * mm).max()) / SIZE
    middle, reach = (counts - 1) / 2, pixel / mm * (SIZE - 1) / 2
    return pixel, float(middle[0] - reach[0]), float(middle[1] + reach[1])


def as_picture(values: Map, grid: Grid, k: int) -> np.ndarray:
    """Return a slice padded to a square and resized to `SIZE`: rows to the back, columns right."""
    layer = np.eye(4)
    layer[2, 3] = k
    source = Grid(shape=(*values.shape[:2], 1), affine=grid.affine @ layer)
    pixel, left, front = layout(grid)
    scale = pixel / np.array(grid.spacing[:2])
    square = np.diag([*scale, 1.0, 1.0])
    square[:2, 3] = left, front - scale[1] * (SIZE - 1)
    target = Grid(shape=(SIZE, SIZE, 1), affine=source.affine @ square)
    cut = resample(values[:, :, k : k + 1], source, target)[:, :, 0]
    return np.ascontiguousarray(cut.T[::-1])


def _table(rows: Sequence[Written]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(row, column) for column in COLUMNS] for row in rows)
    return text.getvalue()
