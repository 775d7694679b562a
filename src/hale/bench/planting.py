"""Synthetic cohorts: every lesion of the table in the same healthy scans, written as scans are.

They are planted in the scan as it came, before any preparation: what a lesion does to brain
extraction, registration and normalisation is part of the test. Of one scan all contrasts share
shape and place.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hale.bench.place import Place
from hale.bench.suite import Cohort, Planted
from hale.core.errors import Refused
from hale.core.scan import Contrast, RawScan
from hale.core.types import Mask
from hale.data.cohort import Entry
from hale.data.lesions import LesionSpec, plant
from hale.data.lesions.solid import masks_at
from hale.io.cache import Cache, key_of
from hale.io.nifti import WRITING, file_hash, write_volume
from hale.pipeline.prepare import Progress, read_entry, silent
from hale.pipeline.workers import Crew, Failure
from hale.prep.chain import prepare, space_of
from hale.prep.settings import Preparation

LESION = "lesion.json"
"""What says of a case that it is complete, and what was planted."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """One planted lesion."""

    volume_ml: float
    contrast_sd: float

    @property
    def name(self) -> str:
        """Return it as a part of an id, e.g. ``4ml-2sd`` and ``4ml+2sd``."""
        return f"{self.volume_ml:g}ml{self.contrast_sd:+g}sd"


@dataclass(frozen=True, kw_only=True)
class Planter:
    """What is planted, and where it goes."""

    lesions: Planted
    shapes: Path | None
    """Folder of masks; None: spheres."""
    shapes_hash: str
    """Of all that is in it."""
    folder: Path
    numbers: Mapping[str, int]
    """Of each host."""
    extracted: bool
    """Whether the hosts are 0 outside the brain."""

    def seed(self, host: str) -> int:
        """Return the seed of shape and place in a host."""
        return self.lesions.seed + self.numbers[host]

    def key(self, host: Entry) -> str:
        """Return what a case is known by: host, seed, shapes."""
        return key_of(host.sha256, self.seed(host.id), self.shapes_hash, self.extracted)


def planter_of(cohort: Cohort, hosts: Sequence[Entry], place: Place) -> Planter:
    """Return what is planted in the scans of a synthetic cohort."""
    assert cohort.lesions is not None
    shapes = place.data / cohort.lesions.shapes if cohort.lesions.shapes else None
    files = [] if shapes is None else masks_at(shapes)
    return Planter(
        lesions=cohort.lesions,
        shapes=shapes,
        shapes_hash=key_of([[path.name, file_hash(path)] for path in files]),
        folder=place.planted(cohort.name),
        numbers={host.id: number for number, host in enumerate(hosts)},
        extracted=cohort.extracted,
    )


def spots(lesions: Planted) -> list[Spot]:
    """Return the cells of the table, all sizes of a contrast before the next contrast."""
    cells = product(lesions.contrasts_sd, lesions.volumes_ml)
    return [Spot(volume_ml=volume, contrast_sd=contrast) for contrast, volume in cells]


def spots_in(lesions: Planted, number: int) -> list[Spot]:
    """Return the cells that the scan of a number hosts."""
    cells = spots(lesions)
    count = lesions.cells_per_scan or len(cells)
    return [cells[(number * count + step) % len(cells)] for step in range(min(count, len(cells)))]


def planted(
    cohort: Cohort,
    hosts: Sequence[Entry],
    place: Place,
    *,
    cache: Cache,
    crew: Crew | None = None,
    progress: Progress = silent,
) -> tuple[list[Entry], list[Failure]]:
    """Return the cases of a synthetic cohort, planting those that are not there yet.

    Args:
        cohort: Which.
        hosts: Its healthy scans.
        place: Where its cases are kept, and the shapes come from.
        cache: Of brain extraction, where a scan brings no mask.
        crew: Who plants.
        progress: Told as scans are finished.

    Returns:
        Cases in the order of hosts and cells, and lesions that did not fit with the reason.
    """
    work = partial(plant_in, planter=planter_of(cohort, hosts, place), cache=cache)
    cases: dict[str, list[Entry]] = {}
    failed: list[Failure] = []
    progress("planting lesions", 0, len(hosts))
    for host, result in (crew or Crew()).each(work, hosts):
        if isinstance(result, Failure):
            failed.append(result)
            cases[host.id] = []
        else:
            cases[host.id], lost = result
            failed += lost
        progress("planting lesions", len(cases), len(hosts))
    return [case for host in hosts for case in cases[host.id]], failed


def there(cohort: Cohort, hosts: Sequence[Entry], place: Place) -> list[Entry]:
    """Return the cases of a cohort that are on disk: of a synthetic one, those that are planted.

    What was planted in other scans, or with another seed or other shapes, is not of this cohort.
    """
    if cohort.lesions is None:
        return list(hosts)
    planter = planter_of(cohort, hosts, place)
    return [
        case
        for number, host in enumerate(hosts)
        for case in (_case(host, s, planter.folder) for s in spots_in(cohort.lesions, number))
        if _is_there(case, planter.key(host))
    ]


def plant_in(host: Entry, *, planter: Planter, cache: Cache) -> tuple[list[Entry], list[Failure]]:
    """Plant all lesions in one scan; what is there from the same scan and settings stays."""
    key = planter.key(host)
    cases, failed = [], []
    raw: RawScan | None = None
    for spot in spots_in(planter.lesions, planter.numbers[host.id]):
        case = _case(host, spot, planter.folder)
        if not _is_there(case, key):
            try:
                raw = raw or read_entry(host)
                _write(case, raw, spot, planter, key, cache)
            except Refused as error:
                failed.append(Failure(id=case.id, reason=str(error)))
                continue
        cases.append(case)
    return cases, failed


def spot_of(entry: Entry) -> Spot:
    """Return what was planted in a case."""
    told = json.loads((entry.path.parent / LESION).read_text(encoding="utf-8"))
    return Spot(volume_ml=told["volume_ml"], contrast_sd=told["contrast_sd"])


def _case(host: Entry, spot: Spot, folder: Path) -> Entry:
    """Return a case as an entry, whether it is there or not."""
    name = f"{host.id}_{spot.name}"
    place = folder / name
    return Entry(
        id=name,
        person=host.person,
        files={host.contrast: place / f"{name}_{host.contrast}.nii.gz"},
        brain=place / f"{name}_desc-brain_mask.nii.gz" if host.brain is not None else None,
        lesion=place / f"{name}_desc-lesion_mask.nii.gz",
        split=host.split,
        age=host.age,
    )


def _is_there(case: Entry, key: str) -> bool:
    try:
        told = json.loads((case.path.parent / LESION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(told.get("key") == key)


def _write(case: Entry, raw: RawScan, spot: Spot, planter: Planter, key: str, cache: Cache) -> None:
    """Write scan, mask, brain and what was planted, that last."""
    reference, stored = raw.reference, raw.source.stored
    assert stored is not None
    assert case.lesion is not None
    shapes, seed = planter.shapes, planter.seed(raw.id)
    spec = LesionSpec(volume_ml=spot.volume_ml, contrast_sd=spot.contrast_sd, shape=shapes)
    brain = reference.values > 0 if planter.extracted else brain_of(raw, cache)
    image, mask = plant(reference.values, brain, reference.grid, spec, seed)
    folder = case.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LESION).unlink(missing_ok=True)
    for cut_short in folder.glob(f"{WRITING}*"):
        shutil.rmtree(cut_short)
    write_volume(case.path, image.astype(np.float32), stored)
    write_volume(case.lesion, mask.astype(np.uint8), stored)
    if case.brain is not None:
        write_volume(case.brain, brain.astype(np.uint8), stored)
    told: dict[str, Any] = {
        "volume_ml": spot.volume_ml,
        "contrast_sd": spot.contrast_sd,
        "host": raw.id,
        "host_sha256": list(raw.source.sha256),
        "seed": seed,
        "shapes": "spheres" if shapes is None else shapes.name,
        "key": key,
    }
    (folder / LESION).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def brain_of(raw: RawScan, cache: Cache) -> Mask:
    """Return the brain of a scan on its own grid: given, or extracted."""
    if raw.brain is not None:
        return raw.brain
    contrast: Contrast = next(iter(raw.volumes))
    settings = replace(Preparation(), slots=((contrast,),))
    return prepare(raw, settings, cache, space_of(settings, raw)).trace.brain
