"""Exams prepared once and kept as NIfTI, with a table and a contact sheet of their quality."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from hale.core.errors import Refused
from hale.core.quality import Quality, Verdict
from hale.core.scan import Contrast, Space, Stored
from hale.data.cohort import Entry
from hale.data.names import MASK, RECORD
from hale.io.cache import Cache, key_of
from hale.io.nifti import file_hash, write_volume
from hale.pipeline.fitness import quality_of
from hale.pipeline.prepare import Progress, read_entry, silent
from hale.pipeline.shelf_tables import PICTURE, record_of, write_tables
from hale.pipeline.versions import versions
from hale.pipeline.workers import Crew, Failure
from hale.pipeline.write import new_folder, quality_json
from hale.prep import chain, place
from hale.prep.brain import find
from hale.prep.chain import Prepared, prepare, space_of
from hale.prep.settings import Mode, Preparation
from hale.prep.template import template_hash, template_on
from hale.recipe import plain
from hale.report.canvas import Picture
from hale.report.contact import thumbnail

MARK = "shelf.json"
"""Says that a folder is for prepared exams, before there is one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shelf:
    """Where prepared exams are kept, and how they are prepared."""

    out: Path
    settings: Preparation
    space: Space
    cache: Cache
    insist: bool = False
    """Whether exams that quality control refuses are kept, with that verdict."""

    @cached_property
    def making(self) -> str:
        """Return the key of how exams are prepared: settings, grid, versions of the stages."""
        return key_of(
            plain(self.settings),
            [place.VERSION, find.VERSION, chain.BIAS_VERSION],
            [self.space.grid.affine.tolist(), self.space.grid.shape],
            self.insist,
        )

    def key(self, entry: Entry) -> str:
        """Return what decides whether an exam on the shelf is still what would be made."""
        brain = None if entry.brain is None else file_hash(entry.brain)
        where = self.template_for(entry.contrast)
        template = None if where is None else template_hash(where)
        return key_of(self.making, template, _hashes(entry), brain)

    def template_for(self, contrast: Contrast) -> str | None:
        """Return the template that a reference is registered to; None if it is not."""
        registered = self.settings.mode is Mode.FULL
        return self.settings.template_for(contrast) if registered else None


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What became of a cohort."""

    records: tuple[dict[str, Any], ...]
    failures: tuple[Failure, ...]
    reused: int

    @property
    def summary(self) -> str:
        """Return how many exams got which verdict."""
        found = Counter(record["quality"]["verdict"] for record in self.records)
        verdicts = ", ".join(f"{found[verdict]} {verdict}" for verdict in Verdict)
        return f"{verdicts}, {len(self.failures)} failed ({self.reused} were there before)"


def shelf_space(settings: Preparation, first: Entry) -> Space:
    """Return the grid that exams are brought to.

    Raises:
        Refused: Exams are to stay where they are.
    """
    if settings.mode is Mode.NATIVE:
        why = "leaves each exam on its own grid"
        raise Refused("prep.mode = 'native'", why, "use 'full' or 'given'")
    return space_of(settings, read_entry(first) if settings.mode is Mode.GIVEN else None)


def fill(
    shelf: Shelf, entries: Sequence[Entry], *, crew: Crew, progress: Progress = silent
) -> Filled:
    """Prepare every exam that is not on the shelf; write tables and contact sheet.

    An exam that is there, from the same files and the same settings, is not done again. The tables
    are of all exams on the shelf, those of earlier calls too.

    Raises:
        Refused: The folder holds something else, exams that are not among ``entries`` and were
            prepared with other settings, or cannot be written.
    """
    _claim(shelf.out)
    _refuse_mixture(shelf, entries)
    there = {entry.id for entry in entries if _is_there(shelf, entry)}
    todo = [entry for entry in entries if entry.id not in there]
    failures: list[Failure] = []
    progress("preparing", len(there), len(entries))
    work = partial(put, shelf)
    for done, (_, result) in enumerate(crew.each(work, todo), len(there) + 1):
        if isinstance(result, Failure):
            failures.append(result)
        progress("preparing", done, len(entries))
    failed = {failure.id for failure in failures}
    records = [record_of(shelf.out, entry.id) for entry in entries if entry.id not in failed]
    write_tables(shelf.out, entries, records, failures)
    return Filled(records=tuple(records), failures=tuple(failures), reused=len(there))


def put(shelf: Shelf, entry: Entry) -> Failure | None:
    """Prepare one exam and write its folder; a pure function of settings and exam."""
    try:
        raw = read_entry(entry)
        prepared = prepare(raw, shelf.settings, shelf.cache, shelf.space)
        quality = quality_of(prepared.trace)
        with new_folder(shelf.out / entry.id) as folder:
            if quality.verdict is not Verdict.REFUSE or shelf.insist:
                _write_images(folder, entry, prepared)
            picture = _thumbnail(shelf, entry.contrast, prepared)
            (folder / PICTURE).write_bytes(picture.data)
            size = {"picture": [picture.width, picture.height, picture.alt]}
            record = _made(shelf, entry, prepared, quality) | size
            (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    except Refused as error:
        shutil.rmtree(shelf.out / entry.id, ignore_errors=True)  # of an earlier file of this id
        return Failure(id=entry.id, reason=str(error))
    return None


def _write_images(folder: Path, entry: Entry, prepared: Prepared) -> None:
    """Write each contrast and the brain on the model grid, named so that they are a cohort."""
    scan = prepared.scan
    stored = Stored(shape=scan.space.grid.shape, affine=scan.space.grid.affine)
    for contrast, image in zip(entry.files, scan.image, strict=True):
        name = "ce-agent_T1w" if contrast == "T1w-ce" else contrast
        write_volume(folder / f"{entry.id}_{name}.nii.gz", image, stored)
    brain = scan.brain.astype(np.uint8)
    write_volume(folder / f"{entry.id}{MASK}", brain, stored)


def _thumbnail(shelf: Shelf, contrast: Contrast, prepared: Prepared) -> Picture:
    """Return the picture of the first contrast."""
    where = shelf.template_for(contrast)
    atlas = None if where is None else template_on(shelf.space.grid, where)
    return thumbnail(prepared.scan.image[0], prepared.scan.brain, atlas)


def _made(shelf: Shelf, entry: Entry, prepared: Prepared, quality: Quality) -> dict[str, Any]:
    """Return the record of a prepared exam, plain JSON."""
    trace = prepared.trace
    return {
        "id": entry.id,
        "key": shelf.key(entry),
        "files": {str(contrast): path.name for contrast, path in entry.files.items()},
        "sha256": _hashes(entry),
        "quality": quality_json(quality, trace.contrasts),
        "checks": {name: None if np.isnan(x) else x for name, x in trace.checks.items()},
        "notes": list(trace.notes),
        "to_native": trace.to_native.tolist(),
        "native": {"shape": trace.native.shape, "affine": trace.native.affine.tolist()},
        "intensity": trace.intensity,
        "seconds": {name: round(value, 2) for name, value in trace.seconds.items()},
        "prep": plain(shelf.settings),
        **versions(),
    }


def _hashes(entry: Entry) -> dict[str, str]:
    """Return the hash of each contrast's file."""
    return dict(zip(map(str, entry.files), entry.sha256, strict=True))


