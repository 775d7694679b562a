"""A folder of exams, whatever its layout: a published data set, BIDS, flat, or prepared."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hale.core.errors import Refused
from hale.core.scan import Slots
from hale.data.bids import ELSEWHERE, read_bids
from hale.data.cohort import Entry
from hale.data.layouts import find_layout, read_layout
from hale.data.layouts.leaks import sentences
from hale.data.names import RECORD
from hale.data.participants import as_listed, people_around, refuse_strange_table
from hale.io.dicom_files import looks_like_dicom
from hale.io.nifti import is_image, stem

TEXTS = {".json", ".tsv", ".csv", ".txt", ".md", ".html", ".xml", ".bval", ".bvec", ".py", ".sh"}
"""Suffixes of what lies beside images."""
SHOWN = 5
"""Folders that a warning names."""


Data = Path | Sequence[Path]
"""A folder of exams, or files, each an exam."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a folder is to be read, where it leaves a choice."""

    entities: Sequence[str] = ()
    """BIDS entities that settle which of several scans is meant, such as ``acq-mprage``."""
    fold: int | None = None
    """Of published split lists."""
    turn: tuple[int, int] = (0, 1)
    """Which of how many ways to divide healthy people: see `hale.data.cohort.with_splits`."""
    published: bool = False
    """Keep published split lists as they are, people in two splits included."""
    strict: bool = False
    """Refuse split lists that repeat a person."""


def read_folder(
    folder: Path, slots: Slots, reading: Reading | None = None
) -> tuple[list[Entry], tuple[str, ...]]:
    """Return the exams in a folder, and what is wrong with it, a sentence each.

    Raises:
        Refused: No folder, no scan of these contrasts, an entity that no scan has, a table that
            contradicts, or with ``reading.strict`` a person listed twice.
    """
    reading = reading or Reading()
    entries, warnings = read_part(folder, slots, reading)
    refuse_idle(reading.entities, entries)
    return entries, warnings


def read_part(folder: Path, slots: Slots, reading: Reading) -> tuple[list[Entry], tuple[str, ...]]:
    """Return the same of one of several folders: an entity may be meant for the others.

    Raises:
        Refused: As `read_folder`, but for entities.
    """
    prepared = any(folder.glob(f"*/{RECORD}"))  # called like the data set it was made of
    if folder.is_dir() and not prepared and find_layout(folder) is not None:
        found = read_layout(
            folder,
            slots,
            fold=reading.fold,
            published=reading.published,
            strict=reading.strict,
        )
        people = people_around(folder)
        refuse_strange_table(folder, found.entries, people)
        entries = [as_listed(entry, people) for entry in found.entries]
        return entries, (*sentences(found.leaks), *_passed_over(folder))
    return read_bids(folder, slots, reading.entities), _passed_over(folder)


def refuse_idle(entities: Iterable[str], entries: Iterable[Entry]) -> None:
    """Refuse an entity that decides nothing, as no scan carries it."""
    names = [f"_{stem(path)}_" for entry in entries for path in entry.files.values()]
    for entity in entities:
        if not any(f"_{entity}_" in name for name in names):
            remedy = "give one of the files' names, such as run-2, or leave it out"
            raise Refused(f"--entity {entity}", "no scan has it in its name", remedy)


def _passed_over(folder: Path) -> tuple[str, ...]:
    """Return a sentence that names the folders of DICOM files among those of images."""
    found = [str(place.relative_to(folder)) for place in _dicom_below(folder)]
    if not found:
        return ()
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    which = ", ".join(found[:SHOWN]) + more
    return (f"DICOM files were passed over in {which}: convert them, or give each exam by itself",)


def _dicom_below(folder: Path) -> Iterator[Path]:
    """Yield the folders whose first file that is neither image nor text begins like DICOM."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in ELSEWHERE)
        paths = (Path(place, name) for name in sorted(files) if not name.startswith("."))
        others = (p for p in paths if not is_image(p) and p.suffix.lower() not in TEXTS)
        first = next(others, None)
        if first is not None and os.access(first, os.R_OK) and looks_like_dicom(first):
            yield Path(place)
