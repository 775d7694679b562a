"""The table of a data set's people: age, and what each may be used for.

A row is a person, or where somebody's exams differ, an exam, with a column ``person``.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from hale.core.errors import Refused
from hale.core.scan import Split
from hale.data.cohort import Entry

TABLE, ID = "participants.tsv", "participant_id"
EMPTY = {"", "n/a"}

Row = Mapping[str, str]
"""Cells by column, both stripped, columns in lower case."""
People = Mapping[str, Row]
"""Rows by participant, ``sub-`` left out: half of all tables leave it out."""


def people_around(folder: Path) -> People:
    """Return the rows of the nearest ``participants.tsv`` at or above ``folder``, 4 levels up.

    Raises:
        Refused: The table cannot be read, or names somebody twice.
    """
    for place in (folder, *list(folder.absolute().parents)[:4]):
        if (table := place / TABLE).is_file():
            return _participants(table)
    return {}


def as_listed(entry: Entry, people: People) -> Entry:
    """Return an exam with what the row of its id, else of its person, says.

    Raises:
        Refused: The row's split is none.
    """
    row = _row(entry, people)
    person = row.get("person", "")
    return replace(
        entry,
        person=entry.person if person in EMPTY else person,
        split=split_of(row, entry.id) or entry.split,
        age=entry.age if (age := age_of(row)) is None else age,
    )


def refuse_strange_table(folder: Path, entries: Iterable[Entry], people: People) -> None:
    """Refuse a table beside the scans that is of none of them: splits would be drawn instead.

    Args:
        folder: Of the data set. The table of a folder above it may well be of others.
        entries: All exams there.
        people: The rows of the table.
    """
    if not people or not (folder / TABLE).is_file():
        return
    names = [entry.id for entry in entries]
    if names and not any(_row(entry, people) for entry in entries):
        why = f"has no row of any exam here: it lists {next(iter(people))}, not {names[0]}"
        remedy = f"write the exams' or people's names into {ID}, or remove the table"
        raise Refused(str(folder / TABLE), why, remedy)


def split_of(row: Row, person: str) -> Split | None:
    """Return the split in a row.

    Raises:
        Refused: A word that is none.
    """
    value = row.get("split", "")
    if value in EMPTY:
        return None
    if value not in set(Split):
        why = f"its split is {value!r}"
        raise Refused(person, why, f"write one of {', '.join(Split)} in {TABLE}")
    return Split(value)


def age_of(row: Row) -> float | None:
    """Return the age in a row, years; None if it is no number."""
    try:
        number = float(row.get("age") or math.nan)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _row(entry: Entry, people: People) -> Row:
    """Return the row of an exam, else of its person, else nothing."""
    named = (people.get(_bare(name)) for name in (entry.id, entry.person))
    return next((row for row in named if row is not None), {})


def _bare(name: str) -> str:
    return name.removeprefix("sub-")


def _participants(table: Path) -> dict[str, Row]:
    """Return the rows of a participants table by id."""
    rows: dict[str, Row] = {}
    for row in _rows(table):
        name = _bare(row[ID])
        if name in EMPTY:
            raise Refused(str(table), f"has a row without {ID}", "name whose it is, or remove it")
        if name in rows:
            raise Refused(str(table), f"lists {row[ID]} twice", "keep one row a person")
        rows[name] = row
    return rows


def _rows(table: Path) -> Iterator[Row]:
    """Yield the rows that are not blank; a quote is a character like any other."""
    try:
        text = io.StringIO(table.read_text(encoding="utf-8-sig"), newline="")
        lines = list(csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = f"cannot be read ({error})"
        raise Refused(str(table), why, "save it tab-separated, as UTF-8") from None
    head = [_cell(column).lower() for line in lines[:1] for column in line]
    if ID not in head:
        why = f"has no column {ID} (tab-separated)"
        raise Refused(str(table), why, f"name the first column {ID}")
    for line in lines[1:]:
        cells = [_cell(cell) for cell in line]
        if any(cells):
            yield {ID: "", **dict(zip(head, cells, strict=False))}


def _cell(text: str) -> str:
    """Return what a cell says; R and spreadsheets put quotes around it."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text