def _claim(out: Path) -> None:
    """Take a folder for prepared exams before any is; refuse one that holds anything else."""
    if out.is_file():
        raise Refused(str(out), "is a file", "give another --out")
    try:
        known = (out / MARK).is_file() or any(out.glob(f"*/{RECORD}"))
        if out.is_dir() and any(out.iterdir()) and not known:
            why = "is not empty, and holds no prepared exams to go on with"
            raise Refused(str(out), why, "give another --out")
        out.mkdir(parents=True, exist_ok=True)
        (out / MARK).write_text(json.dumps(versions(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        why = f"cannot be written ({error.strerror or error})"
        raise Refused(str(out), why, "give another --out") from None


def _refuse_mixture(shelf: Shelf, entries: Sequence[Entry]) -> None:
    """Refuse a shelf whose other exams would stay as other settings made them."""
    now, settings = {entry.id for entry in entries}, json.loads(json.dumps(plain(shelf.settings)))
    for path in sorted(shelf.out.glob(f"*/{RECORD}")):
        name = path.parent.name
        if name not in now and record_of(shelf.out, name)["prep"] != settings:
            why = f"holds {name}, which is not among these exams and has other settings"
            raise Refused(str(shelf.out), why, "give another --out, or remove that exam's folder")


def _is_there(shelf: Shelf, entry: Entry) -> bool:
    """Say whether the shelf holds this exam, prepared like this."""
    try:
        record = record_of(shelf.out, entry.id)
        return entry.refusal is None and bool(record["key"] == shelf.key(entry))
    except (OSError, ValueError, KeyError, TypeError):
        return False
