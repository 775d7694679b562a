"""The scans that methods are tested on, each with its reference mask."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from hale.bench.place import Place
from hale.bench.suite import Cohort, Kind
from hale.core.errors import Refused
from hale.core.scan import Slots
from hale.data.cohort import Entry, refuse_repeated_ids
from hale.data.folder import read_folder
from hale.data.layouts import LAYOUTS, find_layout
from hale.data.layouts.labels import Labels
from hale.data.participants import TABLE
from hale.data.references import find_references, healthy_people

BINARY = Labels(lesion=(1,))
"""Of a folder in no published layout: a mask is 0 and 1, anything else is a mistake."""


def scans_of(cohort: Cohort, place: Place, slots: Slots | None = None) -> list[Entry]:
    """Return the scans of a cohort that is there already: a synthetic one's hosts, unplanted.

    Where the folder's ``participants.tsv`` says who is healthy, patients are the others.

    Args:
        cohort: Which.
        place: Where its data are.
        slots: The channels of a model; None: the cohort's contrast.

    Raises:
        Refused: Nobody is left, an id twice, a patient without a reference mask, a mask of a person
            who is said to be healthy.
    """
    folder = place.data / cohort.data
    found, _ = read_folder(folder, slots or ((cohort.contrast,),))
    chosen = [entry for entry in found if cohort.split.take(entry.split)]
    chosen = [entry for entry in chosen if cohort.subjects.take(entry.person)]
    chosen = _of_health(chosen, healthy_people(folder / TABLE), cohort.kind)
    if not chosen:
        which = f"split {cohort.split}, subjects {cohort.subjects}"
        raise Refused(f"cohort {cohort.name}", f"{folder} has nobody of {which}", "correct it")
    refuse_repeated_ids(chosen)
    with_masks = _with_masks(chosen, folder)
    if cohort.kind is Kind.PATIENTS:
        lacking = [entry.id for entry in with_masks if entry.lesion is None]
        if lacking:
            why = f"{len(lacking)} patients have no reference mask, such as {lacking[0]}"
            remedy = "name masks <id>_desc-lesion_mask.nii.gz, or choose others"
            raise Refused(f"cohort {cohort.name}", why, remedy)
        return with_masks
    return [replace(entry, lesion=None) for entry in with_masks]


def _of_health(entries: Sequence[Entry], said: Collection[str], kind: Kind) -> list[Entry]:
    """Return those that are ill, or healthy, where a table says who is healthy; else all."""
    if not said:
        return list(entries)
    wanted = kind is not Kind.PATIENTS
    return [e for e in entries if (e.id in said or e.person in said) is wanted]


def masks_of_healthy(cohort: Cohort, place: Place) -> list[Entry]:
    """Return the scans of a cohort said to be healthy that come with a reference mask all the same.

    Such a mask must be empty.
    """
    if cohort.kind is Kind.PATIENTS:
        return []
    folder = place.data / cohort.data
    found = _with_masks(scans_of(cohort, place), folder)
    return [entry for entry in found if entry.lesion is not None]


def labels_of(cohort: Cohort, place: Place) -> Labels:
    """Return what the values of a cohort's masks mean."""
    if cohort.kind is Kind.SYNTHETIC:
        return BINARY
    layout = find_layout(place.data / cohort.data)
    return BINARY if layout is None else LAYOUTS[layout].LABELS


def _with_masks(entries: Sequence[Entry], folder: Path) -> list[Entry]:
    """Return the entries with the reference masks that lie about."""
    scans = [path for entry in entries for path in entry.files.values()]
    masks = find_references(folder, [e.id for e in entries if e.lesion is None], scans)
    return [e if e.lesion else replace(e, lesion=masks.get(e.id)) for e in entries]
