"""What the calibration cohort was, and whether a scan is like it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hale.core.detection import Validity
from hale.core.scan import RawScan, Source
from hale.core.trace import Trace

SPACING_TOLERANCE = 0.25
"""A spacing this share outside the cohort's range is another protocol."""
AGE_TOLERANCE = 2.0
"""Years."""
EXTRACTED = "already brain-extracted"
EDGE = "spacing_max_mm_"
"""Of the key in `Trace.checks`, before the contrast."""


def domain_of(
    traces: Sequence[Trace], sources: Sequence[Source], contrasts: Iterable[str]
) -> dict[str, Any]:
    """Return what the healthy scans of a calibration have in common, as plain JSON."""
    spacing = np.array([sorted(trace.native.spacing) for trace in traces])
    ages = [source.age for source in sources if source.age is not None]
    scanners = sorted({source.scanner for source in sources if source.scanner is not None})
    return {
        "contrasts": sorted(contrasts),
        "others_mm": _others(traces),
        "spacing_mm": {"low": spacing.min(0).tolist(), "high": spacing.max(0).tolist()},
        "extracted": sorted({_is_extracted(trace) for trace in traces}),
        "age": [min(ages), max(ages)] if len(ages) == len(sources) else None,
        "scanners": scanners,
    }


def validity(domain: Mapping[str, Any], raw: RawScan, trace: Trace) -> Validity:
    """Compare a scan with the calibration cohort: known differences, and what is not known."""
    reasons: list[str] = []
    unknown: list[str] = []
    for contrast in raw.volumes:
        if contrast not in domain["contrasts"]:
            reasons.append(f"contrast {contrast}, calibrated on {', '.join(domain['contrasts'])}")
    reasons += _coarser(domain["others_mm"], trace)
    spacing = np.array(sorted(trace.native.spacing))
    low = np.array(domain["spacing_mm"]["low"]) * (1 - SPACING_TOLERANCE)
    high = np.array(domain["spacing_mm"]["high"]) * (1 + SPACING_TOLERANCE)
    if (spacing < low).any() or (spacing > high).any():
        reasons.append(f"spacing {_mm(spacing)} mm, calibrated on {_range(domain['spacing_mm'])}")
    if _is_extracted(trace) not in domain["extracted"]:
        state, cohort = ("brain-extracted", "raw") if _is_extracted(trace) else ("raw", "extracted")
        reasons.append(f"the scan came {state}, the calibration scans {cohort}")
    _compare_age(domain["age"], raw.source.age, reasons, unknown)
    _compare_scanner(domain["scanners"], raw.source.scanner, reasons, unknown)
    return Validity(holds=not reasons, reasons=tuple(reasons), not_checked=tuple(unknown))


def _others(traces: Sequence[Trace]) -> dict[str, list[float]]:
    """Return the range of the largest voxel edge of each contrast but the reference, mm."""
    keys = {key for trace in traces for key in trace.checks if key.startswith(EDGE)}
    edges = {k: [t.checks[k] for t in traces if k in t.checks] for k in sorted(keys)}
    return {key.removeprefix(EDGE): [min(mm), max(mm)] for key, mm in edges.items()}


def _coarser(others: Mapping[str, Sequence[float]], trace: Trace) -> Iterator[str]:
    """Yield the other contrasts whose voxels are larger or smaller than the cohort's."""
    for contrast, (low, high) in others.items():
        edge = trace.checks.get(f"{EDGE}{contrast}")
        if edge is None:
            continue
        if not low * (1 - SPACING_TOLERANCE) <= edge <= high * (1 + SPACING_TOLERANCE):
            yield f"{contrast} voxels of {edge:.3g} mm, calibrated on {low:.3g} to {high:.3g} mm"


def _compare_age(
    cohort: Sequence[float] | None, age: float | None, reasons: list[str], unknown: list[str]
) -> None:
    if cohort is None:
        unknown.append("age (the calibration scans' is unknown)")
    elif age is None:
        unknown.append(f"age (calibrated on {cohort[0]:.0f} to {cohort[1]:.0f} years)")
    elif not cohort[0] - AGE_TOLERANCE <= age <= cohort[1] + AGE_TOLERANCE:
        reasons.append(f"age {age:.0f}, calibrated on {cohort[0]:.0f} to {cohort[1]:.0f} years")


def _compare_scanner(
    cohort: Sequence[str], scanner: str | None, reasons: list[str], unknown: list[str]
) -> None:
    if not cohort or scanner is None:
        unknown.append("site and scanner")
    elif scanner not in cohort:
        reasons.append(f"scanner {scanner}, calibrated on {', '.join(cohort)}")


def _is_extracted(trace: Trace) -> bool:
    return any(note.startswith(EXTRACTED) for note in trace.notes)


def _mm(spacing: np.ndarray) -> str:
    return " x ".join(f"{s:.3g}" for s in spacing)


def _range(spacing: Mapping[str, Sequence[float]]) -> str:
    low, high = np.array(spacing["low"]), np.array(spacing["high"])
    return (
        f"{_mm(low)} mm" if np.allclose(low, high, rtol=0.01) else f"{_mm(low)} to {_mm(high)} mm"
    )
