"""Standardise and calibrate a model on healthy scans that its fit did not see."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from hale.calibration import (
    Calibrating,
    Calibration,
    calibrated,
    normative,
    refuse_small_alpha,
)
from hale.core.anomaly import AnomalyMap
from hale.core.errors import Refused
from hale.core.method import Detector, Method, Placed, Reconstructs, Rescores
from hale.core.scan import Contrast, Slots, Split
from hale.core.trace import Trace
from hale.data.bids import read_files
from hale.data.cohort import (
    Entry,
    of_split,
    refuse_repeated_content,
    refuse_repeated_ids,
    with_splits,
)
from hale.data.folder import Data, Reading, read_folder
from hale.pipeline.base import restored
from hale.pipeline.domain import domain_of
from hale.pipeline.job import Options
from hale.pipeline.model import Model, has_decided, placed, runs_in, save_model, score
from hale.pipeline.prepare import Workshop, read_entry
from hale.pipeline.seen import refuse_seen
from hale.pipeline.verdict import distribution
from hale.pipeline.versions import versions
from hale.post.normative import normative_residual
from hale.post.settings import Score
from hale.prep.chain import Prepared
from hale.recipe import Recipe, build_recipe

SITE_SHARES = {Split.STANDARDISE: 0.4, Split.CALIBRATE: 0.6}
MIN_STANDARDISE = 3
SECONDS_SCAN = "seconds_scan"
"""In a model's provenance, of each split: how long its score of a prepared scan took, the mean."""


def calibrate(model: Model, entries: Sequence[Entry], workshop: Workshop) -> Model:
    """Return the model standardised and calibrated on healthy scans that its fit did not see.

    Raises:
        Refused: Fewer scans than alpha needs.
    """
    settings = model.recipe.calibration
    maps, kept, failures, seconds = {}, {}, {}, {}
    domain: dict[str, Any] = {}
    traces: list[Trace] = []
    for split in (Split.STANDARDISE, Split.CALIBRATE):
        chosen = of_split(entries, split)
        prepared, failed = workshop.prepare_all(chosen, f"preparing the {split} scans")
        failures[split] = {f.id: f.reason for f in failed}
        by_id = {p.scan.id: p for p in prepared}
        kept[split] = [entry for entry in chosen if entry.id in by_id]
        if split is Split.STANDARDISE:
            model = _with_residual(model, [by_id[e.id] for e in kept[split]], workshop)
        started = perf_counter()
        maps[split] = _scored(model, [by_id[e.id] for e in kept[split]], workshop, split)
        seconds[split] = (perf_counter() - started) / max(len(kept[split]), 1)
        traces += [by_id[entry.id].trace for entry in kept[split]]
        if split is Split.CALIBRATE:
            sources = [read_entry(entry).source for entry in kept[split]]
            contrasts = {str(c) for entry in kept[split] for c in entry.files}
            domain = domain_of([by_id[e.id].trace for e in kept[split]], sources, contrasts)
            domain["quality"] = distribution([trace.checks for trace in traces])
    refuse_few(settings, [*kept[Split.STANDARDISE], *kept[Split.CALIBRATE]])
    grid = model.space.grid
    result: Calibration = calibrated(
        maps[Split.CALIBRATE],
        [entry.person for entry in kept[Split.CALIBRATE]],
        norm=normative(maps[Split.STANDARDISE], grid, settings),
        grid=grid,
        settings=settings,
        domain=domain,
    )
    told = {
        str(split): {
            "scans": [e.id for e in kept[split]],
            "sha256": {e.id: e.sha256 for e in kept[split]},
            "failed": failures[split],
            SECONDS_SCAN: round(seconds[split], 3),
        }
        for split in kept
    }
    return replace(model, calibration=result, provenance={**model.provenance, **told})


def with_settings(model: Model, overrides: Sequence[str]) -> Model:
    """Return the model with another score, post-processing or calibration, to be calibrated anew.

    Args:
        model: Fitted.
        overrides: ``post.KEY=value`` or ``calibration.KEY=value``, or ``method.KEY=value`` of what
            its method lists as `Rescores.scoring`.

    Raises:
        Refused: A setting that the detector or its preparation was fitted with.
    """
    if not overrides:
        return model
    recipe = build_recipe(model.recipe.resolved(), overrides=overrides)
    fitted = model.recipe
    free = _scoring(fitted.method)
    learnt = replace(recipe, post=fitted.post, calibration=fitted.calibration, method=fitted.method)
    if learnt != fitted or _but(recipe.method, free) != _but(fitted.method, free):
        given = ", ".join(overrides)
        others = "".join(f", method.{name}" for name in sorted(free))
        why = f"changes more than [post] and [calibration]{others}: the model was fitted with it"
        raise Refused(f"--set {given}", why, "fit a model with it (`hale fit --set`)")
    return replace(model, recipe=recipe, detector=_rescored(model, recipe))


def _scoring(method: Method) -> frozenset[str]:
    """Return the settings of a method that change no weights."""
    return method.scoring if isinstance(method, Rescores) else frozenset()


def _but(method: Method, names: frozenset[str]) -> dict[str, Any]:
    """Return all settings of a method but those named."""
    return {name: value for name, value in vars(method).items() if name not in names}


def _rescored(model: Model, recipe: Recipe) -> Detector:
    """Return the detector as the recipe's method makes it of the model's weights."""
    old = model.detector
    if recipe.method == model.recipe.method:
        return old
    new = restored(recipe, old.state(), model.space, model.provenance.get("base", {}))
    device = old.device if isinstance(old, Placed) else "cpu"
    return placed(new, device, runs_in(model), seed=recipe.seed)


