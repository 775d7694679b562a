"""From a recipe and a cohort of healthy scans to a calibrated model folder."""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hale.core.errors import Refused
from hale.core.method import Detector, Placed, Precision, Supervision, Training
from hale.core.scan import Scan, Space, Split
from hale.data.cohort import Entry, of_split, read_cohort, with_splits
from hale.io.cache import key_of
from hale.io.nifti import file_hash
from hale.pipeline.calibrate import calibrate, persons, refuse_few
from hale.pipeline.job import Options
from hale.pipeline.model import Model, placed, save_model, versions
from hale.pipeline.prepare import Failure, read_entry
from hale.prep.chain import Prepared, space_of
from hale.prep.settings import Mode
from hale.recipe import Recipe

FIT_SHARES = {Split.FIT: 0.6, Split.STANDARDISE: 0.15, Split.CALIBRATE: 0.25}
MIN_FIT = 2


def fit(recipe: Recipe, data: Path, out: Path, options: Options) -> Model:
    """Fit, standardise and calibrate; write the model folder.

    Args:
        recipe: What to fit.
        data: Healthy scans: a BIDS-like folder with splits in ``participants.tsv``, or without,
            in which case persons are divided 60 : 15 : 25 by their names.
        out: Where the model goes. Checkpoints lie beside it, in ``<out>.fitting``.
        options: Device, budget, cache, ...

    Raises:
        Refused: Too few scans, nothing to resume, a full disk.
    """
    entries = with_splits(read_cohort(data, recipe.prep.slots[0]), FIT_SHARES)
    first = read_entry(entries[0]) if recipe.prep.mode is Mode.GIVEN else None
    workshop = options.workshop(recipe.prep, space_of(recipe.prep, first))
    _refuse_small_cohort(recipe, entries)
    fitting = of_split(entries, Split.FIT)
    if recipe.method.supervision is Supervision.NONE:
        fitting = []  # granted nothing, so nothing is prepared
    prepared, failed = workshop.prepare_all(fitting, "preparing the fit scans")
    if fitting and len(prepared) < MIN_FIT:
        raise Refused(str(data), f"{len(prepared)} scans could be prepared", _first(failed))
    begin = time.perf_counter()
    detector, place, training = _learnt(recipe, prepared, workshop.space, out, options)
    record = {
        "data": data.name,
        "terms": recipe.cohort.terms or _terms(data),
        "scans": [p.scan.id for p in prepared],
        "sha256": {e.id: file_hash(e.path) for e in fitting},
        "failed": {f.id: f.reason for f in failed},
        "seconds": round(time.perf_counter() - begin, 1),
        **training,
    }
    model = Model(
        recipe=recipe,
        space=workshop.space,
        detector=detector,
        calibration=None,
        provenance={**versions(), **place, "fit": record},
    )
    model = calibrate(model, entries, workshop)
    saved = save_model(model, out)
    if record.get("finished", True):
        shutil.rmtree(work_folder(out), ignore_errors=True)
    return saved


def _terms(data: Path) -> str:
    """Return the licence that the data set's own description states."""
    try:
        about = json.loads((data / "dataset_description.json").read_text(encoding="utf-8"))
        return str(about["License"])
    except (OSError, ValueError, KeyError, TypeError):
        return "not stated"


def work_folder(out: Path) -> Path:
    """Return where the checkpoints of a fit lie until it is finished."""
    return out.with_name(f"{out.name}.fitting")


def _refuse_small_cohort(recipe: Recipe, entries: Sequence[Entry]) -> None:
    """Refuse before hours of work what could not be calibrated after them."""
    if recipe.method.supervision is not Supervision.NONE:
        count = persons(entries, Split.FIT)
        if count < MIN_FIT:
            raise Refused("healthy cohort", f"{count} scans to fit on", f"give {MIN_FIT} or more")
    refuse_few(recipe.calibration, entries)


def _first(failed: Sequence[Failure]) -> str:
    return f"the first said: {failed[0].reason}" if failed else "give more"


def _learnt(
    recipe: Recipe, prepared: Sequence[Prepared], space: Space, out: Path, options: Options
) -> tuple[Detector, dict[str, str], dict[str, Any]]:
    """Let the method learn from what it is granted; say where and how far it ran."""
    from hale.train.run import FabricRun

    resolved = recipe.resolved()
    scans = [p.scan for p in prepared]
    run = FabricRun(
        seed=recipe.seed,
        device=options.device,
        precision=options.precision,
        folder=work_folder(out),
        budget_minutes=options.budget_minutes,
        fingerprint=key_of(resolved, [scan.content for scan in scans]),
        resume=options.resume,
        save_seconds=60 * options.checkpoint_minutes,
    )
    detector = recipe.method.fit(_granted(recipe, scans, space), run)
    told: dict[str, Any] = {}
    if run.steps_done:
        told = {"steps_done": run.steps_done, "finished": run.finished}
    if not isinstance(detector, Placed):
        return detector, {"device": "cpu", "precision": Precision.FULL}, told
    place = {"device": run.device.split(":")[0], "precision": run.precision}
    return placed(detector, run.device, run.precision), place, told


def _granted(recipe: Recipe, scans: Sequence[Scan], space: Space) -> Training:
    """Return what the method may see: the one place that decides it."""
    if recipe.method.supervision is Supervision.NONE:
        return Training(space=space)
    every = round(1 / recipe.cohort.held_out) if recipe.cohort.held_out > 0 else 0
    held_out = scans[every - 1 :: every] if every else []
    ids = {scan.id for scan in held_out}
    return Training(
        space=space,
        healthy=[scan for scan in scans if scan.id not in ids],
        held_out=held_out,
    )
