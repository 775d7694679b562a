"""The preparation of one exam, stage by stage; each stage is cached by content and settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hale.core.errors import Refused
from hale.core.grid import resample_mask
from hale.core.scan import Contrast, RawScan, Scan, Space, Volume, lacking
from hale.core.trace import Trace
from hale.core.types import Affine, Map, Mask
from hale.core.warp import Way
from hale.io.cache import Cache, key_of
from hale.prep.bias import corrected, log_bias
from hale.prep.brain.find import find_brain
from hale.prep.finite import finite, refuse_flat, without_nan
from hale.prep.inspect import in_mni, inspect_given, inspect_native, inspect_registered
from hale.prep.log import Log, quiet
from hale.prep.normalize import normalised
from hale.prep.place import Clean, Placed, brought, coarsened, covered, to_other, way_to
from hale.prep.refusals import MIN_VOXELS, refuse_hidden_ct, refuse_no_background, refuse_slices
from hale.prep.settings import Mode, Normalisation, Preparation, Segmenter
from hale.prep.template import middle_of, template_of
from hale.prep.tissue import VERSION as TISSUE_VERSION
from hale.prep.tissue import coded, tissue_classes

BIAS_VERSION = 1
"""Of the bias field: raise it when it is found another way."""
WHOLE = 0.995
"""Share of the brain from which on a contrast shows all of it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A scan that can be scored, and the way back."""

    scan: Scan
    trace: Trace


def prepare(
    raw: RawScan,
    settings: Preparation,
    cache: Cache,
    space: Space,
    *,
    begun: Callable[[str], None] = quiet,
) -> Prepared:
    """Bring one exam to the model's space.

    Args:
        raw: As it was read.
        settings: Of the recipe.
        cache: Where stages are kept.
        space: The model's: contrasts and grid.
        begun: Told each stage as it begins: extract, bias, register, resample, check, tissue.

    Raises:
        Refused: The exam lacks what the model needs, or a stage failed on it.
    """
    contrasts = tuple(raw.volumes)
    if not space.accepts(contrasts):
        raise lacking(raw.id, contrasts, space.slots)
    refuse_hidden_ct(raw)
    log = Log(list(raw.source.notes), begun)
    match settings.mode:
        case Mode.GIVEN:
            return _prepare_given(raw, settings, cache, space, log)
        case Mode.NATIVE:
            return _prepare_native(raw, settings, cache, space, log)
        case _:
            refuse_slices(raw)
            return _prepare_full(raw, settings, cache, space, log)


def space_of(settings: Preparation, first: RawScan | None = None) -> Space:
    """Return the model's space: the recipe's grid, or else that of the first scan."""
    if settings.mode is Mode.FULL:
        middle = middle_of(template_of(settings.template_of_reference))
        return Space(slots=settings.slots, grid=settings.grid_about(middle))
    if first is None:
        raise Refused(f"prep.mode = '{settings.mode}'", "needs a scan", "give --data")
    return Space(slots=settings.slots, grid=first.reference.grid.coarser(settings.coarsen))


def _prepare_given(
    raw: RawScan, settings: Preparation, cache: Cache, space: Space, log: Log
) -> Prepared:
    """Check that the scan lies on the model's grid; take what is not 0 as its brain."""
    for volume in raw.volumes.values():
        if not volume.grid.coarser(settings.coarsen).is_the_same_as(space.grid):
            why = f"lies on a grid of {volume.grid.shape}, the model on {space.grid.shape}"
            remedy = "resample it, or take a model whose recipe prepares (prep.mode = 'full')"
            raise Refused(raw.id, f"{why} (or elsewhere in space)", remedy)
    brain = raw.brain if raw.brain is not None else finite(raw.reference.values) != 0
    if not brain.any():
        raise Refused(raw.id, "every voxel is 0: no brain", "check the scan")
    volumes = {c: without_nan(raw.id, v, brain, log) for c, v in raw.volumes.items()}
    inspect_given(raw, brain, log)
    placed = _where_it_is(volumes, brain, space)
    if settings.coarsen > 1:
        placed = coarsened(placed, raw.reference.grid, settings.coarsen)
    return _prepared(raw, placed, settings, cache, space, log)