def recalibrate(model: Model, data: Path, out: Path, options: Options) -> Model:
    """Make a model valid for a site: calibrate it on the site's own healthy scans, save it.

    Raises:
        Refused: Fewer scans than alpha needs, files that the fit has seen, or people who are all
            meant for something else.
    """
    if has_decided(model):
        why = "has a map that is its own decision: there is nothing to calibrate"
        raise Refused(model.name, why, "take its score: --set method.decision=score")
    entries = read_cohort(data, model.space.slots, options)
    chosen = of_split(divided(entries, data), Split.STANDARDISE, Split.CALIBRATE)
    refuse_seen(model.provenance, data, chosen)
    refuse_few(model.recipe.calibration, chosen)
    workshop = options.workshop(model.recipe.prep, model.space)
    told = {
        "calibration_data": data.name,
        "recalibrated_from": model.sha256,
        "precision": str(runs_in(model)),
    }
    fresh = replace(model, provenance={**model.provenance, **versions(), **told})
    return save_model(calibrate(fresh, chosen, workshop), out)


def read_cohort(data: Data, slots: Slots, options: Options) -> list[Entry]:
    """Return the healthy scans of a folder, or of files; tell what is wrong with its lists.

    A model of one channel that accepts several contrasts learns from each that an exam has: they
    are entries of one person, ``sub-01_T1w`` and ``sub-01_T2w``.

    Raises:
        Refused: One scan or one id twice, unless lists are kept as they were published.
    """
    if not isinstance(data, Path):
        entries = read_files(data, slots)
        refuse_repeated_ids(entries)
        refuse_repeated_content(entries)
        return entries
    entries, warnings = read_folder(data, slots, options.reading)
    if len(slots) == 1 and len(slots[0]) > 1:
        entries = _of_every_contrast(entries, data, slots[0], options.reading)
    for warning in warnings:
        options.tell(f"{data}: {warning}")
    if options.reading.published:
        options.tell(f"{data}: lists kept as published; figures on their test set are optimistic")
    else:
        refuse_repeated_ids(entries)
        refuse_repeated_content(entries)
    return entries


def _of_every_contrast(
    entries: Sequence[Entry], data: Path, contrasts: Sequence[Contrast], reading: Reading
) -> list[Entry]:
    """Return the entries, and those of the other contrasts that their folder holds."""
    taken = {entry.path for entry in entries if entry.refusal is None}
    others: list[Entry] = []
    for contrast in contrasts:
        try:
            found, _ = read_folder(data, ((contrast,),), reading)
        except Refused:  # what is wrong with the folder was said before: it has none of these
            continue
        new = [e for e in found if e.refusal is None and e.path not in taken]
        others += [replace(entry, notes=()) for entry in new]
        taken |= {entry.path for entry in new}
    if not others:
        return list(entries)
    named = [e if e.refusal else replace(e, id=f"{e.id}_{e.contrast}", notes=()) for e in entries]
    return [*named, *(replace(entry, id=f"{entry.id}_{entry.contrast}") for entry in others)]


def divided(entries: Sequence[Entry], data: Path) -> list[Entry]:
    """Return a site's scans by the splits of its table; without, 40 : 60 by the persons' names.

    Who is marked ``fit`` or ``test`` stays that: only people without a split are drawn.

    Raises:
        Refused: Nobody is there to standardise and calibrate on.
    """
    if any(entry.split in SITE_SHARES for entry in entries):
        return list(entries)
    free = [entry for entry in entries if entry.split is None]
    if not free:
        why = "its table marks everybody fit or test, nobody standardise or calibrate"
        remedy = "mark healthy people so in participants.tsv, or leave their split empty (n/a)"
        raise Refused(str(data), why, remedy)
    return with_splits(free, SITE_SHARES)


def refuse_few(settings: Calibrating, entries: Sequence[Entry]) -> None:
    """Refuse fewer people than the calibration's promise needs."""
    refuse_small_alpha(settings, persons(entries, Split.CALIBRATE))
    if (count := persons(entries, Split.STANDARDISE)) < MIN_STANDARDISE:
        why = f"{count} scans to standardise on"
        raise Refused("healthy cohort", why, f"give {MIN_STANDARDISE} or more")


def persons(entries: Sequence[Entry], split: Split) -> int:
    """Return how many people the scans of a split are of."""
    return len({entry.person for entry in of_split(entries, split)})


def _with_residual(model: Model, prepared: Sequence[Prepared], workshop: Workshop) -> Model:
    """Return the model with what healthy scans leave over, if its score needs that."""
    detector, settings = model.detector, model.recipe.calibration
    if model.recipe.post.score is not Score.NORMATIVE or not isinstance(detector, Reconstructs):
        return model
    residuals = []
    for done, item in enumerate(prepared, start=1):
        scan, level = item.scan, model.recipe.post.level
        residuals.append((scan.image - detector.reconstruct(scan, level=level)) * scan.brain)
        workshop.progress("restoring the standardise scans", done, len(prepared))
    residual = normative_residual(
        residuals,
        [item.scan.brain for item in prepared],
        model.space.grid,
        smooth_mm=settings.smooth_mm,
        floor=settings.floor,
    )
    return replace(model, residual=residual)


def _scored(
    model: Model, prepared: Sequence[Prepared], workshop: Workshop, split: Split
) -> list[AnomalyMap]:
    """Return the post-processed maps of prepared scans."""
    maps = []
    for done, item in enumerate(prepared, start=1):
        maps.append(score(model, item.scan))
        workshop.progress(f"scoring the {split} scans", done, len(prepared))
    return maps
