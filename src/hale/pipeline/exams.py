"""What a user points at: files, a BIDS folder, DICOM series; each becomes an entry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hale.core.errors import Refused
from hale.core.scan import Contrast, Slots, Split, wanted
from hale.data.bids import entry_of
from hale.data.cohort import Entry, of_split, refuse_repeated_ids
from hale.data.folder import Reading, read_part, refuse_idle
from hale.data.names import SESSION, SUBJECT
from hale.io.contrast import contrast_of_file
from hale.io.nifti import is_image
from hale.pipeline.prepare import quiet


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which exams are meant."""

    paths: Sequence[Path] = ()
    """Files, each an exam; or folders: BIDS, flat, DICOM."""
    named: Mapping[Contrast, Path] = field(default_factory=dict)
    """One exam, its files by contrast."""
    contrast: Contrast | None = None
    """Of ``paths`` that are files; None: what their names say, else the model's first."""
    series: Mapping[Contrast, str] = field(default_factory=dict)
    """DICOM series (number or part of the description) that settle a choice."""
    reading: Reading = field(default_factory=Reading)
    """Of folders."""
    split: Split | None = None
    """Of folders, only this split."""
    insist: bool = False
    """Whether to believe the user against a file's name."""
    tell: Callable[[str], None] = quiet
    """Told what is wrong with published lists."""


def entries_of(asked: Asked, slots: Slots, scratch: Path) -> tuple[list[Entry], bool]:
    """Return the exams, and whether it is a single one, whose results need no table.

    Args:
        asked: By the user.
        slots: The model's channels.
        scratch: A folder for what DICOM series become.

    Raises:
        Refused: Nothing there, two exams with one id, a single exam with several scans of a
            contrast, a choice by entity or series where there is none.
    """
    _refuse_idle_series(asked)
    if asked.named:
        if asked.paths:
            raise Refused("scans", "are given both with and without a contrast", "give one kind")
        entry = _checked(entry_of(asked.named, slots), asked)
        refuse_idle(asked.reading.entities, [entry])
        return [entry], True
    if not asked.paths:
        raise Refused("scans", "none is given", "give a file, a folder, or --t1w FILE")
    entries: list[Entry] = []
    for path in asked.paths:
        entries += _entries(path, asked, slots, scratch)
    refuse_idle(asked.reading.entities, entries)
    if asked.split is not None:
        entries = of_split(entries, asked.split)
        if not entries:
            what = f"--split {asked.split}"
            raise Refused(what, "no scan has it", "leave it out, or see the table")
    refuse_repeated_ids(entries)
    only = asked.paths[0]
    single = len(entries) == 1 and len(asked.paths) == 1 and _is_exam(only)
    if single and entries[0].refusal is not None:
        raise entries[0].refusal
    return entries, single


def asked_for(scan: str | Path | Mapping[str, str | Path]) -> Asked:
    """Return what is asked for by one path, or by the files of one exam by contrast.

    Raises:
        Refused: A contrast that there is not.
    """
    if not isinstance(scan, Mapping):
        return Asked(paths=[Path(scan)])
    unknown = [name for name in scan if name not in set(Contrast)]
    if unknown:
        raise Refused(unknown[0], "is no contrast", f"there are {', '.join(Contrast)}")
    return Asked(named={Contrast(name): Path(path) for name, path in scan.items()})


def only_exam(asked: Asked, slots: Slots, scratch: Path) -> Entry:
    """Return the one exam that is asked for.

    Raises:
        Refused: There are several.
    """
    entries, _ = entries_of(asked, slots, scratch)
    if len(entries) > 1:
        what, why = str(asked.paths[0]), f"holds {len(entries)} exams ({entries[0].id}, ...)"
        raise Refused(what, why, "give one of them, or `hale detect` for all")
    if entries[0].refusal is not None:
        raise entries[0].refusal
    return entries[0]


