"""What maps on disk say of one case. No model is needed, and a changed metric repeats only this.

Figures are kept beside a hash of the very files that they are of: what has not changed is not
measured again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from hale.bench.cohorts import labels_of
from hale.bench.measured import Measured, keep, kept
from hale.bench.place import Place
from hale.bench.plan import Job
from hale.bench.planting import spot_of
from hale.bench.rebuilt import PICTURE, rebuilt
from hale.bench.suite import Cohort, Kind
from hale.bench.tally import tally
from hale.core.errors import Refused
from hale.core.types import Mask
from hale.data.cohort import Entry
from hale.data.layouts.labels import Labels
from hale.data.references import MapFiles, find_maps, read_grid, read_on
from hale.io.cache import key_of
from hale.io.model import is_model, read_about
from hale.io.nifti import file_hash
from hale.metrics import evaluation, froc, voxel
from hale.metrics.evaluation import Maps
from hale.pipeline.evaluate import read_case
from hale.pipeline.job import Options
from hale.pipeline.prepare import read_entry
from hale.pipeline.single import recipe_hash
from hale.pipeline.workers import Failure
from hale.pipeline.write import RESULT

VERSION = 4
"""Of what is measured: another number measures all maps again."""
OWN = "score.nii.gz"
"""The method's own score, beside the standardised map."""


@dataclass(frozen=True, kw_only=True)
class Ruler:
    """By what the maps of a cohort are measured."""

    labels: Labels
    """What the values of its masks mean."""
    kind: Kind
    extracted: bool
    """Whether its scans are 0 outside the brain."""
    baseline: Path
    """Maps of the baseline, whose brain all methods are ranked in where the data bring none."""
    kept: Path
    """Where figures are kept."""
    ours: bool = False
    """Whether `hale` wrote the maps: they say what they are of."""
    model: str = ""
    """Hash of the model that is to have made them; empty: it is not there any more."""


def measured(
    job: Job,
    cohort: Cohort,
    entries: list[Entry],
    place: Place,
    options: Options,
    *,
    baseline: Path,
) -> tuple[list[Measured], list[Failure]]:
    """Return the figures of all cases of a cohort that have a map, and why others have none.

    Args:
        job: Whose maps.
        cohort: Of which cohort.
        entries: Its cases.
        place: Where the maps are.
        options: Who measures, and who is told.
        baseline: Maps of the method in whose brain all are ranked, where the data bring none.
    """
    folder = maps_folder(job, cohort, place)
    if not folder.is_dir():
        return [], [Failure(id=cohort.name, reason=f"there are no maps in {folder}")]
    try:
        maps = find_maps(folder)
    except Refused as refusal:
        return [], [Failure(id=cohort.name, reason=str(refusal))]
    ruler = Ruler(
        labels=labels_of(cohort, place),
        kind=cohort.kind,
        extracted=cohort.extracted,
        baseline=baseline,
        kept=place.figures_of(job.run, cohort.name),
        ours=job.recipe is not None,
        model=_model_of(job),
    )
    work = partial(measure, maps=maps, ruler=ruler)
    name = f"measuring {job.run} on {cohort.name}"
    options.progress(name, 0, len(entries))
    results: dict[str, Measured | Failure] = {}
    for entry, result in options.crew.each(work, entries):
        results[entry.id] = result
        options.progress(name, len(results), len(entries))
    ordered = [results[entry.id] for entry in entries]
    found = [result for result in ordered if isinstance(result, Measured)]
    return found, [result for result in ordered if isinstance(result, Failure)]


def brain_of(entry: Entry, baseline: Path) -> Path | None:
    """Return the brain in which every method is ranked: the data's, else the baseline's."""
    theirs = baseline / entry.id / "brain.nii.gz"
    return entry.brain or (theirs if theirs.is_file() else None)


def ranked_apart(cohort: Cohort, entries: Sequence[Entry], baseline: Path) -> list[str]:
    """Return the scans where each method is ranked in its own brain, for want of a common one."""
    if cohort.extracted:
        return []
    return [entry.id for entry in entries if brain_of(entry, baseline) is None]


def maps_folder(job: Job, cohort: Cohort, place: Place) -> Path:
    """Return the folder of a method's maps of a cohort."""
    if job.recipe is not None or place.maps is None:
        return place.maps_of(job.run, cohort.name)
    folder = place.maps / job.entrant.maps
    return folder / cohort.name if (folder / cohort.name).is_dir() else folder


def measure(entry: Entry, *, maps: Mapping[str, MapFiles], ruler: Ruler) -> Measured | Failure:
    """Return the figures of one case, kept or measured now, or why there are none."""
    if entry.id not in maps:
        return Failure(id=entry.id, reason="has no map")
    files = maps[entry.id]
    if ruler.ours and (why := _stale(entry, files.anomaly.with_name(RESULT), ruler.model)):
        return Failure(id=entry.id, reason=why)
    own = files.anomaly.with_name(OWN)
    within = brain_of(entry, ruler.baseline)
    inputs = [files.anomaly, files.brain, files.pvalue, files.mask, own, entry.lesion, within]
    if ruler.extracted:
        inputs.append(entry.path)
    if ruler.kind is Kind.HEALTHY:
        inputs.append(files.anomaly.with_name(PICTURE))
    hashes = [file_hash(path) if path is not None and path.is_file() else "" for path in inputs]
    key = key_of(VERSION, str(ruler.kind), entry.person, repr(ruler.labels), hashes)
    place = ruler.kept / entry.id
    if (there := kept(place, key)) is not None:
        return there
    try:
        made = _measured(entry, files, own, ruler)
    except Refused as refusal:
        return Failure(id=entry.id, reason=str(refusal))
    keep(place, key, made)
    return made


