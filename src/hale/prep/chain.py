"""The preparation of one exam, stage by stage; each stage is cached by content and settings."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import binary_fill_holes, distance_transform_edt

from hale.core.errors import Refused
from hale.core.grid import Grid, resample, resample_mask
from hale.core.scan import RawScan, Scan, Space, Volume
from hale.core.trace import Trace
from hale.core.types import Affine, Map, MapElsewhere, Mask, MaskElsewhere
from hale.io.cache import Cache, key_of
from hale.io.template import mni152
from hale.prep.bias import corrected, log_bias
from hale.prep.brain.extracted import already_extracted
from hale.prep.normalize import normalised
from hale.prep.quality import resemblance
from hale.prep.register import register, smoothed
from hale.prep.settings import Mode, Preparation

VERSION = 1
"""Of the stages' results: raise it when a stage computes something else."""
MIN_VOXELS = 8
"""Along each axis of a volume."""
MIN_BRAIN_ML, MAX_BRAIN_ML = 300.0, 3000.0
"""A child's brain with a margin, and the largest adult's."""
NAN_MARGIN_MM = 3.0
"""Around a brain that was found: NaN so near may have been brain, which the finder left out."""
TEMPLATE_BRAIN = 0.05
"""Of the template's maximum: where its brain is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A scan that can be scored, and the way back."""

    scan: Scan
    trace: Trace


@dataclass
class _Log:
    """What the stages have to say."""

    notes: list[str]
    seconds: dict[str, float] = field(default_factory=dict)
    checks: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def prepare(raw: RawScan, settings: Preparation, cache: Cache, space: Space) -> Prepared:
    """Bring one exam to the model's space.

    Args:
        raw: As it was read.
        settings: Of the recipe.
        cache: Where stages are kept.
        space: The model's: contrasts and grid.

    Raises:
        Refused: The exam lacks what the model needs, or a stage failed on it.
    """
    contrasts = tuple(raw.volumes)
    if not space.accepts(contrasts):
        wants = " + ".join("/".join(slot) for slot in space.slots)
        given = " + ".join(contrasts)
        raise Refused(raw.id, f"is {given}, the model takes {wants}", "take another model")
    log = _Log(list(raw.source.notes))
    volume = raw.volumes[contrasts[0]]
    if settings.mode is Mode.GIVEN:
        return _prepare_given(raw, volume, settings, space, log)
    if min(volume.grid.shape) < MIN_VOXELS:
        why = f"has {' x '.join(map(str, volume.grid.shape))} voxels: slices, not a volume"
        raise Refused(raw.id, why, "take a one-slice model, or a scan of the whole brain")
    return _prepare_full(raw, volume, settings, cache, space, log)


def _prepare_given(
    raw: RawScan, volume: Volume, settings: Preparation, space: Space, log: _Log
) -> Prepared:
    """Check that the scan lies on the model's grid; take what is not 0 as its brain."""
    if not volume.grid.is_the_same_as(space.grid):
        why = f"lies on a grid of {volume.grid.shape}, the model on {space.grid.shape}"
        remedy = "resample it, or take a model whose recipe prepares (prep.mode = 'full')"
        raise Refused(raw.id, f"{why} (or elsewhere in space)", remedy)
    brain = raw.brain if raw.brain is not None else _finite(volume.values) != 0
    if not brain.any():
        raise Refused(raw.id, "every voxel is 0: no brain", "check the scan")
    values = _without_nan(raw.id, volume, brain, log).values
    image, intensity = normalised(values, brain, settings, raw.id)
    log.checks["brain_ml"] = float(brain.sum()) * volume.grid.voxel_ml
    scan = Scan(id=raw.id, space=space, image=image[None], brain=brain)
    return Prepared(scan=scan, trace=_trace(volume, scan, np.eye(4), brain, intensity, log))


def _prepare_full(
    raw: RawScan, volume: Volume, settings: Preparation, cache: Cache, space: Space, log: _Log
) -> Prepared:
    """Extract, correct, register, resample once, normalise."""
    content = key_of(volume.values, volume.grid.affine.tolist())
    with log.stage("extract"):
        brain, margin_mm = _brain(raw, volume, cache, content, log)
    volume = _without_nan(raw.id, volume, brain, log, margin_mm=margin_mm)
    _refuse_flat(raw.id, volume.values[brain])
    content = key_of(content, np.packbits(brain))
    with log.stage("bias"):
        if settings.bias:
            field_ = cache.get(
                "bias",
                key_of(VERSION, content),
                lambda: {"log_bias": log_bias(volume, brain)},
            )["log_bias"]
            volume = corrected(volume, field_)
    with log.stage("register"):
        to_native = _registered(raw.id, volume, brain, settings, cache, content)
    with log.stage("resample"):
        image, inside = _resampled(volume, brain, to_native, space.grid)
        _check_overlap(raw.id, image, inside, settings, space.grid, log)
        image, intensity = normalised(image, inside, settings, raw.id)
    scan = Scan(id=raw.id, space=space, image=image[None], brain=inside)
    return Prepared(scan=scan, trace=_trace(volume, scan, to_native, brain, intensity, log))


