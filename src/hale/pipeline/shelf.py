"""Exams prepared once and kept as NIfTI, with a table and a contact sheet of their quality."""

import csv
import io
import json
import math
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hale.core.errors import Refused
from hale.core.quality import Quality, Verdict
from hale.core.scan import Space, Stored
from hale.data.cohort import Entry
from hale.io.cache import Cache, key_of
from hale.io.nifti import write_volume
from hale.pipeline.fitness import quality_of
from hale.pipeline.model import versions
from hale.pipeline.prepare import Progress, read_entry, silent
from hale.pipeline.verdict import distribution, judge
from hale.pipeline.workers import Crew, Failure
from hale.pipeline.write import new_folder, quality_json
from hale.prep.chain import Prepared, prepare, space_of
from hale.prep.settings import Mode, Preparation
from hale.prep.template import template_on
from hale.recipe import plain
from hale.report.canvas import Picture
from hale.report.contact import Card, thumbnail, write_contact_sheet

RECORD, PICTURE = "prepared.json", "check.webp"
TABLE, FAILED, SHEET = "quality.tsv", "failed.csv", "contact.html"
PEOPLE = "participants.tsv"
FIGURES = ("brain_ml", "overlap_dice", "resemblance", "outside_share", "noise", "ghosting")
"""Of the table; the record holds all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shelf:
    """Where prepared exams are kept, and how they are prepared."""

    out: Path
    settings: Preparation
    space: Space
    cache: Cache
    insist: bool = False
    """Whether exams that quality control refuses are kept, with that verdict."""

    @property
    def key(self) -> str:
        """Return what decides whether an exam on the shelf is still what would be made."""
        return key_of(plain(self.settings), self.space.grid.affine.tolist(), self.insist)


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

    An exam that is there, from the same files and the same settings, is not done again.

    Raises:
        Refused: The folder holds something else, or cannot be written.
    """
    _refuse_foreign(shelf.out)
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
    records = [_record(shelf.out, entry.id) for entry in entries if entry.id not in failed]
    try:
        _write_tables(shelf, records, failures)
        _write(shelf.out / PEOPLE, _people(entries), "\t")
    except OSError as error:
        why = f"cannot be written ({error.strerror or error})"
        raise Refused(str(shelf.out), why, "free space; the same command goes on") from None
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
            picture = _thumbnail(shelf, prepared)
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
    write_volume(folder / f"{entry.id}_desc-brain_mask.nii.gz", brain, stored)


def _thumbnail(shelf: Shelf, prepared: Prepared) -> Picture:
    """Return the picture of the first contrast."""
    registered = shelf.settings.mode is Mode.FULL
    where = shelf.settings.template_of_reference
    atlas = template_on(shelf.space.grid, where) if registered else None
    return thumbnail(prepared.scan.image[0], prepared.scan.brain, atlas)


def _made(shelf: Shelf, entry: Entry, prepared: Prepared, quality: Quality) -> dict[str, Any]:
    """Return the record of a prepared exam, plain JSON."""
    trace = prepared.trace
    return {
        "id": entry.id,
        "key": shelf.key,
        "files": {str(contrast): path.name for contrast, path in entry.files.items()},
        "sha256": entry.sha256,
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


def _refuse_foreign(out: Path) -> None:
    """Refuse a folder that holds something, but no prepared exams."""
    if out.is_file():
        raise Refused(str(out), "is a file", "give another --out")
    if out.is_dir() and any(out.iterdir()) and not any(out.glob(f"*/{RECORD}")):
        why = "is not empty, and holds no prepared exams to go on with"
        raise Refused(str(out), why, "give another --out")


def _people(entries: Sequence[Entry]) -> list[list[str]]:
    """Return the table of people, so that the shelf is a cohort with the same splits."""
    rows = {e.person: [e.person, _age(e.age), str(e.split or "n/a")] for e in entries}
    return [["participant_id", "age", "split"], *rows.values()]


def _age(age: float | None) -> str:
    return "n/a" if age is None else f"{age:g}"


def _is_there(shelf: Shelf, entry: Entry) -> bool:
    """Say whether the shelf holds this exam, prepared like this."""
    try:
        record = _record(shelf.out, entry.id)
        return bool(record["key"] == shelf.key and record["sha256"] == entry.sha256)
    except (OSError, ValueError, KeyError):
        return False


def _record(out: Path, name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((out / name / RECORD).read_text(encoding="utf-8"))
    return record


def _write_tables(
    shelf: Shelf, records: Sequence[dict[str, Any]], failures: Sequence[Failure]
) -> None:
    """Write the table of quality, the reasons of what failed, and the contact sheet."""
    shelf.out.mkdir(parents=True, exist_ok=True)
    cohort = distribution([_checks(record) for record in records])
    outside = {r["id"]: judge(_checks(r), cohort).out_of_domain for r in records}
    head = ["id", "verdict", *FIGURES, "contrasts", "seconds", "reasons", "unlike_the_cohort"]
    rows = [
        [
            record["id"],
            record["quality"]["verdict"],
            *(_figure(record["checks"].get(name)) for name in FIGURES),
            " ".join(f"{c['claimed']}:{c['recognised']}" for c in record["quality"]["contrasts"]),
            f"{sum(record['seconds'].values()):.1f}",
            "; ".join(finding["what"] for finding in record["quality"]["findings"]),
            "; ".join(outside[record["id"]]),
        ]
        for record in records
    ]
    _write(shelf.out / TABLE, [head, *rows], "\t")
    _write(shelf.out / FAILED, [["id", "reason"], *([f.id, f.reason] for f in failures)], ",")
    cards = [_card(shelf.out, record, outside[record["id"]]) for record in records]
    cards += [Card(id=f.id, verdict="failed", reasons=(f.reason,)) for f in failures]
    write_contact_sheet(cards, shelf.out.resolve().name, shelf.out / SHEET)


def _card(out: Path, record: dict[str, Any], unlike: Sequence[str]) -> Card:
    """Return an exam as the contact sheet shows it."""
    width, height, alt = record["picture"]
    data = (out / record["id"] / PICTURE).read_bytes()
    brain, overlap = (record["checks"].get(name) for name in ("brain_ml", "overlap_dice"))
    figures = [f"brain {brain:.0f} ml"] if brain else []
    figures += [f"overlap {overlap:.3f}"] if overlap else []
    reasons = [finding["what"] for finding in record["quality"]["findings"]]
    return Card(
        id=record["id"],
        verdict=record["quality"]["verdict"],
        reasons=(*reasons, *(f"Unlike the cohort: {text}" for text in unlike)),
        figures=", ".join(figures),
        picture=Picture(data=data, width=width, height=height, alt=alt),
    )


def _checks(record: dict[str, Any]) -> dict[str, float]:
    return {name: math.nan if x is None else x for name, x in record["checks"].items()}


def _figure(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"


def _write(path: Path, rows: Sequence[Sequence[Any]], delimiter: str) -> None:
    """Write a table whole or not at all."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text.getvalue(), encoding="utf-8")
    part.replace(path)
