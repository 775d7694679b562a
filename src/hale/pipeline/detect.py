"""From a raw exam and a model to a detection on the exam's own grid."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.ndimage import center_of_mass, distance_transform_edt

from hale.calibration import Calibration, Component, settings_of
from hale.core.anomaly import AnomalyMap, top_mean
from hale.core.detection import Detection, Lesion, Validity
from hale.core.grid import Grid
from hale.core.method import Estimates, Remarks
from hale.core.scan import RawScan
from hale.core.trace import Trace
from hale.core.types import Labels, LabelsElsewhere, Map, Mask, MaskElsewhere
from hale.io.cache import Cache
from hale.pipeline.domain import validity
from hale.pipeline.fitness import quality_of, refuse_unfit
from hale.pipeline.model import Model, runs_in, score, summary
from hale.pipeline.prepare import quiet
from hale.pipeline.seen import SEEN_CASE, was_case
from hale.pipeline.versions import versions
from hale.prep.chain import Prepared, prepare
from hale.prep.settings import MNI152, Mode
from hale.prep.template import template_on

REACH = 2.0
"""How far from a component its native voxels may lie, in voxels of the model grid."""


def detect(
    model: Model,
    raw: RawScan,
    cache: Cache | None = None,
    *,
    insist: bool = False,
    own: bool = False,
    tell: Callable[[str], None] = quiet,
) -> Detection:
    """Return what ``model`` finds in one exam, on the exam's grid.

    Args:
        model: Fitted; calibrated or not.
        raw: The exam, as `hale.io.raw.read_raw` reads it.
        cache: Where stages of the preparation are kept.
        insist: Whether to go on where contrast or quality control refuse, saying so.
        own: Whether to keep the method's own score beside the standardised one.
        tell: Told how long the scan will take, where a method needs its time.

    Raises:
        Refused: The exam cannot be prepared for this model, or is not fit for it.
    """
    prepared = prepare(raw, model.recipe.prep, cache or Cache(), model.space)
    return detect_prepared(model, raw, prepared, insist=insist, own=own, tell=tell)


def detect_prepared(
    model: Model,
    raw: RawScan,
    prepared: Prepared,
    *,
    insist: bool = False,
    own: bool = False,
    tell: Callable[[str], None] = quiet,
) -> Detection:
    """Return what `detect` does, of an exam that was prepared for ``model``.

    Raises:
        Refused: The exam is not fit for the model.
    """
    quality = quality_of(prepared.trace, model.calibration)
    if not insist:
        refuse_unfit(raw.id, quality)
    if isinstance(model.detector, Estimates):
        tell(
            f"{raw.id}: {_duration(model.detector.estimate(prepared.scan))} at most on this machine"
        )
    start = time.perf_counter()
    anomaly = score(model, prepared.scan)
    seconds = {**prepared.trace.seconds, "score": time.perf_counter() - start}
    start = time.perf_counter()
    detection = (
        _uncalibrated(model, raw, prepared, anomaly)
        if model.calibration is None
        else _calibrated(model, model.calibration, raw, prepared, anomaly)
    )
    seconds["undo"] = time.perf_counter() - start
    kept = prepared.trace.undo(anomaly.values) if own else None
    return replace(detection, own=kept, quality=quality, seconds=seconds)


def _duration(seconds: float) -> str:
    """Return a time that nobody holds us to, e.g. ``about 3 minutes``."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"about {seconds / length:.0f} {unit}"
    return f"about {max(1, round(seconds))} s"


def _uncalibrated(model: Model, raw: RawScan, prepared: Prepared, anomaly: AnomalyMap) -> Detection:
    """Return a map and its ranks; no p-values, no mask."""
    return Detection(
        anomaly=prepared.trace.undo(anomaly.values),
        pvalue=None,
        mask=None,
        lesions=(),
        score=anomaly.score,
        flagged=None,
        validity=None,
        **_common(model, raw, prepared, anomaly),
    )


def _calibrated(
    model: Model,
    calibration: Calibration,
    raw: RawScan,
    prepared: Prepared,
    anomaly: AnomalyMap,
) -> Detection:
    """Return z, p, and the components that too few healthy scans show."""
    trace, brain = prepared.trace, prepared.scan.brain
    z = calibration.norm.z(anomaly)
    labels, found = calibration.components(z, brain, model.space.grid)
    kept = [c for c in found if c.p <= calibration.settings.alpha]
    native_z = trace.undo(z)
    mask = native_mask(labels, len(kept), native_z, trace, z0=calibration.settings.z0)
    p = np.where(trace.brain, calibration.p_voxel(native_z), 1).astype(np.float32)
    prep = model.recipe.prep
    mni = prep.mode is Mode.FULL and prep.template_of_reference == MNI152
    return Detection(
        anomaly=native_z,
        pvalue=p,
        mask=mask,
        lesions=tuple(_lesion(c, mask, native_z, trace, mni=mni) for c in kept),
        score=top_mean(z[brain]),
        flagged=bool(kept),
        validity=_validity(model, calibration, raw, trace),
        calibration=settings_of(calibration),
        **_common(model, raw, prepared, anomaly),
    )


