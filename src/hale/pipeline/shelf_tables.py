"""Tables and contact sheet of a shelf of prepared exams, of this call's and of earlier ones'."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hale.core.errors import Refused
from hale.data.cohort import Entry
from hale.data.names import RECORD
from hale.pipeline.verdict import distribution, judge
from hale.pipeline.workers import Failure
from hale.report.canvas import Picture
from hale.report.contact import Card, write_contact_sheet

PICTURE = "check.webp"
TABLE, FAILED, SHEET = "quality.tsv", "failed.csv", "contact.html"
PEOPLE = "participants.tsv"
FIGURES = ("brain_ml", "overlap_dice", "resemblance", "outside_share", "noise", "ghosting")
"""Of the table; the record holds all."""
PEOPLE_HEAD = ["participant_id", "person", "age", "split"]


def write_tables(
    out: Path,
    entries: Sequence[Entry],
    records: Sequence[dict[str, Any]],
    failures: Sequence[Failure],
) -> None:
    """Write quality, failures, people and the contact sheet, of all exams on the shelf.

    Args:
        out: The shelf.
        entries: Of this call; of others, what is there is kept.
        records: Of those that succeeded.
        failures: Of the others.

    Raises:
        Refused: The disk is full.
    """
    now = {entry.id for entry in entries}
    there = sorted(path.parent.name for path in out.glob(f"*/{RECORD}"))
    others = [name for name in there if name not in now and not name.startswith(".")]
    every = [*(record_of(out, name) for name in others), *records]
    gone = [
        Failure(id=row["id"], reason=row["reason"])
        for row in _read(out / FAILED, ",")
        if row["id"] not in {*now, *others}
    ]
    failed = [*gone, *failures]
    kept = {*others, *(failure.id for failure in gone)}
    listed = [
        [row.get(column) or "n/a" for column in PEOPLE_HEAD]
        for row in _read(out / PEOPLE, "\t")
        if row[PEOPLE_HEAD[0]] in kept
    ]
    try:
        _write_quality(out, every, failed)
        _write(out / FAILED, [["id", "reason"], *([f.id, f.reason] for f in failed)], ",")
        _write(out / PEOPLE, [PEOPLE_HEAD, *listed, *map(_person, entries)], "\t")
    except OSError as error:
        why = f"cannot be written ({error.strerror or error})"
        raise Refused(str(out), why, "free space; the same command goes on") from None


def record_of(out: Path, name: str) -> dict[str, Any]:
    """Return the record of a prepared exam."""
    record: dict[str, Any] = json.loads((out / name / RECORD).read_text(encoding="utf-8"))
    return record


def _person(entry: Entry) -> list[str]:
    """Return an exam's row, so that the shelf is a cohort of the same people and splits."""
    age = "n/a" if entry.age is None else f"{entry.age:g}"
    return [entry.id, entry.person, age, str(entry.split or "n/a")]


def _write_quality(
    out: Path, records: Sequence[dict[str, Any]], failures: Sequence[Failure]
) -> None:
    """Write the table of quality and the contact sheet."""
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
    _write(out / TABLE, [head, *rows], "\t")
    cards = [_card(out, record, outside[record["id"]]) for record in records]
    cards += [Card(id=f.id, verdict="failed", reasons=(f.reason,)) for f in failures]
    write_contact_sheet(cards, out.resolve().name, out / SHEET)


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


def _read(path: Path, delimiter: str) -> list[dict[str, str]]:
    """Return the rows of a table that an earlier call wrote, none if there is none."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))