def _prepare_native(
    raw: RawScan, settings: Preparation, cache: Cache, space: Space, log: Log
) -> Prepared:
    """Find the brain and correct the bias field, where the scan lies; nothing is resampled."""
    if min(raw.reference.grid.shape) < MIN_VOXELS or len(raw.volumes) > 1:
        refuse_no_background(raw)
        if raw.brain is None:
            log.notes.append("taken as brain-extracted: its brain is what is not 0")
        return _prepare_given(raw, settings, cache, space, log)
    whole = _reference(raw, settings, cache, log)
    with log.stage("check"):
        inspect_native(raw, whole.brain, log)
    volumes = {next(iter(raw.volumes)): whole.volume}
    return _prepared(raw, _where_it_is(volumes, whole.brain, space), settings, cache, space, log)


def _where_it_is(volumes: Mapping[Contrast, Volume], brain: Mask, space: Space) -> Placed:
    """Return an exam that is not moved."""
    return Placed(
        images={contrast: volume.values for contrast, volume in volumes.items()},
        inside=brain,
        reached=dict.fromkeys(volumes, brain),
        brain=brain,
        ways=dict.fromkeys(volumes, Way(affine=np.eye(4))),
        grid=space.grid,
    )


def _prepare_full(
    raw: RawScan, settings: Preparation, cache: Cache, space: Space, log: Log
) -> Prepared:
    """Extract, correct, register, resample once, normalise."""
    reference = _reference(raw, settings, cache, log)
    with log.stage("register"):
        way = way_to(reference, raw.id, settings, cache, log)
    first, *others = raw.volumes
    grid = space.grid
    with log.stage("resample"):
        images = {first: brought(reference.volume, reference.brain, way, grid, settings)}
        inside = way.bring_mask(reference.brain, raw.reference.grid, grid)
    ways, reached, brain = {first: way}, {first: inside}, reference.brain
    for contrast in others:
        other, transform = _other(raw, contrast, reference, settings, cache, log)
        with log.stage("resample"):
            ways[contrast] = way.then(transform)
            images[contrast] = brought(other.volume, other.brain, ways[contrast], grid, settings)
            reached[contrast] = inside & covered(other.volume, ways[contrast], grid)
            shown = covered(other.volume, Way(affine=transform), raw.reference.grid)
            _note_coverage(contrast, brain & shown, reference.brain, log)
            brain = brain & shown
    placed = Placed(
        images=images, inside=inside, reached=reached, brain=brain, ways=ways, grid=grid
    )
    with log.stage("check"):
        inspect_registered(raw, placed, settings, log)
    seen = np.logical_and.reduce(list(reached.values()))
    return _prepared(raw, replace(placed, inside=seen), settings, cache, space, log)


def _reference(raw: RawScan, settings: Preparation, cache: Cache, log: Log) -> Clean:
    """Find the brain of the reference contrast and correct its bias field."""
    volume = raw.reference
    content = key_of(volume.values, volume.grid.affine.tolist())
    with log.stage("extract"):
        found = find_brain(raw, settings, cache, content, log)
    volume = without_nan(raw.id, volume, found.brain, log, margin_mm=found.margin_mm)
    refuse_flat(raw.id, volume.values[found.brain])
    content = key_of(content, np.packbits(found.brain))
    with log.stage("bias"):
        if settings.bias and Contrast.CT not in raw.volumes:
            volume = _unbiased(volume, found.brain, cache, content)
            content = key_of(content, "bias", BIAS_VERSION)
    contrast = next(iter(raw.volumes))
    return Clean(contrast=contrast, volume=volume, brain=found.brain, content=content)


