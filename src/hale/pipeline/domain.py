"""What the calibration cohort was, and whether a scan is like it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hale.core.detection import Validity
from hale.core.quality import Quality, Verdict
from hale.core.scan import RawScan, Source
from hale.core.trace import Trace
from hale.prep.brain.find import EXTRACTED, GIVEN

SPACING_TOLERANCE = 0.25
"""A spacing this share outside the cohort's range is another protocol."""
AGE_TOLERANCE = 2.0
"""Years."""
BRAIN_FROM = {EXTRACTED: "extracted already", GIVEN: "given as a mask"}
"""What preparation notes of it, and what that means."""
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
        "channels": _channels(traces),
        "others_mm": _others(traces),
        "spacing_mm": {"low": spacing.min(0).tolist(), "high": spacing.max(0).tolist()},
        "brain": sorted({_brain_from(trace) for trace in traces}),
        "age": [min(ages), max(ages)] if len(ages) == len(sources) else None,
        "scanners": scanners,
    }


def validity(
    domain: Mapping[str, Any], raw: RawScan, trace: Trace, quality: Quality | None = None
) -> Validity:
    """Compare a scan with the calibration cohort: known differences, and what is not known.

    Args:
        domain: What `domain_of` returned for the cohort.
        raw: The scan as read.
        trace: How it was prepared.
        quality: What quality control says of it; a refusal on which the user insisted is a reason.
    """
    refusals = () if quality is None else quality.findings
    reasons = [f.what.rstrip(".") for f in refusals if f.verdict is Verdict.REFUSE]
    unknown: list[str] = []
    reasons += _other_contrasts(domain, raw)
    reasons += _coarser(domain["others_mm"], trace)
    spacing = np.array(sorted(trace.native.spacing))
    low = np.array(domain["spacing_mm"]["low"]) * (1 - SPACING_TOLERANCE)
    high = np.array(domain["spacing_mm"]["high"]) * (1 + SPACING_TOLERANCE)
    if (spacing < low).any() or (spacing > high).any():
        reasons.append(f"spacing {_mm(spacing)} mm, calibrated on {_range(domain['spacing_mm'])}")
    if _brain_from(trace) not in domain["brain"]:
        here, cohort = _brain_from(trace), " or ".join(domain["brain"])
        reasons.append(f"the scan's brain was {here}, the calibration scans' {cohort}")
    _compare_age(domain["age"], raw.source.age, reasons, unknown)
    _compare_scanner(domain["scanners"], raw.source.scanner, reasons, unknown)
    return Validity(holds=not reasons, reasons=tuple(reasons), not_checked=tuple(unknown))


def _channels(traces: Sequence[Trace]) -> list[list[str]]:
    """Return the contrasts of each channel over the cohort; empty where traces do not say."""
    claimed = [[str(seen.claimed) for seen in trace.contrasts] for trace in traces]
    if not all(claimed) or len({len(contrasts) for contrasts in claimed}) != 1:
        return []
    return [sorted(set(channel)) for channel in zip(*claimed, strict=True)]


def _other_contrasts(domain: Mapping[str, Any], raw: RawScan) -> Iterator[str]:
    """Yield the channels whose contrast the cohort did not have there."""
    channels = domain["channels"] or [domain["contrasts"]] * len(raw.volumes)
    for contrast, known in zip(raw.volumes, channels, strict=True):
        if contrast not in known:
            yield f"contrast {contrast}, calibrated on {', '.join(known)}"


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


def _brain_from(trace: Trace) -> str:
    """Return where the brain came from, as preparation noted it."""
    for note, words in BRAIN_FROM.items():
        if note in trace.notes:
            return words
    return "found by hale"


def _mm(spacing: np.ndarray) -> str:
    return " x ".join(f"{s:.3g}" for s in spacing)


def _range(spacing: Mapping[str, Sequence[float]]) -> str:
    low, high = np.array(spacing["low"]), np.array(spacing["high"])
    return (
        f"{_mm(low)} mm" if np.allclose(low, high, rtol=0.01) else f"{_mm(low)} to {_mm(high)} mm"
    )
