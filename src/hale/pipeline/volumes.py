"""Volumes scored as the published tables score them: one threshold a data set, means of volumes.

Reference: Behrendt et al. 2023, "Patched diffusion models for unsupervised anomaly detection in
brain MRI", MIDL, arXiv:2303.03758.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Case, Scan, Space
from hale.core.types import Map, Mask
from hale.data.cohort import Entry
from hale.data.layouts.behrendt import LABELS
from hale.io.cache import Arrays, Cache, key_of
from hale.metrics import voxel
from hale.metrics.thresholds import best_val, best_val_exact, healthy_fpr
from hale.metrics.voxel import NAN
from hale.pipeline.cases import on_model_grid, read_lesion
from hale.pipeline.experiment import Experiment, Patients, Policy
from hale.pipeline.fitness import quality_of, refuse_unfit
from hale.pipeline.lists import Tested
from hale.pipeline.model import Model, runs_in, score
from hale.pipeline.prepare import Workshop, read_entry
from hale.pipeline.workers import Failure
from hale.post.components import without_small
from hale.prep.chain import prepare
from hale.prep.settings import Preparation


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """A volume with its map, on the model grid."""

    entry: Entry
    values: Map
    """Post-processed, 0 outside the brain."""
    brain: Mask
    lesion: Mask
    """Outside the brain too; all False in a healthy scan."""


class Cut(NamedTuple):
    """Where the maps of a data set are cut."""

    threshold: float
    dice: float
    """On the scans that chose it, all their voxels together; NaN: no lesion was looked at."""
    volumes: int
    """How many those were."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Figures of one volume; NaN where undefined: a volume without lesion has none."""

    id: str
    person: str
    lesion_ml: float
    dice: Mapping[Policy, float]
    """At each threshold."""
    auprc_grid: float
    """Over all voxels of the grid, as published."""
    auprc_brain: float
    """Over those of brain or lesion."""
    score: float
    """Mean of the map in the brain."""


def scored(
    model: Model, entries: Sequence[Entry], workshop: Workshop, kept: Cache, *, healthy: bool
) -> Iterator[Scored | Failure]:
    """Yield volumes with their maps, as they are done, and what failed.

    Args:
        model: Fitted.
        entries: Of one list.
        workshop: Where they are prepared.
        kept: Where maps are kept, by model and content.
        healthy: Whether they have no lesion; else each has a lesion mask.
    """
    work = partial(
        whole_case,
        healthy=healthy,
        settings=workshop.settings,
        cache=workshop.cache,
        space=workshop.space,
    )
    for entry, result in workshop.crew.each(work, entries):
        if isinstance(result, Failure):
            yield result
            continue
        scan = result.scan
        key = key_of(model.sha256, runs_in(model), scan.content)
        found = kept.get("map", key, partial(_map, model, scan))
        yield Scored(entry=entry, values=found["values"], brain=scan.brain, lesion=result.lesion)


def _map(model: Model, scan: Scan) -> Arrays:
    return {"values": score(model, scan).values}


def whole_case(
    entry: Entry, *, healthy: bool, settings: Preparation, cache: Cache, space: Space
) -> Case | Failure:
    """Return a prepared scan with all of its lesion on the model grid, or why there is none."""
    try:
        prepared = prepare(read_entry(entry), settings, cache, space)
        refuse_unfit(entry.id, quality_of(prepared.trace))
        if healthy:
            return Case(scan=prepared.scan, lesion=np.zeros_like(prepared.scan.brain))
        lesion = read_lesion(entry, LABELS, prepared)
    except Refused as error:
        return Failure(id=entry.id, reason=str(error))
    whole = on_model_grid(lesion, prepared.trace, coarsen=settings.coarsen)
    return Case(scan=prepared.scan, lesion=whole)


def cut_at(policy: Policy, ill: Sequence[Scored], healthy: Sequence[Scored], rate: float) -> Cut:
    """Return the threshold of a data set.

    Args:
        policy: How it is chosen.
        ill: Its validation volumes.
        healthy: Those of healthy people.
        rate: Share of the voxels of healthy brains that may be marked.

    Raises:
        Refused: There is nothing to choose it by.
    """
    if policy is Policy.HEALTHY_FPR:
        if not healthy:
            why = "no healthy validation scan is left to choose it by"
            raise Refused(f"threshold {policy}", why, "take another fold, or thresholds without it")
        inside = [volume.values[volume.brain] for volume in healthy]
        return Cut(healthy_fpr(np.concatenate(inside), rate), NAN, len(healthy))
    if not any(volume.lesion.any() for volume in ill):
        why = "no validation volume with a lesion is left to choose it by"
        raise Refused(f"threshold {policy}", why, "check the masks, or take healthy_fpr")
    values = np.concatenate([volume.values.ravel() for volume in ill])
    lesion = np.concatenate([volume.lesion.ravel() for volume in ill])
    search = best_val_exact if policy is Policy.BEST_VAL_EXACT else best_val
    tried = search(values, lesion)
    return Cut(tried.threshold, tried.dice, len(ill))