def _other(
    raw: RawScan,
    contrast: Contrast,
    reference: Clean,
    settings: Preparation,
    cache: Cache,
    log: Log,
) -> tuple[Clean, Affine]:
    """Return another contrast, clean, and reference position to its position, mm."""
    volume, name = raw.volumes[contrast], f"{raw.id} {contrast}"
    calm = Volume(values=finite(volume.values), grid=volume.grid)
    with log.stage("register"):
        to_it = to_other(calm, reference, raw.id, contrast, cache, log)
    brain = resample_mask(
        reference.brain, reference.volume.grid, volume.grid, transform=np.linalg.inv(to_it)
    )
    if not brain.any():
        raise Refused(name, "does not show the brain of the reference contrast", "check the scan")
    volume = without_nan(name, volume, brain, log)
    refuse_flat(name, volume.values[brain])
    content = key_of(volume.values, volume.grid.affine.tolist(), np.packbits(brain))
    with log.stage("bias"):
        if settings.bias:
            volume = _unbiased(volume, brain, cache, content)
    clean = Clean(contrast=contrast, volume=volume, brain=brain, content=content)
    return clean, to_it


def _note_coverage(contrast: Contrast, shown: Mask, brain: Mask, log: Log) -> None:
    """Measure the share of the brain that a contrast shows; say what is not scored."""
    share = float(shown.sum() / max(1, brain.sum()))
    log.checks[f"covered_{contrast}"] = share
    if share < WHOLE:
        rest = f"{100 * (1 - share):.0f} % of the brain, which {contrast} does not show"
        log.notes.append(f"{rest}, is not scored")


def _unbiased(volume: Volume, brain: Mask, cache: Cache, content: str) -> Volume:
    """Return the volume without its bias field."""
    key = key_of(BIAS_VERSION, content)
    field = cache.get("bias", key, lambda: {"log_bias": log_bias(volume, brain)})["log_bias"]
    return corrected(volume, field)


def _prepared(
    raw: RawScan, placed: Placed, settings: Preparation, cache: Cache, space: Space, log: Log
) -> Prepared:
    """Normalise each contrast; put scan and trace together."""
    pairs = _unitless(raw, placed, settings, cache, log)
    image = np.stack([values for values, _ in pairs])
    trace = Trace(
        native=raw.reference.grid,
        model=space.grid,
        to_native=next(iter(placed.ways.values())).affine,
        warp=next(iter(placed.ways.values())).warp,
        brain=placed.brain,
        intensity=pairs[0][1],
        checks=log.checks,
        contrasts=tuple(log.contrasts),
        notes=tuple(log.notes),
        seconds=log.seconds,
    )
    return Prepared(
        scan=Scan(id=raw.id, space=space, image=image, brain=placed.inside), trace=trace
    )


def _unitless(
    raw: RawScan, placed: Placed, settings: Preparation, cache: Cache, log: Log
) -> list[tuple[Map, tuple[float, float]]]:
    """Return each contrast as the method sees it, and the (offset, scale) that undoes it."""
    images, brain = placed.images, placed.inside
    if settings.normalise is not Normalisation.TISSUE:
        return [normalised(x, brain, settings, raw.id) for x in images.values()]
    with log.stage("tissue"):
        tissues = [_tissues(raw.id, placed, contrast, settings, cache) for contrast in images]
    return [(tissue, (0.0, 1.0)) for tissue in tissues]


def _tissues(
    name: str, placed: Placed, contrast: Contrast, settings: Preparation, cache: Cache
) -> Map:
    """Return a contrast as its tissue classes."""
    image, brain = placed.images[contrast], placed.inside
    grid = in_mni(placed.grid, settings.template_of_reference)
    segmenter = settings.segmenter or Segmenter.ATROPOS

    def compute() -> dict[str, np.ndarray]:
        found = tissue_classes(
            image, brain, grid, contrast=contrast, segmenter=segmenter, name=f"{name} {contrast}"
        )
        return {"classes": found.astype(np.uint8)}

    key = key_of(
        TISSUE_VERSION, segmenter, contrast, grid.affine.tolist(), image, np.packbits(brain)
    )
    return coded(cache.get("tissue", key, compute)["classes"].astype(np.int32))
