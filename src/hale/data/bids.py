"""Exams in a BIDS-like folder, or in a flat folder of images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hale.core.errors import Refused
from hale.core.scan import Contrast, Slots, wanted
from hale.data.cohort import Entry, chosen, refuse_repeated_ids
from hale.data.names import SUBJECT, brain_beside, exam_of
from hale.data.participants import as_listed, people_around, refuse_strange_table
from hale.io.contrast import contrast_of_name, is_derived
from hale.io.nifti import is_image, stem

ELSEWHERE = {"derivatives", "sourcedata"}
"""Folders of a data set whose images are not its scans."""

Exams = dict[str, dict[Contrast, list[Path]]]
"""Files of each contrast of each exam, by the exam's id."""


def read_bids(folder: Path, slots: Slots, entities: Sequence[str] = ()) -> list[Entry]:
    """Return the exams of a BIDS-like data set, subject or session, or of a flat folder.

    Args:
        folder: With files named ``sub-01[_ses-1]_T1w.nii.gz`` at any depth, ``derivatives`` left
            out (``participants.tsv`` there or above gives age and split); or with image files that
            name no contrast, each an exam of a model's only channel.
        slots: The model's channels. An exam without any of their contrasts is none of the cohort;
            one with some of them, or with two scans of one, is an entry that says so when it is
            prepared.
        entities: Such as ``acq-mprage`` or ``run-2``: of several scans of one contrast, those that
            carry it.

    Raises:
        Refused: No such folder, no scan of these contrasts, a table that contradicts.
    """
    if not folder.is_dir():
        raise Refused(str(folder), "is not a folder", "give a data set's folder")
    files = sorted(p for p in folder.rglob("*") if _is_scan(p, folder))
    accepted = {contrast for slot in slots for contrast in slot}
    exams = _by_exam(files, accepted) or _flat(files, folder, slots)
    if not exams:
        remedy = f"name files sub-01_{slots[0][0]}.nii.gz"
        raise Refused(str(folder), f"holds no {wanted(slots)} scan", remedy)
    people = people_around(folder)
    found = [_entry(name, scans, slots, entities) for name, scans in exams.items()]
    refuse_strange_table(folder, found, people)
    entries = [as_listed(entry, people) for entry in found]
    refuse_repeated_ids(entries)
    return entries


def entry_of(files: Mapping[Contrast, Path], slots: Slots) -> Entry:
    """Return the entry of files given one by one; a data set around them gives the age.

    Raises:
        Refused: A channel of the model finds none of its contrasts.
    """
    first = next(iter(files.values()))
    name = exam_of(first)
    taken, notes = chosen(files, slots, name=name)
    return as_listed(_made(name, taken, notes), people_around(first.absolute().parent))


def read_files(files: Sequence[Path], slots: Slots) -> list[Entry]:
    """Return an exam for each file, of the contrast that its name says, or else the first.

    Raises:
        Refused: A model of several channels, which a file cannot fill; a contrast that it does not
            take.
    """
    if len(slots) > 1:
        why = f"a list of files, and the model takes {wanted(slots)} of each exam"
        raise Refused("data", why, "give a folder of exams")
    return [entry_of({contrast_of_name(p).contrast or slots[0][0]: p}, slots) for p in files]


def _is_scan(path: Path, folder: Path) -> bool:
    """Say whether a file is an image: not hidden, no derivative, not the second file of a pair."""
    parts = path.relative_to(folder).parts
    if any(part.startswith(".") for part in parts):
        return False  # macOS puts a ._scan.nii.gz beside each scan, git-annex keeps its own
    if ELSEWHERE & set(parts[:-1]):
        return False
    if path.suffix.lower() == ".img" and path.with_suffix(".hdr").is_file():
        return False
    return is_image(path) and path.is_file()


def _by_exam(files: Iterable[Path], accepted: set[Contrast]) -> Exams:
    """Group the files that name a contrast by exam, and by contrast within it."""
    exams: dict[str, dict[Contrast, list[Path]]] = {}
    for path in files:
        contrast = contrast_of_name(path).contrast
        if contrast in accepted and contrast is not None:
            exams.setdefault(exam_of(path), {}).setdefault(contrast, []).append(path)
    return exams


def _flat(files: Iterable[Path], folder: Path, slots: Slots) -> Exams:
    """Take each nameless file of a flat folder for the only channel's first contrast."""
    if len(slots) > 1:
        return {}
    flat = (p for p in files if p.parent == folder and not SUBJECT.search(stem(p)))
    nameless = [p for p in flat if contrast_of_name(p).contrast is None and not is_derived(p)]
    found: dict[str, dict[Contrast, list[Path]]] = {}
    for path in nameless:
        found.setdefault(stem(path), {}).setdefault(slots[0][0], []).append(path)
    return found


def _only(name: str, contrast: Contrast, paths: Sequence[Path], entities: Sequence[str]) -> Path:
    """Return the one file of a contrast; several are told apart by ``entities``, or refused."""
    left = list(paths)
    for entity in entities:
        left = [p for p in left if f"_{entity}_" in f"_{stem(p)}_"] or left
    if len(left) > 1:
        names = [p.name for p in left]
        shown = names if len(set(names)) == len(names) else [str(p) for p in left]
        why = f"has {len(left)} {contrast} scans: {', '.join(shown)}"
        raise Refused(name, why, "choose one by its entity (--entity acq-... or run-...)")
    return left[0]


def _entry(
    name: str, found: Mapping[Contrast, Sequence[Path]], slots: Slots, entities: Sequence[str]
) -> Entry:
    """Return an exam of a data set; where contrasts lack or are there twice, with the refusal."""
    try:
        scans = {c: _only(name, c, paths, entities) for c, paths in found.items()}
        files, notes = chosen(scans, slots, name=name)
    except Refused as refusal:
        first = {contrast: paths[0] for contrast, paths in found.items()}
        return replace(_made(name, first), refusal=refusal)
    return _made(name, files, notes)


def _made(name: str, files: Mapping[Contrast, Path], notes: tuple[str, ...] = ()) -> Entry:
    subject = SUBJECT.match(name)
    return Entry(
        id=name,
        person=subject.group(1) if subject else name,
        files=files,
        brain=brain_beside(next(iter(files.values()))),
        notes=notes,
    )