def row_of(volume: Scored, cuts: Mapping[Policy, Cut], grid: Grid, smallest_mm3: float) -> Row:
    """Return the figures of a volume.

    Args:
        volume: With its map.
        cuts: Where it is cut.
        grid: Of the map.
        smallest_mm3: Components of a mask below it are dropped; 0: none is.
    """
    values, lesion, region = volume.values, volume.lesion, volume.brain | volume.lesion
    dices = {Policy.ORACLE: voxel.best_dice(values, lesion)}
    for policy, cut in cuts.items():
        found = (values >= cut.threshold) & volume.brain
        if smallest_mm3:
            found = without_small(found, grid, smallest_mm3=smallest_mm3)
        dices[policy] = voxel.dice(found, lesion) if lesion.any() else NAN
    return Row(
        id=volume.entry.id,
        person=volume.entry.person,
        lesion_ml=float(lesion.sum()) * grid.voxel_ml,
        dice=dices,
        auprc_grid=voxel.average_precision(values, lesion),
        auprc_brain=voxel.average_precision(values[region], lesion[region]),
        score=float(values[volume.brain].mean()),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What became of the volumes of a data set."""

    cuts: Mapping[Policy, Cut]
    """All but the oracle's."""
    validation: tuple[Row, ...]
    test: tuple[Row, ...]
    failed: tuple[Failure, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tester:
    """A fitted model, and how the maps that it makes are cut."""

    experiment: Experiment
    model: Model
    workshop: Workshop
    kept: Cache
    """Where maps are kept."""

    def healthy(self, entries: Sequence[Entry]) -> tuple[list[Scored], list[Failure]]:
        """Return the healthy validation scans, if a threshold needs them, and what failed."""
        if Policy.HEALTHY_FPR not in self.experiment.thresholds:
            return [], []
        found = [*self._each(entries, "scoring healthy validation scans", healthy=True)]
        return _apart(found)

    def outcome(self, name: Patients, tested: Tested, healthy: Sequence[Scored]) -> Outcome:
        """Choose the thresholds of a data set, then test.

        Raises:
            Refused: There is nothing to choose a threshold by.
        """
        wanted, rate = self.experiment.thresholds, self.experiment.rate
        ill, lost = _apart([*self._each(tested.validation, f"scoring {name}_val")])
        cuts: dict[Policy, Cut] = {
            policy: cut_at(policy, ill, healthy, rate)
            for policy in wanted
            if policy is not Policy.ORACLE
        }
        smallest, grid = self.experiment.smallest_mm3, self.model.space.grid
        rows: dict[str, Row] = {}
        for found in self._each(tested.test, f"scoring {name}_test"):
            if isinstance(found, Failure):
                lost.append(found)
            else:
                rows[found.entry.id] = row_of(found, cuts, grid, smallest)
        return Outcome(
            cuts=cuts,
            validation=tuple(row_of(volume, cuts, grid, smallest) for volume in ill),
            test=tuple(rows[entry.id] for entry in tested.test if entry.id in rows),
            failed=tuple(lost),
        )

    def _each(
        self, entries: Sequence[Entry], what: str, *, healthy: bool = False
    ) -> Iterator[Scored | Failure]:
        """Yield the volumes of a list as they are done, telling the progress."""
        found = scored(self.model, entries, self.workshop, self.kept, healthy=healthy)
        for done, each in enumerate(found, start=1):
            yield each
            self.workshop.progress(what, done, len(entries))


def _apart(found: Sequence[Scored | Failure]) -> tuple[list[Scored], list[Failure]]:
    """Return the volumes in the order of their ids, and the failures."""
    volumes = [each for each in found if isinstance(each, Scored)]
    failed = [each for each in found if isinstance(each, Failure)]
    return sorted(volumes, key=lambda volume: volume.entry.id), failed
