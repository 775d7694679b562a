"""Which exam a file belongs to, by its name and its folders'."""

import re
from pathlib import Path

from hale.core.scan import Contrast
from hale.io.contrast import ENTITY, SUFFIXES, contrast_of_name
from hale.io.nifti import stem

SUBJECT = re.compile(r"(?:^|_)(sub-[^_/.]+)")
SESSION = re.compile(r"(?:^|_)(ses-[^_/.]+)")
WORD = re.compile(r"[^\W_]+")
SEPARATORS = "_-. "
RECORD = "prepared.json"
"""What `hale prepare` leaves in the folder of each exam, which is called by the exam's id."""
MASK = "_desc-brain_mask.nii.gz"
"""What follows the id in the name of the brain there."""
NO_EXAM = {"", "anat"}
"""Folders that are not called by whose images they hold."""


def exam_of(path: Path) -> str:
    """Return the id of a file's exam.

    Subject and session, else the name without the words of its contrast, else the nearest folder's
    without them: ``sub-1_ses-a_T1w``, ``p1_T1`` and ``p1/t1`` are of sub-1_ses-a, p1 and p1.
    """
    if is_prepared(path):
        return path.parent.name
    name = stem(path)
    if subject := SUBJECT.search(name):
        session = SESSION.search(name)
        return f"{subject.group(1)}_{session.group(1)}" if session else subject.group(1)
    exam, _, suffix = name.rpartition("_")
    if exam and suffix.lower() in SUFFIXES:
        return exam
    return without_contrast(name) or _folder_of(path) or name


def is_prepared(path: Path) -> bool:
    """Say whether a file lies in an exam's folder that `hale prepare` made."""
    return (path.parent / RECORD).is_file()


def brain_beside(path: Path) -> Path | None:
    """Return the brain mask that `hale prepare` wrote beside a prepared image."""
    mask = path.with_name(path.parent.name + MASK)
    return mask if is_prepared(path) and mask.is_file() else None


def without_contrast(name: str) -> str:
    """Return a loose name without the words that say its contrast.

    Those that say it alone, and those without which the rest says something else: of ``p1_t1_post``
    both ``t1`` and ``post``.
    """
    whole = _contrast(name)
    if whole is None:
        return name
    entities = [match.span() for match in ENTITY.finditer(name)]
    words = [
        word.span()
        for word in WORD.finditer(name)
        if not any(start <= word.start() < end for start, end in entities)
    ]
    said = [
        (start, end)
        for start, end in words
        if _contrast(name[start:end]) is whole or _contrast(name[:start] + name[end:]) is not whole
    ]
    rest = name
    for start, end in reversed(said):
        before, after = name[:start].rstrip(SEPARATORS), rest[end:].lstrip(SEPARATORS)
        rest = f"{before}{name[end]}{after}" if before and after else before + after
    return rest


def _contrast(name: str) -> Contrast | None:
    return contrast_of_name(Path(f"{name}.nii")).contrast


def _folder_of(path: Path) -> str:
    """Return the nearest folder's name that says more than a contrast; a session's with whose."""
    folders = path.absolute().parents
    for folder in folders:
        name = without_contrast(folder.name)
        if name not in NO_EXAM:
            above = folder.parent.name
            return f"{above}_{name}" if SESSION.fullmatch(name) and above else name
    return ""
