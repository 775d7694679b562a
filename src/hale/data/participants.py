"""The table of a data set's people: age, and what each may be used for."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

from hale.core.errors import Refused
from hale.core.scan import Split

Row = Mapping[str, str]


def people_around(folder: Path) -> dict[str, Row]:
    """Return the rows of the nearest ``participants.tsv`` at or above ``folder``, 4 levels up."""
    for place in (folder, *list(folder.absolute().parents)[:4]):
        if (table := place / "participants.tsv").is_file():
            return _participants(table)
    return {}


def split_of(row: Row, person: str) -> Split | None:
    """Return the split in a row.

    Raises:
        Refused: A word that is none.
    """
    value = row.get("split")
    if value in (None, "", "n/a"):
        return None
    if value not in set(Split):
        why = f"its split is {value!r}"
        raise Refused(person, why, f"write one of {', '.join(Split)} in participants.tsv")
    return Split(value)


def age_of(row: Row) -> float | None:
    """Return the age in a row, years; None if it is no number."""
    try:
        number = float(row.get("age") or math.nan)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _participants(table: Path) -> dict[str, Row]:
    """Return the rows of a participants table by id."""
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(str(table), f"cannot be read ({error})", "save it as UTF-8") from None
    with io.StringIO(text, newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        if "participant_id" not in (reader.fieldnames or ()):
            why = "has no column participant_id (tab-separated)"
            raise Refused(str(table), why, "name the first column participant_id")
        rows: dict[str, Row] = {}
        for row in reader:
            if row["participant_id"] in rows:
                why = f"lists {row['participant_id']} twice"
                raise Refused(str(table), why, "keep one row a person")
            rows[row["participant_id"]] = row
    return rows