def _entries(path: Path, asked: Asked, slots: Slots, scratch: Path) -> list[Entry]:
    """Return the exams of one path."""
    if not path.is_dir():
        _refuse_alone(path, slots)
        contrast = asked.contrast or contrast_of_file(path).contrast or slots[0][0]
        return [_checked(entry_of({contrast: path}, slots), asked)]
    from hale.io.dicom import is_dicom_folder

    if is_dicom_folder(path):
        from hale.io.dicom import read_exam

        name = path.resolve().name
        files, series, _ = read_exam(path, slots, asked.series, scratch / name)
        entry = entry_of(files, slots)
        told = tuple(f"{c}: DICOM series {series[c]}, by {series[c].why}" for c in entry.files)
        return [
            replace(
                entry,
                id=name,
                person=name,
                dicom=tuple(series[entry.contrast].files),
                notes=(*entry.notes, *told),
            )
        ]
    entries, warnings = read_part(path, slots, asked.reading)
    for warning in warnings:
        asked.tell(f"{path}: {warning}")
    return entries


def contrast_meant(asked: Asked) -> Contrast:
    """Return the contrast of a single scan: what the user says, its name, its folder's only one.

    T1w if it is there, or if nothing is said.

    Raises:
        Refused: A folder of several contrasts.
    """
    if asked.contrast is not None:
        return asked.contrast
    found = {*asked.named, *asked.series} or {c for p in asked.paths for c in _contrasts_at(p)}
    if len(found) > 1 and Contrast.T1W not in found:
        what, why = str(asked.paths[0]), f"holds {', '.join(sorted(found))}"
        raise Refused(what, why, "say which with --contrast")
    return found.pop() if len(found) == 1 else Contrast.T1W


def _contrasts_at(path: Path) -> set[Contrast]:
    """Return what the names of files say, or the headers of DICOM series."""
    from hale.io.dicom import is_dicom_folder
    from hale.io.dicom_series import find_series

    if is_dicom_folder(path):
        told = [None if series.problems else series.contrast for series in find_series(path)]
    else:
        files = [p for p in sorted(path.rglob("*")) if is_image(p)] if path.is_dir() else [path]
        told = [contrast_of_file(file).contrast for file in files]
    return {contrast for contrast in told if contrast is not None}


def _refuse_idle_series(asked: Asked) -> None:
    """Refuse a choice among DICOM series where nothing is DICOM."""
    from hale.io.dicom import is_dicom_folder

    if asked.series and not any(is_dicom_folder(path) for path in asked.paths):
        contrast, series = next(iter(asked.series.items()))
        given = next(iter([*asked.paths, *asked.named.values()]), "the exam")
        why = f"chooses among DICOM series, and {given} is no folder of DICOM"
        raise Refused(f"--series {contrast}={series}", why, "leave it out")


def _refuse_alone(path: Path, slots: Slots) -> None:
    """Refuse one file where a model takes several."""
    if len(slots) > 1:
        options = " ".join(f"--{slot[0].lower()} FILE" for slot in slots)
        why = f"is one file, the model takes {wanted(slots)}"
        raise Refused(str(path), why, f"give {options}, or the folder of the exam")


def _checked(entry: Entry, asked: Asked) -> Entry:
    """Refuse files whose names or side-cars say another contrast than the user."""
    for contrast, path in entry.files.items():
        told = contrast_of_file(path)
        if told.contrast is None or (told.contrast, contrast) == (Contrast.T1W, Contrast.T1W_CE):
            continue  # names often leave the contrast agent out
        if told.contrast is not contrast and not asked.insist:
            why = f"is given as {contrast}, but says {told.contrast} ({told.why})"
            raise Refused(str(path), why, "give it as what it is; --insist goes on all the same")
    return entry


def _is_exam(path: Path) -> bool:
    """Say whether a path is one exam by its kind: a file, or the folder of a subject or session."""
    if not path.is_dir():
        return True
    from hale.io.dicom import is_dicom_folder

    name = path.resolve().name
    named = SUBJECT.fullmatch(name) or SESSION.fullmatch(name)
    return named is not None or is_dicom_folder(path)
