"""Patients with reference lesion masks, for the methods that are granted them, and for no other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hale.core.errors import Refused
from hale.core.method import Supervision
from hale.core.scan import Case, Space, Split
from hale.core.trace import Trace
from hale.core.types import Mask, MaskElsewhere
from hale.data.cohort import Entry, of_split, refuse_repeated_content, refuse_repeated_ids
from hale.data.folder import Reading, read_part
from hale.data.layouts import FOLDED, LAYOUTS, find_layout
from hale.data.layouts.labels import ANY, Labels
from hale.data.names import RECORD
from hale.data.references import find_references, read_map
from hale.io.cache import Cache
from hale.io.nifti import file_hash
from hale.pipeline.fitness import quality_of, refuse_unfit
from hale.pipeline.job import Options
from hale.pipeline.prepare import Workshop, read_entry
from hale.pipeline.workers import Failure
from hale.prep.chain import Prepared, prepare
from hale.prep.settings import Preparation
from hale.recipe import Recipe


@dataclass(frozen=True, kw_only=True, eq=False)
class Patients:
    """Cases that a method may learn from."""

    folder: str = ""
    """Its name."""
    entries: Sequence[Entry] = ()
    """Each with its lesion mask, not yet read."""
    labels: Labels = ANY
    """What the values of the masks mean."""


NOBODY = Patients()


def read_cases(folder: Path | Patients | None, recipe: Recipe, options: Options) -> Patients:
    """Return the cases of a folder that the recipe's method is to learn from.

    They are those marked ``fit`` in its ``participants.tsv``; where that gives nobody a split, all.

    Args:
        folder: Of scans, with a mask of each (see `find_references`); or whom a list names; None:
            there is none.
        recipe: Whose method learns from lesion masks, or does not.
        options: How folders are read.

    Raises:
        Refused: Cases for a method that is not granted them, or none for one that needs them; no
            scan with a mask; one scan or one id twice.
    """
    granted = recipe.method.supervision is Supervision.LESION_MASKS
    if folder is None and granted:
        why = f"learns from {recipe.method.supervision}, and there are none"
        raise Refused(f"method {recipe.method_name}", why, "give --cases FOLDER")
    if folder is None:
        return NOBODY
    if not granted:
        why = f"{recipe.method_name} learns from {recipe.method.supervision} alone"
        name = folder.folder if isinstance(folder, Patients) else folder
        raise Refused(f"--cases {name}", why, "leave it out, or take another method")
    if isinstance(folder, Patients):
        return folder
    found, warnings = read_part(folder, recipe.prep.slots, _reading(folder, options.reading))
    for warning in warnings:
        options.tell(f"{folder}: {warning}")
    listed = any(entry.split is not None for entry in found)
    chosen = of_split(found, Split.FIT) if listed else found
    entries = _with_masks(folder, chosen, found)
    if not entries:
        why = "holds no scan to learn from that has a lesion mask"
        remedy = "name masks <id>_desc-lesion_mask.nii.gz; in participants.tsv mark their split fit"
        raise Refused(str(folder), why, remedy)
    if lacking := len(chosen) - len(entries):
        options.tell(f"{folder}: {lacking} scans to learn from have no lesion mask: left out")
    refuse_repeated_ids(entries)
    refuse_repeated_content(entries)
    return Patients(folder=folder.name, entries=entries, labels=_labels(folder))


def prepared_cases(patients: Patients, workshop: Workshop) -> tuple[list[Case], list[Failure]]:
    """Return the cases on the model grid, prepared like any scan, and the failures.

    Raises:
        Refused: None could be prepared, or none of them has a lesion there.
    """
    work = partial(
        case_or_failure,
        labels=patients.labels,
        settings=workshop.settings,
        cache=workshop.cache,
        space=workshop.space,
    )
    found = workshop.each(work, patients.entries, "preparing the cases")
    cases = [item for item in found if isinstance(item, Case)]
    failed = [item for item in found if isinstance(item, Failure)]
    if patients.entries and not any(case.lesion.any() for case in cases):
        why = f"{len(cases)} scans could be prepared, and no lesion is left in them"
        remedy = f"the first said: {failed[0].reason}" if failed else "check the masks"
        raise Refused(f"cases {patients.folder}", why, remedy)
    return cases, failed


def case_or_failure(
    entry: Entry, *, labels: Labels, settings: Preparation, cache: Cache, space: Space
) -> Case | Failure:
    """Return a prepared scan with its lesion on the model grid, or why there is none."""
    try:
        prepared = prepare(read_entry(entry), settings, cache, space)
        refuse_unfit(entry.id, quality_of(prepared.trace))
        lesion = read_lesion(entry, labels, prepared)
    except Refused as error:
        return Failure(id=entry.id, reason=str(error))
    inside = on_model_grid(lesion, prepared.trace, coarsen=settings.coarsen) & prepared.scan.brain
    return Case(scan=prepared.scan, lesion=inside)


def read_lesion(entry: Entry, labels: Labels, prepared: Prepared) -> MaskElsewhere:
    """Return the reference mask of a case, on the grid of its scan.

    Raises:
        Refused: It cannot be read, or lies on another grid.
    """
    if entry.lesion is None:
        raise Refused(entry.id, "has no lesion mask", "give one, or leave the scan out")
    volume = read_map(entry.lesion)
    if not volume.grid.is_the_same_as(prepared.trace.native):
        why = f"lies on another grid than the scan {entry.path.name}"
        raise Refused(str(entry.lesion), why, "resample the mask to it (nearest neighbour)")
    return labels.lesion_in(volume.values)


def on_model_grid(lesion: MaskElsewhere, trace: Trace, *, coarsen: int) -> Mask:
    """Return a mask of the scan's grid on the model's.

    By nearest neighbour; where the model sees blocks of voxels, a block is lesion if at least half
    of its brain is.
    """
    if coarsen == 1:
        return trace.way.bring_mask(lesion, trace.native, trace.model)
    native = trace.native
    brain = native.summed(trace.brain.astype(np.float32), coarsen)
    ill = native.summed((lesion & trace.brain).astype(np.float32), coarsen)
    return (brain > 0) & (2 * ill >= brain)


def record_of(patients: Patients, failed: Iterable[Failure]) -> dict[str, Any]:
    """Return who the cases were, as plain JSON."""
    reasons = {failure.id: failure.reason for failure in failed}
    used = [entry for entry in patients.entries if entry.id not in reasons]
    return {
        "data": patients.folder,
        "scans": [entry.id for entry in used],
        "people": sorted({entry.person for entry in used}),
        "sha256": {entry.id: entry.sha256 for entry in patients.entries},
        "masks": {e.id: file_hash(e.lesion) for e in patients.entries if e.lesion is not None},
        "failed": reasons,
    }


def _with_masks(folder: Path, chosen: Sequence[Entry], found: Sequence[Entry]) -> list[Entry]:
    """Return the entries that have a lesion mask, the data set's own or one that lies about."""
    scans = [path for entry in found for path in entry.files.values()]
    masks = find_references(folder, [e.id for e in chosen if e.lesion is None], scans)
    known = [e if e.lesion else replace(e, lesion=masks.get(e.id)) for e in chosen]
    return [entry for entry in known if entry.lesion is not None]


def _labels(folder: Path) -> Labels:
    """Return what the values of a folder's masks mean."""
    layout = _layout(folder)
    return ANY if layout is None else LAYOUTS[layout].LABELS


def _reading(folder: Path, reading: Reading) -> Reading:
    """Return how to read a folder of cases: a fold may be meant for the healthy scans alone."""
    folded = not folder.is_dir() or _layout(folder) in FOLDED
    return reading if folded else replace(reading, fold=None)


def _layout(folder: Path) -> str | None:
    """Return the published data set whose layout a folder has, if any."""
    return None if any(folder.glob(f"*/{RECORD}")) else find_layout(folder)
