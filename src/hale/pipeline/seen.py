"""Whom a model has learnt from: they say nothing of scans that it has not seen."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hale.core.errors import Refused
from hale.core.scan import Split
from hale.data.cohort import Entry, of_split

APART = (Split.STANDARDISE, Split.CALIBRATE, Split.TEST)
"""Splits of a healthy cohort that no fit learns from."""
SEEN_CASE = "the model has learnt from this scan and its lesion mask"
BELOW = ("base", "pretrained")
"""What a model's provenance calls those that it builds on; each has a provenance of its own."""


def files_seen(provenance: Mapping[str, Any]) -> set[str]:
    """Return the hashes of all files that a model, and those it builds on, have learnt from."""
    fit = provenance.get("fit", {})
    below = [provenance[name] for name in BELOW if name in provenance]
    own = {*_hashes(fit), *_hashes(fit.get("cases", {}))}
    return own.union(*map(files_seen, below))


def people_seen(provenance: Mapping[str, Any], cohort: Sequence[Entry]) -> set[str]:
    """Return the people of a cohort that a model, and those it builds on, have learnt from.

    Names tell nothing of people of another cohort, which half of all data sets call sub-01: it is
    the same one if one of those people has one of the files that were learnt from.
    """
    below = [provenance[name] for name in BELOW if name in provenance]
    known: set[str] = set().union(*(people_seen(each, cohort) for each in below))
    fit = provenance.get("fit", {})
    files, people = _hashes(fit), {bare(person) for person in fit.get("people", ())}
    same = [entry for entry in cohort if bare(entry.person) in people]
    if any(files.intersection(entry.sha256) for entry in same):
        known |= people
    return known


def was_case(provenance: Mapping[str, Any], sha256: Iterable[str]) -> bool:
    """Say whether one of the files was of a case that the model has learnt from."""
    known = _hashes(provenance.get("fit", {}).get("cases", {}))
    return not known.isdisjoint(sha256)


def refuse_seen(provenance: Mapping[str, Any], data: Path, entries: Sequence[Entry]) -> None:
    """Refuse files that the fit has learnt from, whatever they are called now, and its patients.

    Raises:
        Refused: Names the first of them.
    """
    seen = files_seen(provenance)
    known = [entry.id for entry in entries if seen.intersection(entry.sha256)]
    if known:
        why = f"the model was fitted on {len(known)} of its scans ({known[0]}, ...)"
        raise Refused(str(data), why, "give healthy scans that it has not seen")
    people = {bare(name) for name in provenance.get("fit", {}).get("cases", {}).get("people", ())}
    patients = [entry.person for entry in entries if bare(entry.person) in people]
    if patients:
        why = f"the model has learnt from the lesions of {patients[0]}"
        raise Refused(str(data), why, "leave them out; rename them if they are other people")


def refuse_overlap(cases: Sequence[Entry], cohort: Sequence[Entry]) -> None:
    """Refuse people who are cases to learn from, and set or test thresholds too.

    Raises:
        Refused: One person in both, or one file in the cases and anywhere in the healthy cohort.
    """
    apart = {bare(entry.person): entry for entry in of_split(cohort, *APART)}
    files = {sha256: entry for entry in cohort for sha256 in entry.sha256} if cases else {}
    for case in cases:
        twin = apart.get(bare(case.person))
        if twin is not None:
            why = f"is a case to learn from, and {twin.split} in the healthy cohort"
            remedy = "leave one of them out; rename one if they are two people"
            raise Refused(case.person, why, remedy)
        for sha256 in case.sha256:
            if sha256 in files:
                why = f"holds the same file as {files[sha256].id} of the healthy cohort"
                raise Refused(f"case {case.id}", why, "keep one of them")


def refuse_base_overlap(base: Mapping[str, Any], what: str, cohort: Sequence[Entry]) -> None:
    """Refuse to build on what has learnt from people who are to set or test thresholds.

    Args:
        base: Its provenance.
        what: What to call it.
        cohort: The healthy scans, each with its split.

    Raises:
        Refused: Names the first of them.
    """
    seen, people = files_seen(base), people_seen(base, cohort)
    for entry in of_split(cohort, *APART):
        if bare(entry.person) in people or seen.intersection(entry.sha256):
            why = f"has learnt from {entry.id}, which is {entry.split} here"
            raise Refused(what, why, "give both fits the same splits")


def without_known_leaks(cohort: Sequence[Entry]) -> list[Entry]:
    """Return a cohort without the exams that published lists set apart of people they fit on.

    They have been told of. What else was learnt from the same people tells nothing more of them.
    """
    known = {bare(entry.person) for entry in of_split(cohort, Split.FIT)}
    return [e for e in cohort if e.split not in APART or bare(e.person) not in known]


def bare(person: str) -> str:
    """Return a person's name without ``sub-``, which half of all tables leave out."""
    return person.removeprefix("sub-")


def _hashes(record: Mapping[str, Any]) -> set[str]:
    return {sha256 for files in record.get("sha256", {}).values() for sha256 in files}
