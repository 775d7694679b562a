"""What must hold before a benchmark may be believed; each is checked before anything is fitted.

Nobody whose scan sets a figure may have taught, standardised or calibrated what is tested, under
any name: people are compared by id, scans by their voxels, so that a file that was renamed, or
compressed anew, is known again. Masks must say yes or no, on the voxels of their scan.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hale.bench.cohorts import labels_of, masks_of_healthy
from hale.bench.place import Place
from hale.bench.plan import Job
from hale.bench.suite import Cohort, Kind, Suite
from hale.core.errors import Refused
from hale.core.scan import Contrast, Split
from hale.core.types import MaskElsewhere
from hale.data.cohort import Entry, refuse_repeated_content
from hale.data.folder import read_folder
from hale.data.layouts.labels import Labels
from hale.data.references import read_grid, read_map
from hale.io.cache import Cache, key_of
from hale.io.model import is_model, read_about
from hale.io.nifti import file_hash, read_volume
from hale.pipeline.seen import bare, files_seen, people_seen

LEARNS = (Split.FIT, Split.STANDARDISE, Split.CALIBRATE, None)
"""What a scan of the healthy folder is used for, unless its split says that it is tested on."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """Whom something has learnt from: people by bare name, scans by content."""

    people: Mapping[str, str]
    scans: Mapping[str, str]
    """Content to id."""


def checked(
    suite: Suite,
    place: Place,
    todo: Sequence[Job],
    cohorts: Mapping[str, Sequence[Entry]],
    cache: Cache,
) -> tuple[str, ...]:
    """Refuse a suite that would fool its reader; return what the reader must be told.

    Args:
        suite: Which.
        place: Where its data are.
        todo: Its jobs; models that are there are looked into.
        cohorts: The scans of each, by name; a synthetic one's hosts.
        cache: Where contents of files are kept.

    Raises:
        Refused: A person or scan that is learnt from or calibrated on, and tested on; that chooses
            a threshold and is tested by it; twice in a cohort; a mask that is no mask, on another
            grid, or of a lesion in a scan said to be healthy; a reused model that knows the tests.
    """
    learnt = [_healthy(suite, place, cache)] if suite.healthy else []
    if suite.cases:
        learnt.append(_patients(suite, place, cache))
    for cohort in suite.cohorts:
        entries = cohorts[cohort.name]
        refuse_repeated_content(entries)
        _refuse_twice(cohort, entries, cache)
        for known in learnt:
            _refuse_known(f"cohort {cohort.name}", entries, known, cache, "is learnt from")
        if cohort.validation:
            chosen = known_of(cohorts[cohort.validation], cache)
            _refuse_known(
                f"cohort {cohort.name}", entries, chosen, cache, "would choose its own threshold"
            )
    told: list[str] = []
    for cohort in suite.cohorts:
        told += _checked_masks(cohort, place, cohorts[cohort.name])
    for job in todo:
        _refuse_model_that_knows(job, place.data / suite.healthy, cohorts)
        told += _namesakes(job, place.data / suite.healthy, cohorts)
    return tuple(told)


def content_of(path: Path, cache: Cache) -> str:
    """Return a hash of the voxels of an image, whatever its header, name and compression.

    Raises:
        Refused: It cannot be read.
    """

    def read() -> dict[str, np.ndarray]:
        key = key_of(read_volume(path).volume.values)
        return {"key": np.frombuffer(bytes.fromhex(key), np.uint8)}

    return bytes(cache.get("content", file_hash(path), read)["key"]).hex()


def _contents(entry: Entry, cache: Cache) -> list[str]:
    """Return what is in the files of an exam; nothing of one that cannot be read.

    Such a scan is neither learnt from nor scored: fit and cohort list it with the reason.
    """
    if entry.refusal is not None:
        return []
    try:
        return [content_of(path, cache) for path in entry.files.values()]
    except Refused:
        return []


def known_of(entries: Iterable[Entry], cache: Cache) -> Known:
    """Return who these scans are of, and what is in them."""
    people, scans = {}, {}
    for entry in entries:
        people[bare(entry.person)] = entry.id
        for content in _contents(entry, cache):
            scans[content] = entry.id
    return Known(people=people, scans=scans)


def truth_of(entry: Entry, labels: Labels) -> tuple[MaskElsewhere, bool]:
    """Return the reference mask of a case on its own grid, RAS+, and whether it has any voxel.

    Raises:
        Refused: It is no mask, or lies on another grid than its scan.
    """
    assert entry.lesion is not None
    volume = read_map(entry.lesion)
    known = (0, *labels.lesion, *labels.ignored)
    other = np.setdiff1d(np.unique(volume.values), known) if labels.lesion else np.zeros(0)
    if other.size:
        why = f"holds values other than {', '.join(map(str, known))}, such as {other[0]:g}"
        raise Refused(str(entry.lesion), why, "give a mask of yes and no")
    if not volume.grid.is_the_same_as(read_grid(entry.path)):
        why = f"lies on another grid than its scan {entry.path.name}"
        raise Refused(str(entry.lesion), why, "resample the mask to it (nearest neighbour)")
    lesion = labels.lesion_in(volume.values)
    return lesion, bool(lesion.any())


def _healthy(suite: Suite, place: Place, cache: Cache) -> Known:
    """Return whom methods learn from and are calibrated on."""
    entries = [
        entry
        for contrast in dict.fromkeys(cohort.contrast for cohort in suite.cohorts)
        for entry in _of_contrast(place.data / suite.healthy, contrast)
        if entry.split in LEARNS
    ]
    return known_of(entries, cache)


def _patients(suite: Suite, place: Place, cache: Cache) -> Known:
    """Return whose lesions methods learn from: those whose split says so, or else all."""
    found = [
        entry
        for contrast in dict.fromkeys(cohort.contrast for cohort in suite.cohorts)
        for entry in _of_contrast(place.data / suite.cases, contrast)
    ]
    listed = any(entry.split is not None for entry in found)
    return known_of([e for e in found if not listed or e.split is Split.FIT], cache)


def _of_contrast(folder: Path, contrast: Contrast) -> list[Entry]:
    """Return the scans of a folder; none of a contrast that it does not hold."""
    if not folder.is_dir():
        raise Refused(str(folder), "is not a folder", "give the folder that holds it as --data")
    try:
        return read_folder(folder, ((contrast,),))[0]
    except Refused as refusal:
        if refusal.why.startswith("holds no"):
            return []
        raise


def _refuse_known(
    where: str, entries: Sequence[Entry], known: Known, cache: Cache, what: str
) -> None:
    """Refuse people, or scans under any name, that are known."""
    for entry in entries:
        twin = known.people.get(bare(entry.person))
        if twin is not None:
            why = f"{entry.person} {what} ({twin}) and is tested on ({entry.id})"
            raise Refused(where, why, "give each person one split; rename two people of one name")
        for content in _contents(entry, cache):
            twin = known.scans.get(content)
            if twin is not None:
                why = f"{entry.id} holds the same image as {twin}, which {what}"
                raise Refused(where, why, "keep one of them")


def _refuse_twice(cohort: Cohort, entries: Sequence[Entry], cache: Cache) -> None:
    """Refuse one image under two names: it would count twice."""
    seen: dict[str, str] = {}
    for entry in entries:
        for content in _contents(entry, cache):
            if content in seen:
                why = f"{entry.id} holds the same image as {seen[content]}"
                raise Refused(f"cohort {cohort.name}", why, "keep one of them")
            seen[content] = entry.id


def _checked_masks(cohort: Cohort, place: Place, entries: Sequence[Entry]) -> list[str]:
    """Refuse masks that are none; return a sentence about those that are empty."""
    labels = labels_of(cohort, place)
    if cohort.kind is not Kind.PATIENTS:
        for entry in masks_of_healthy(cohort, place):
            if truth_of(entry, labels)[1]:
                why = "holds a lesion, and its scan is said to be healthy"
                raise Refused(str(entry.lesion), why, "take the scan out, or correct the mask")
        return []
    empty = [entry.id for entry in entries if not truth_of(entry, labels)[1]]
    if len(empty) == len(entries):
        raise Refused(f"cohort {cohort.name}", "all masks are empty", "give masks of lesions")
    if not empty:
        return []
    names = ", ".join(empty)
    return [f"{cohort.name}: {len(empty)} reference masks are empty, no figure is of them: {names}"]


def _refuse_model_that_knows(
    job: Job, healthy: Path, cohorts: Mapping[str, Sequence[Entry]]
) -> None:
    """Refuse a model that has learnt from, or was calibrated on, what it is tested on.

    Scans are known by their files; by their ids too if it learnt from a data set of this name.
    """
    if job.model is None or not is_model(job.model):
        return
    provenance = read_about(job.model)[0].provenance
    seen, ids = files_seen(provenance), set[str]()
    same = provenance.get("fit", {}).get("data") == healthy.name
    for part in (Split.STANDARDISE, Split.CALIBRATE):
        record = provenance.get(part, {})
        ids.update(record.get("scans", ()) if same else ())
        seen.update(*record.get("sha256", {}).values())
    ids.update(provenance.get("fit", {}).get("scans", ()) if same else ())
    cases = {bare(name) for name in provenance.get("fit", {}).get("cases", {}).get("people", ())}
    for cohort in job.cohorts:
        entries = cohorts[cohort.name]
        people = people_seen(provenance, entries) | cases
        for entry in entries:
            known = entry.id in ids or seen.intersection(entry.sha256)
            if known or bare(entry.person) in people:
                why = f"was fitted or calibrated on {entry.id}, which cohort {cohort.name} tests on"
                raise Refused(str(job.model), why, "fit it on others")


def _namesakes(job: Job, healthy: Path, cohorts: Mapping[str, Sequence[Entry]]) -> Iterator[str]:
    """Yield a sentence for each cohort whose people a model may know under their own names.

    Half of all data sets call somebody sub-01: if files and data set differ, only people can tell.
    """
    if job.model is None or not is_model(job.model):
        return
    provenance = read_about(job.model)[0].provenance
    fit = provenance.get("fit", {})
    known = {bare(name) for name in fit.get("people", ())}
    for part in (Split.STANDARDISE, Split.CALIBRATE):
        known.update(bare(name) for name in provenance.get(part, {}).get("scans", ()))
    if fit.get("data") == healthy.name:
        return
    for cohort in job.cohorts:
        entries = cohorts[cohort.name]
        alike = sorted({e.person for e in entries if known & {bare(e.person), bare(e.id)}})
        if alike:
            yield (
                f"{job.run}: fitted or calibrated on {fit.get('data')}, where {len(alike)} people "
                f"have names of cohort {cohort.name} ({', '.join(alike[:3])}): "
                "its figures hold only if these are others"
            )