def _model_of(job: Job) -> str:
    """Return the hash by which maps of a job's model are known; empty if it is not there."""
    if job.recipe is not None and job.model is None:
        return recipe_hash(job.recipe)
    return read_about(job.model)[1] if job.model is not None and is_model(job.model) else ""


def _stale(entry: Entry, result: Path, model: str) -> str:
    """Return why a map is not of this scan and this model as they are now; empty if it is."""
    try:
        told = json.loads(result.read_text(encoding="utf-8"))["provenance"]
        made_by, made_from = told["model_sha256"], told["input_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"{result.name} beside its map does not say what the map is of"
    if model and made_by != model:
        return "its map is of another model than the one that is there now"
    return "" if made_from == entry.sha256 else "its map is of another file than the scan is now"


def _measured(entry: Entry, files: MapFiles, own: Path, ruler: Ruler) -> Measured:
    case, truth = _case(entry, files, ruler)
    kind = ruler.kind
    what = evaluation.Kind.LESION if truth.any() else evaluation.Kind.EMPTY
    if kind is Kind.HEALTHY:
        what = evaluation.Kind.HEALTHY
    row = evaluation.score_case(entry.id, entry.person, what, case, truth)
    region, shown = evaluation.region_of(case, truth), evaluation.scores_of(case)
    tallies = {"map": tally(shown[region], truth[region])}
    figures: dict[str, float] = {}
    if own.is_file():
        raw = replace(case, anomaly=read_on(own, read_grid(files.anomaly)))
        scores = evaluation.scores_of(raw)[region]
        tallies["own"] = tally(scores, truth[region])
        counts = voxel.curve(scores, truth[region])
        figures = {
            "auprc_own": counts.average_precision,
            "auroc_own": counts.auroc,
            "best_dice_own_oracle": counts.best_dice,
        }
    seconds, commit = _made(files.anomaly.with_name(RESULT))
    return Measured(
        row=row,
        spot=_spot(entry) if kind is Kind.SYNTHETIC else None,
        own=figures,
        rebuilt=_rebuilt(entry, files, case) if kind is Kind.HEALTHY else {},
        tallies=tallies,
        profile=froc.profile(shown, truth, voxel_ml=case.voxel_ml, region=region),
        seconds=seconds,
        commit=commit,
    )


def _case(entry: Entry, files: MapFiles, ruler: Ruler) -> tuple[Maps, Mask]:
    """Return the maps of a case, ranked where all methods are, and its lesion.

    Voxels that the data set leaves out of its evaluation are left out of everything.

    Raises:
        Refused: As `read_case`; a map on another grid than its scan.
    """
    grid = read_grid(files.anomaly)
    if not grid.is_the_same_as(read_grid(entry.path)):
        why = f"lies on another grid than its scan {entry.path.name}"
        raise Refused(str(files.anomaly), why, "resample the map to the scan")
    case, truth = read_case(files, None, within=brain_of(entry, ruler.baseline))
    if case.within is None and ruler.extracted:
        case = replace(case, within=read_on(entry.path, grid) > 0)
    if case.brain is None and case.within is not None:
        case = replace(case, brain=case.within)
    if ruler.kind is Kind.HEALTHY or entry.lesion is None:
        return case, truth
    values = read_on(entry.lesion, grid)
    truth = ruler.labels.lesion_in(values)
    ignored = ruler.labels.ignored_in(values)
    if ignored.any():
        case = replace(
            case,
            brain=(np.ones_like(truth) if case.brain is None else case.brain) & ~ignored,
            within=None if case.within is None else case.within & ~ignored,
            mask=None if case.mask is None else np.where(ignored, 0, case.mask),
            pvalue=None if case.pvalue is None else np.where(ignored, 1, case.pvalue),
        )
    return case, truth


def _rebuilt(entry: Entry, files: MapFiles, case: Maps) -> dict[str, float]:
    """Return how a scan was rebuilt; nothing without a picture on the scan's own grid."""
    picture = files.anomaly.with_name(PICTURE)
    brain = case.brain if case.within is None else case.within
    if brain is None or not picture.is_file():
        return {}
    scan = read_entry(entry).reference
    return rebuilt(scan, picture, brain) if scan.grid.is_the_same_as(read_grid(picture)) else {}


def _spot(entry: Entry) -> tuple[float, float]:
    spot = spot_of(entry)
    return spot.volume_ml, spot.contrast_sd


def _made(result: Path) -> tuple[float, str | None]:
    """Return how long a map took (s), and by which commit; NaN and None where nobody says."""
    if not result.is_file():
        return voxel.NAN, None
    told = json.loads(result.read_text(encoding="utf-8"))
    return float(sum(told["seconds"].values())), told["provenance"].get("commit")
