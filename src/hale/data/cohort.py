"""Which scans there are, whose they are, and what each may be used for."""

import csv
import hashlib
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hale.core.errors import Refused
from hale.core.scan import Contrast, Split
from hale.io.nifti import file_hash, is_image, stem

SUBJECT = re.compile(r"(sub-[^_/]+)")
SESSION = re.compile(r"_(ses-[^_/]+)")
DERIVED = re.compile(r"_(desc|label)-")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One scan of a cohort, not yet read."""

    id: str
    person: str
    """Visits of one person share it."""
    path: Path
    contrast: Contrast
    split: Split | None = None
    age: float | None = None


def contrast_of(path: Path) -> Contrast | None:
    """Return the contrast that a BIDS name ends in, None if it names none (or a derivative)."""
    name = stem(path)
    suffix = name.rsplit("_", 1)[-1]
    if DERIVED.search(name) or suffix not in set(Contrast):
        return None
    contrast = Contrast(suffix)
    enhanced = contrast is Contrast.T1W and "_ce-" in name
    return Contrast.T1W_CE if enhanced else contrast


def read_cohort(folder: Path, slot: Sequence[Contrast]) -> list[Entry]:
    """Return the scans of a BIDS-like data set, or of a flat folder of images.

    Args:
        folder: With ``sub-*`` folders (any depth; ``participants.tsv`` gives age and split), or
            with image files, each a scan of its own.
        slot: Contrasts that count; files of a flat folder that name none are taken for the first.

    Raises:
        Refused: No such folder, no scan of that contrast, one id twice, a table that contradicts.
    """
    if not folder.is_dir():
        raise Refused(str(folder), "is not a folder", "give a data set's folder")
    files = sorted(p for p in folder.rglob("*") if _is_scan(p, folder))
    named = [p for p in files if contrast_of(p) in slot]
    if not named:
        flat = [p for p in files if p.parent == folder and not SUBJECT.search(p.name)]
        named = [p for p in flat if contrast_of(p) is None and not DERIVED.search(p.name)]
    if not named:
        wanted = " or ".join(slot)
        raise Refused(str(folder), f"holds no {wanted} scan", f"name files sub-01_{slot[0]}.nii.gz")
    people = _participants_around(folder)
    entries = [_entry(path, slot[0], people) for path in named]
    refuse_repeated_ids(entries)
    return entries


def _is_scan(path: Path, folder: Path) -> bool:
    """Say whether a file is an image: not hidden, not the second file of a pair."""
    if any(part.startswith(".") for part in path.relative_to(folder).parts):
        return False  # macOS puts a ._scan.nii.gz beside each scan, git-annex keeps its own
    if path.suffix.lower() == ".img" and path.with_suffix(".hdr").is_file():
        return False
    return is_image(path) and path.is_file()


def entry_of(path: Path, contrast: Contrast) -> Entry:
    """Return the entry of a single file; a data set around it gives the age."""
    return _entry(path, contrast, _participants_around(path.absolute().parent))


def refuse_repeated_ids(entries: Iterable[Entry]) -> None:
    """Refuse two scans with one id: their results would overwrite each other."""
    seen: dict[str, Path] = {}
    for entry in entries:
        if entry.id in seen:
            why = f"two scans have this id ({seen[entry.id]} and {entry.path})"
            raise Refused(entry.id, why, "keep one, or rename it (sub-, ses-)")
        seen[entry.id] = entry.path


def refuse_repeated_content(entries: Iterable[Entry]) -> None:
    """Refuse one scan under two names: it would be learnt from and tested on, or count twice."""
    seen: dict[str, Entry] = {}
    for entry in entries:
        sha256 = file_hash(entry.path)
        if sha256 in seen:
            why = f"is the same file as {seen[sha256].id}"
            raise Refused(entry.id, why, "keep one of them")
        seen[sha256] = entry


def with_splits(entries: Sequence[Entry], shares: dict[Split, float]) -> list[Entry]:
    """Return the entries with a split each: the table's if it has one, else drawn by person.

    Args:
        entries: Of healthy scans.
        shares: What to draw where no split is given; sums to 1. People are ordered by the
            hash of their names, so that the same cohort is always divided the same way.
    """
    if any(entry.split is not None for entry in entries):
        return list(entries)
    order = sorted({e.person for e in entries}, key=lambda p: hashlib.sha256(p.encode()).digest())
    drawn, start = {}, 0.0
    for split, share in shares.items():
        first, last = round(start * len(order)), round((start + share) * len(order))
        drawn.update(dict.fromkeys(order[first:last], split))
        start += share
    return [replace(entry, split=drawn[entry.person]) for entry in entries]


def of_split(entries: Iterable[Entry], *splits: Split) -> list[Entry]:
    """Return the entries of these splits."""
    return [entry for entry in entries if entry.split in splits]


def _entry(path: Path, contrast: Contrast, people: dict[str, dict[str, str]]) -> Entry:
    """Return what name and table say of a file."""
    subject, session = SUBJECT.search(stem(path)), SESSION.search(stem(path))
    person = subject.group(1) if subject else stem(path)
    row = people.get(person, {})
    return Entry(
        id=f"{person}_{session.group(1)}" if session else person,
        person=person,
        path=path,
        contrast=contrast_of(path) or contrast,
        split=_split(row.get("split"), person),
        age=_number(row.get("age")),
    )


def _participants_around(folder: Path) -> dict[str, dict[str, str]]:
    """Return the rows of the nearest participants table at or above ``folder``, 4 levels up."""
    for place in (folder, *list(folder.absolute().parents)[:4]):
        if (table := place / "participants.tsv").is_file():
            return _participants(table)
    return {}


def _participants(table: Path) -> dict[str, dict[str, str]]:
    """Return the rows of a participants table by id; empty without one."""
    if not table.is_file():
        return {}
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(str(table), f"cannot be read ({error})", "save it as UTF-8") from None
    with io.StringIO(text, newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        if "participant_id" not in (reader.fieldnames or ()):
            why = "has no column participant_id (tab-separated)"
            raise Refused(str(table), why, "name the first column participant_id")
        rows: dict[str, dict[str, str]] = {}
        for row in reader:
            if row["participant_id"] in rows:
                why = f"lists {row['participant_id']} twice"
                raise Refused(str(table), why, "keep one row a person")
            rows[row["participant_id"]] = row
    return rows


def _split(value: str | None, person: str) -> Split | None:
    if value in (None, "", "n/a"):
        return None
    if value not in set(Split):
        why = f"its split is {value!r}"
        raise Refused(person, why, f"write one of {', '.join(Split)} in participants.tsv")
    return Split(value)


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