def _brain(
    raw: RawScan, volume: Volume, cache: Cache, content: str, log: _Log
) -> tuple[Mask, float]:
    """Return the native brain, the user's, the scan's own, or deepbet's, and a margin in mm.

    Within the margin a voxel that is not finite may have been brain.
    """
    margin_mm = 0.0
    if raw.brain is not None:
        log.notes.append("brain mask given by the user")
        brain = raw.brain
    elif (brain_ := already_extracted(volume)) is not None:
        log.notes.append("already brain-extracted: its background is one value")
        brain = brain_
        if np.isfinite(volume.values[0, 0, 0]):  # else the background itself is NaN
            margin_mm = NAN_MARGIN_MM
    else:

        def compute() -> dict[str, np.ndarray]:
            from hale.prep.brain.deepbet import extract

            return {"brain": np.packbits(extract(volume, raw.id))}

        margin_mm = NAN_MARGIN_MM
        packed = cache.get("brain", key_of(VERSION, "deepbet", content), compute)["brain"]
        count = int(np.prod(volume.grid.shape))
        brain = np.unpackbits(packed, count=count).reshape(volume.grid.shape).astype(bool)
    ml = float(brain.sum()) * volume.grid.voxel_ml
    log.checks["brain_ml"] = ml
    if not MIN_BRAIN_ML <= ml <= MAX_BRAIN_ML:
        why = f"no brain found: {ml:.0f} ml, an adult's is 900 to 2000"
        raise Refused(raw.id, why, "check the scan, or give --brain-mask")
    return brain, margin_mm


def _without_nan(
    name: str, volume: Volume, brain: Mask, log: _Log, *, margin_mm: float = 0.0
) -> Volume:
    """Put 0 for voxels that are not finite outside the brain; refuse them inside.

    Holes of the brain are inside, and so is what lies within ``margin_mm`` of it.
    """
    bad = ~np.isfinite(volume.values)
    if not bad.any():
        return volume
    within = binary_fill_holes(brain)
    if margin_mm > 0:
        within = distance_transform_edt(~within, sampling=volume.grid.spacing) <= margin_mm
    inside = int((bad & within).sum())
    if inside:
        raise Refused(name, f"{inside} voxels of the brain are NaN or infinite", "export it again")
    log.notes.append(f"{int(bad.sum())} voxels outside the brain are NaN or infinite: taken as 0")
    return Volume(values=_finite(volume.values), grid=volume.grid)


def _refuse_flat(name: str, inside: np.ndarray) -> None:
    """Refuse a brain of one grey value, which nothing can be registered by."""
    if inside.min() == inside.max():
        raise Refused(name, "the brain has no contrast (one grey value)", "check the scan")


def _finite(values: Map) -> Map:
    finite: Map = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return finite


def _registered(
    name: str, volume: Volume, brain: Mask, settings: Preparation, cache: Cache, content: str
) -> Affine:
    """Return template position to native position."""

    def compute() -> dict[str, np.ndarray]:
        try:
            return {"to_native": register(volume, brain, mni152())}
        except RuntimeError as error:  # of ITK, the reason in its last line
            why = f"registration failed ({str(error).strip().splitlines()[-1]})"
            raise Refused(name, why, "check orientation and extraction") from None

    key = key_of(VERSION, "mni152", settings.bias, content)
    return np.asarray(cache.get("register", key, compute)["to_native"])


def _resampled(
    volume: Volume, brain: Mask, to_native: Affine, grid: Grid
) -> tuple[MapElsewhere, MaskElsewhere]:
    """Return image and brain on the model grid: the one interpolation of the intensities."""
    inside = resample_mask(brain, volume.grid, grid, transform=to_native)
    fine = smoothed(volume, min(grid.spacing))
    image = resample(fine, volume.grid, grid, transform=to_native, order=3)
    low, high = volume.values[brain].min(), volume.values[brain].max()
    return image.clip(low, high), inside  # a cubic spline overshoots at edges


def _check_overlap(
    name: str, image: Map, inside: Mask, settings: Preparation, grid: Grid, log: _Log
) -> None:
    """Refuse a registration that does not lay the brain on the template's."""
    template = template_on(grid)
    there = template > TEMPLATE_BRAIN
    both = inside & there
    dice = 2 * float(both.sum()) / max(1.0, float(inside.sum() + there.sum()))
    log.checks["overlap_dice"] = dice
    if both.sum() > 1 and image[both].std() > 0:
        log.checks["correlation"] = float(np.corrcoef(image[both], template[both])[0, 1])
    if dice < settings.min_overlap:
        why = f"registration failed: Dice with the template's brain {dice:.2f}"
        remedy = f"the bound is {settings.min_overlap}; check orientation and extraction"
        raise Refused(name, why, remedy)
    alike = resemblance(image, template, both, grid)
    log.checks["resemblance"] = alike
    if not alike >= settings.min_resemblance:
        why = f"no brain found: the template explains {100 * alike:.0f} % of its intensities"
        remedy = (
            f"the bound is {100 * settings.min_resemblance:g} %; check the scan and its extraction"
        )
        raise Refused(name, why, remedy)


def template_on(grid: Grid) -> Map:
    """Return the template on the model grid."""
    template = mni152()
    values = Volume(values=smoothed(template, min(grid.spacing)), grid=template.grid)
    return resample(values.values, values.grid, grid)


def _trace(
    volume: Volume,
    scan: Scan,
    to_native: Affine,
    brain: Mask,
    intensity: tuple[float, float],
    log: _Log,
) -> Trace:
    return Trace(
        native=volume.grid,
        model=scan.space.grid,
        to_native=to_native,
        brain=brain,
        intensity=intensity,
        checks=log.checks,
        notes=tuple(log.notes),
        seconds=log.seconds,
    )


def space_of(settings: Preparation, first: RawScan | None = None) -> Space:
    """Return the model's space: the recipe's grid, or with mode 'given' the first scan's."""
    if settings.mode is Mode.FULL:
        return Space(slots=settings.slots, grid=settings.grid)
    if first is None:
        raise Refused("prep.mode = 'given'", "needs a scan that says where", "give --data")
    return Space(slots=settings.slots, grid=next(iter(first.volumes.values())).grid)
