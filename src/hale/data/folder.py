"""A folder of exams, whatever its layout: a published data set, BIDS, or flat."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hale.core.scan import Slots
from hale.data.bids import read_bids
from hale.data.cohort import Entry
from hale.data.layouts import find_layout, read_layout
from hale.data.layouts.leaks import sentences


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a folder is to be read, where it leaves a choice."""

    entities: Sequence[str] = ()
    """BIDS entities that settle which of several scans is meant, such as ``acq-mprage``."""
    fold: int | None = None
    """Of published split lists."""
    published: bool = False
    """Keep published split lists as they are, people in two splits included."""
    strict: bool = False
    """Refuse split lists that repeat a person."""


def read_folder(
    folder: Path, slots: Slots, reading: Reading | None = None
) -> tuple[list[Entry], tuple[str, ...]]:
    """Return the exams in a folder, and what is wrong with its published lists, a sentence each.

    Raises:
        Refused: No folder, no scan of these contrasts, two scans where one is wanted, a table that
            contradicts, or with ``reading.strict`` a person listed twice.
    """
    reading = reading or Reading()
    if folder.is_dir() and find_layout(folder) is not None:
        found = read_layout(
            folder,
            slots,
            fold=reading.fold,
            published=reading.published,
            strict=reading.strict,
        )
        return found.entries, tuple(sentences(found.leaks))
    return read_bids(folder, slots, reading.entities), ()
