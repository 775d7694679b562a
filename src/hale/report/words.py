"""What the report says: the verdict, the quality of the scan, numbers with their units."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hale.core.detection import Detection
from hale.core.quality import LEFT_RIGHT, ContrastSeen
from hale.core.quality import Verdict as Fitness
from hale.report.view import DIRECTIONS

INTENDED_USE = "Research use only. Not a medical device; not for diagnosis."


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One line, what it means, and how it is to be coloured."""

    tone: str
    """``flagged``, ``clear``, or ``open`` where nothing may be concluded."""
    headline: str
    meaning: str


def decision(detection: Detection) -> str:
    """Return what was decided of a scan, in the words of ``detection.json``."""
    if detection.flagged is None:
        return "no calibrated decision"
    return "flagged" if detection.flagged else "not flagged"


def verdict(detection: Detection) -> Verdict:
    """Say what was found, in words that need no statistics."""
    if detection.flagged is None:
        return Verdict(
            tone="open",
            headline="Map and ranks only: no calibrated decision",
            meaning="Brighter is more unusual within this scan. No healthy scans tell how unusual "
            "is too unusual, so there are no components, no p-values and no verdict.",
        )
    told = detection.calibration or {}
    alpha = float(told.get("alpha", math.nan))
    healthy = f"{percent(1 - alpha)} of healthy scans" if alpha == alpha else "healthy scans"
    valid = detection.validity is None or detection.validity.holds
    if detection.flagged:
        count = len(detection.lesions)
        return Verdict(
            tone="flagged" if valid else "open",
            headline=f"Flagged: {count_of(count, 'component')} beyond what {healthy} show",
            meaning="A component is a connected region of unusual voxels; its size and strength "
            f"count together. In {healthy}, no component anywhere in the brain counts as much. "
            f"{realised(told)}".strip(),
        )
    return Verdict(
        tone="clear" if valid else "open",
        headline=f"Not flagged at alpha = {alpha:g}" if alpha == alpha else "Not flagged",
        meaning=f"No connected region of unusual voxels is beyond what {healthy} show. "
        "That does not make the scan normal: small or faint findings stay below this line. "
        f"{realised(told)}".strip(),
    )


def verdict_after_review(detection: Detection) -> Verdict:
    """Say what a reader left standing; what the method decided stands in ``detection.json``."""
    count = count_of(len(detection.lesions), "component")
    decided = "" if detection.flagged is None else f" The scan itself was {decision(detection)}."
    return Verdict(
        tone="open",
        headline=f"Reviewed: {count if detection.lesions else 'no component'} left standing",
        meaning="A reader accepted, rejected or drew components; p-values are of those that the "
        f"method found, as it found them.{decided}",
    )


def quality_words(detection: Detection) -> dict[str, Any]:
    """Return what the page says of the quality of the scan and of its preparation."""
    quality = detection.quality
    headline = {
        Fitness.PASS: "",
        Fitness.WARN: "Look at the scan and its checks before the map",
        Fitness.REFUSE: "Quality control refuses this scan; the user insisted",
    }[quality.verdict]
    return {
        "quality": str(quality.verdict),
        "quality_headline": headline,
        "findings": [_sentence(finding.what) for finding in quality.findings],
        "out_of_domain": [_sentence(text) for text in quality.out_of_domain],
        "contrasts_seen": [_seen(seen) for seen in detection.contrasts_seen],
        "left_right": LEFT_RIGHT,
    }


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _seen(seen: ContrastSeen) -> tuple[str, str]:
    """Return what a contrast was called, and what it looks like."""
    like = "cannot be told" if seen.recognised is None else f"looks like {seen.recognised}"
    return str(seen.claimed), f"{like}: {seen.why}"


def realised(told: Mapping[str, Any]) -> str:
    """Return how often healthy scans are really flagged with this calibration set."""
    low, high = told.get("rate_interval") or (None, None)
    if low is None or high is None:
        return ""
    source = f" ({told['n_scans']} healthy scans)" if "n_scans" in told else ""
    return (
        f"With this calibration{source}, between {100 * low:.0f} and {100 * high:.0f} % of healthy "
        "scans are flagged (95\u00a0% interval)."
    )


def count_of(number: int, noun: str) -> str:
    """Return a number of things, e.g. ``1 component``, ``2 components``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def percent(share: float) -> str:
    """Return a share as a percentage, e.g. ``90 %``."""
    return f"{100 * share:.3g} %"


def position(mm: Sequence[float] | None) -> str:
    """Return a position with its directions, e.g. ``L 32.1, A 10.0, S 45.2 mm``."""
    if mm is None:
        return "–"
    named = (
        f"{names[value < 0]} {abs(value):.1f}" for names, value in zip(DIRECTIONS, mm, strict=True)
    )
    return ", ".join(named) + " mm"


def p_value(p: float) -> str:
    """Return a p-value with two figures."""
    return "undefined" if math.isnan(p) else f"{p:.2g}"


def volume(ml: float) -> str:
    """Return a volume, small ones with more places."""
    return f"{ml:.2f} ml" if ml < 10 else f"{ml:.1f} ml"
