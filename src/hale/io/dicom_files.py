"""Find the files of a folder that are DICOM, and read their tags."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hale.core.errors import Refused

if TYPE_CHECKING:
    from pydicom import Dataset

MAGIC, MAGIC_AT = b"DICM", 128
BARE = (b"\x02\x00", b"\x08\x00")
"""First group number of a DICOM file that lacks its preamble."""


def files_within(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder, nested or linked, each folder once, in order of name."""
    seen = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in sorted(names):
            if (path := Path(root) / name).is_file():
                yield path


def looks_like_dicom(path: Path) -> bool:
    """Say whether a file begins as DICOM does: with its preamble, or with a tag it may begin with.

    A file without preamble is read on to see that it names a SOP class.

    Raises:
        Refused: The file may not be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(MAGIC_AT + len(MAGIC))
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
        raise Refused(str(path), why, "allow it, or copy the folder") from None
    if start[MAGIC_AT:] == MAGIC:
        return True
    if start[:2] not in BARE:
        return False
    try:
        return "SOPClassUID" in read_tags(path, ["SOPClassUID"])
    except Refused:
        return False


@contextmanager
def tolerant() -> Iterator[None]:
    """Read and write without complaint what scanners write and the standard forbids."""
    from pydicom import config

    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def read_tags(path: Path, tags: list[str]) -> "Dataset":
    """Return some tags of a file, its pixels unread.

    Raises:
        Refused: The file begins as DICOM and cannot be read on.
    """
    from pydicom import dcmread

    try:
        with tolerant():
            read: Dataset = dcmread(path, stop_before_pixels=True, specific_tags=tags, force=True)
            read.decode()
            return read
    except Exception as error:  # a damaged file raises almost anything in a parser
        why = f"is a DICOM file that cannot be read ({type(error).__name__}: {error})"
        raise Refused(str(path), why, "copy it again, or remove it") from None