def _validity(model: Model, calibration: Calibration, raw: RawScan, trace: Trace) -> Validity:
    """Return whether the calibration speaks for a scan, which it does for none that was learnt."""
    found = validity(calibration.domain, raw, trace, quality_of(trace, calibration))
    if not was_case(model.provenance, raw.source.sha256):
        return found
    return replace(found, holds=False, reasons=(SEEN_CASE, *found.reasons))


def native_mask(
    labels: LabelsElsewhere, kept: int, native_z: Map, trace: Trace, *, z0: float
) -> Labels:
    """Return components 1 ... ``kept`` of the model grid as numbered lesions on the native grid.

    The native mask is the resampled continuous map, thresholded at z0, not a resampled mask; each
    voxel takes the number of the nearest component. A component that is too small for the native
    grid to hold keeps one voxel, the nearest to its middle: what is flagged is never invisible.

    Args:
        labels: All components of the model grid, numbered from the heaviest.
        kept: How many of them are lesions.
        native_z: The standardised score on the native grid.
        trace: The way back.
        z0: The threshold that formed the components.
    """
    mask = np.zeros(trace.native.shape, np.int32)
    if kept == 0:
        return mask
    distance, nearest = distance_transform_edt(labels == 0, return_indices=True)
    spread = labels[tuple(nearest)]
    spread[(distance > REACH) | (spread > kept)] = 0
    index = np.argwhere(native_z > z0)
    position = trace.way.back(trace.native.positions(index))
    to_index = np.linalg.inv(trace.model.affine)
    voxel = np.rint(position @ to_index[:3, :3].T + to_index[:3, 3]).astype(int)
    inside = ((voxel >= 0) & (voxel < trace.model.shape)).all(1)
    mask[tuple(index[inside].T)] = spread[tuple(voxel[inside].T)]
    for number in range(1, kept + 1):
        if not (mask == number).any():
            mask[_nearest_voxel(labels == number, mask == 0, trace)] = number
    return mask


def _nearest_voxel(component: Mask, free: MaskElsewhere, trace: Trace) -> tuple[int, int, int]:
    """Return the free voxel of the native brain that is nearest to the middle of a component."""
    middle = trace.model.positions(np.array([center_of_mass(component)]))
    native = trace.way.there(middle)
    candidates = np.argwhere(trace.brain & free)
    apart = np.linalg.norm(trace.native.positions(candidates) - native, axis=1)
    i, j, k = candidates[apart.argmin()]
    return int(i), int(j), int(k)


def _lesion(
    component: Component, mask: Labels, native_z: Map, trace: Trace, *, mni: bool
) -> Lesion:
    """Return the row of a component in the lesion table."""
    index = np.argwhere(mask == component.label)
    centre = trace.native.positions(index.mean(0)[None])[0]
    values = native_z[tuple(index.T)]
    peak = trace.native.positions(index[values.argmax()][None])[0]
    template = trace.way.back(centre[None])[0]
    return Lesion(
        label=component.label,
        volume_ml=len(index) * trace.native.voxel_ml,
        centre_mm=_mm(centre),
        centre_mni_mm=_mm(template) if mni else None,
        peak=float(values.max()),
        peak_mm=_mm(peak),
        mass=component.mass,
        p=component.p,
    )


def _mm(position: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 1) for value in position)
    return x, y, z


def _common(model: Model, raw: RawScan, prepared: Prepared, anomaly: AnomalyMap) -> dict[str, Any]:
    """Return what every detection holds."""
    trace = prepared.trace
    notes = list(trace.notes)
    if model.calibration is not None and runs_in(model) is not model.precision:
        notes.append(
            f"computed in precision {runs_in(model)}, calibrated in {model.precision}:"
            " p-values may be off"
        )
    if was_case(model.provenance, raw.source.sha256):
        notes.append(f"{SEEN_CASE}: what it finds here says nothing of other scans")
    if isinstance(model.detector, Remarks):
        notes += model.detector.remarks(prepared.scan)
    return {
        "id": raw.id,
        "contrasts": raw.volumes,
        "brain": trace.brain,
        "pseudo_healthy": _pseudo_healthy(anomaly, trace),
        "checks": trace.checks,
        "contrasts_seen": trace.contrasts,
        "template": _registration(model, prepared),
        "notes": tuple(notes),
        "place": trace.place(),
        "provenance": {
            **versions(),
            **summary(model),
            "reference": model.recipe.reference,
            "input_files": list(raw.source.files),
            "input_sha256": list(raw.source.sha256),
            "precision": str(runs_in(model)),
        },
    }


def _pseudo_healthy(anomaly: AnomalyMap, trace: Trace) -> Map | None:
    """Return the first channel's pseudo-healthy image in the scan's own intensities."""
    if anomaly.pseudo_healthy is None:
        return None
    offset, scale = trace.intensity
    back = offset + scale * trace.undo(anomaly.pseudo_healthy[0])
    return np.where(trace.brain, back, 0).astype(np.float32)


def _registration(model: Model, prepared: Prepared) -> dict[str, Any]:
    """Return scan and template on the model grid, if one was laid on the other."""
    prep = model.recipe.prep
    if prep.mode is not Mode.FULL:
        return {}
    grid: Grid = model.space.grid
    return {
        "scan": prepared.scan.image,
        "template": template_on(grid, prep.template_of_reference),
    }
