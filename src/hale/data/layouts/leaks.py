"""People whom published lists put where they must not be: in two splits, or twice in one."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hale.core.errors import Refused
from hale.core.scan import Split
from hale.data.cohort import Entry

NO_SPLIT = "no split"
KEPT = (Split.TEST, None, Split.CALIBRATE, Split.STANDARDISE, Split.FIT)
"""Where a person stays who is in several: what is tested on stays as published."""


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A person who is in two splits, or one of whose scans is twice in one."""

    person: str
    splits: tuple[str, ...]
    """One, if the same scan is listed there more than once; else all that the person is in."""


def leaks(entries: Iterable[Entry]) -> tuple[Leak, ...]:
    """Return the leaks of a cohort, across splits first, people in the order of the lists.

    A scan is recognised by its files' paths; two visits of a person in one split are no leak.
    """
    splits: defaultdict[str, dict[Split | None, None]] = defaultdict(dict)
    scans: Counter[tuple[object, ...]] = Counter()
    for entry in entries:
        splits[entry.person][entry.split] = None
        scans[(entry.person, entry.split, *entry.files.values())] += 1
    across = [
        Leak(person=person, splits=tuple(word for split, word in WORDS.items() if split in found))
        for person, found in splits.items()
        if len(found) > 1
    ]
    repeated = {key[:2]: None for key, count in scans.items() if count > 1}
    twice = [Leak(person=str(p), splits=(str(s or NO_SPLIT),)) for p, s in repeated]
    return (*across, *twice)


def sentences(found: Iterable[Leak]) -> tuple[str, ...]:
    """Return what to warn of, a sentence for each pair of splits, the people named."""
    people: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for leak in found:
        people[leak.splits].append(leak.person)
    return tuple(_sentence(splits, names) for splits, names in people.items())


def refuse_leaks(found: Sequence[Leak], what: str) -> None:
    """Refuse lists that leak.

    Raises:
        Refused: There is a leak.
    """
    if found:
        remedy = "mend the lists, or allow it: a person then counts once, for the test first"
        raise Refused(what, "; ".join(sentences(found)), remedy)


def one_split_each(entries: Sequence[Entry]) -> list[Entry]:
    """Return the cohort with each person in one split, and each scan once.

    A person stays in the first of `KEPT` that lists them; the other rows go.
    """
    home: dict[str, Split | None] = {}
    for entry in entries:
        now = home.setdefault(entry.person, entry.split)
        home[entry.person] = min(now, entry.split, key=KEPT.index)
    left = [entry for entry in entries if entry.split is home[entry.person]]
    return list({(e.person, *e.files.values()): e for e in reversed(left)}.values())[::-1]


WORDS: dict[Split | None, str] = {**{split: str(split) for split in Split}, None: NO_SPLIT}


def _sentence(splits: tuple[str, ...], people: Sequence[str]) -> str:
    count = f"{len(people)} {'person is' if len(people) == 1 else 'people are'}"
    where = f"listed twice in {splits[0]}" if len(splits) == 1 else f"in {' and '.join(splits)}"
    return f"{count} {where}: {', '.join(people)}"
