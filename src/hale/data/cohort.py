"""Which exams there are, whose they are, and what each may be used for."""

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hale.core.errors import Refused
from hale.core.scan import Contrast, Slots, Split, lacking
from hale.io.nifti import file_hash


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One exam of a cohort, not yet read."""

    id: str
    person: str
    """Visits of one person share it."""
    files: Mapping[Contrast, Path]
    """In the order of the model's channels; the first is the reference contrast."""
    brain: Path | None = None
    """A brain mask on the grid of the reference, where the data set brings one."""
    lesion: Path | None = None
    """A reference lesion mask, for evaluation and supervised methods alone."""
    dicom: tuple[Path, ...] = ()
    """The files of the reference's series, where it came as DICOM."""
    split: Split | None = None
    age: float | None = None
    notes: tuple[str, ...] = ()
    """What was decided on the way, a sentence each."""
    refusal: Refused | None = None
    """Why it cannot be read, if that is known: said when it is, so that the others go on."""

    @property
    def contrast(self) -> Contrast:
        """Return the reference contrast."""
        return next(iter(self.files))

    @property
    def path(self) -> Path:
        """Return the file of the reference contrast."""
        return next(iter(self.files.values()))

    @property
    def sha256(self) -> list[str]:
        """Return the hash of each file; reads them. None of an exam that cannot be read."""
        if self.refusal is not None:
            return []
        return [file_hash(path) for path in self.files.values()]


def chosen(
    found: Mapping[Contrast, Path], slots: Slots, *, name: str
) -> tuple[dict[Contrast, Path], tuple[str, ...]]:
    """Return the file of each of a model's channels, and what is said of the others.

    A channel that accepts several contrasts takes the first of its list that is there, and that
    leaves the channels after it one of theirs.

    Raises:
        Refused: There is no contrast for each channel.
    """
    there = [[contrast for contrast in slot if contrast in found] for slot in slots]
    ways = (way for way in itertools.product(*there) if len(set(way)) == len(way))
    way = next(ways, None)
    if way is None:
        raise lacking(name, found, slots)
    files = {contrast: found[contrast] for contrast in way}
    unused = [str(contrast) for contrast in found if contrast not in files]
    notes = (f"not used by this model: {', '.join(unused)}",) if unused else ()
    return files, notes


def refuse_repeated_ids(entries: Iterable[Entry]) -> None:
    """Refuse two exams with one id: their results would overwrite each other."""
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
        for sha256 in entry.sha256:
            if sha256 in seen:
                why = f"holds the same file as {seen[sha256].id}"
                raise Refused(entry.id, why, "keep one of them")
            seen[sha256] = entry


def refuse_shared_people(thresholds: Iterable[Entry], training: Iterable[Entry]) -> None:
    """Refuse people in a set that chooses or calibrates thresholds whom a training has learnt from.

    Another exam of theirs is no less known: what a threshold promises holds for people not seen.

    Args:
        thresholds: The set, of healthy scans or of patients.
        training: All that the model has learnt from.

    Raises:
        Refused: Names the first of them.
    """
    learnt = {entry.person.removeprefix("sub-"): entry.id for entry in training}
    for entry in thresholds:
        known = learnt.get(entry.person.removeprefix("sub-"))
        if known is not None:
            why = f"is learnt from ({known}) and is to set thresholds ({entry.id})"
            raise Refused(entry.person, why, "give all exams of a person one split")


def with_splits(
    entries: Sequence[Entry], shares: dict[Split, float], turn: tuple[int, int] = (0, 1)
) -> list[Entry]:
    """Return the entries with a split each: the table's if it has one, else drawn by person.

    Args:
        entries: Of healthy scans.
        shares: What to draw where no split is given; sums to 1. People are ordered by the
            hash of their names, so that the same cohort is always divided the same way.
        turn: Which of how many ways to divide them. The first is that of the table; the others draw
            anew whom it does not test on.

    Raises:
        Refused: Patients are among those to be drawn.
    """
    if any(entry.split is not None for entry in entries):
        return list(entries) if turn[0] == 0 else _drawn_anew(entries, turn)
    ill = [entry.id for entry in entries if entry.lesion is not None]
    if ill:
        why = f"{len(ill)} scans come with lesion masks ({ill[0]}, ...): no healthy cohort"
        raise Refused("healthy cohort", why, "give healthy scans, or splits that leave these out")
    drawn = _drawn({entry.person for entry in entries}, shares, turn)
    return [replace(entry, split=drawn[entry.person]) for entry in entries]


def _drawn_anew(entries: Sequence[Entry], turn: tuple[int, int]) -> list[Entry]:
    """Return the entries with the people that are not tested on divided in the same shares."""
    learning = (Split.FIT, Split.STANDARDISE, Split.CALIBRATE)
    people = {split: {e.person for e in of_split(entries, split)} for split in learning}
    everybody = set[str]().union(*people.values())
    shares = {split: len(some) / len(everybody) for split, some in people.items()}
    drawn = _drawn(everybody, shares, turn)
    return [replace(e, split=drawn.get(e.person, e.split)) for e in entries]


def _drawn(
    people: set[str], shares: Mapping[Split, float], turn: tuple[int, int]
) -> dict[str, Split]:
    """Return the split of each person: consecutive shares of the people in the order of hashes."""
    order = sorted(people, key=lambda person: hashlib.sha256(person.encode()).digest())
    begin = round(len(order) * turn[0] / turn[1])
    order = order[begin:] + order[:begin]
    drawn, start = {}, 0.0
    for split, share in shares.items():
        first, last = round(start * len(order)), round((start + share) * len(order))
        drawn.update(dict.fromkeys(order[first:last], split))
        start += share
    return drawn


def of_split(entries: Iterable[Entry], *splits: Split) -> list[Entry]:
    """Return the entries of these splits."""
    return [entry for entry in entries if entry.split in splits]
