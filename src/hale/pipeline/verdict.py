"""Quality control: the figures of a preparation against fixed rules and the training cohort."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

from hale.core.quality import LEFT_RIGHT, SEVERITY, Finding, Quality, Verdict
from hale.core.scan import Contrast
from hale.pipeline.rules import RULES, Rule

DOUBTED_SIDE = ("side unknown", "left and right are a convention")
"""What reading a header notes when it does not say which side is which."""
WIDTHS = 5.0
"""Robust standard deviations from the cohort's median that a scan may lie away."""
FAR = 15.0
"""The same for the overlap, beyond which the registration has failed."""
MIN_COHORT = 10
"""Scans that make a distribution."""
MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


def judge(
    checks: Mapping[str, float],
    cohort: Mapping[str, Mapping[str, float]] | None = None,
    notes: Iterable[str] = (),
) -> Quality:
    """Return the verdict on one exam.

    Args:
        checks: Figures by name; those of another contrast end in its name (``noise_FLAIR``).
        cohort: What `distribution` made of the training cohort; None compares with nothing.
        notes: What reading and preparing the scan noted.
    """
    findings = [finding for key, value in checks.items() for finding in _absolute(key, value)]
    outside: list[str] = []
    for key, value in checks.items():
        if cohort is None or key not in cohort or isnan(value):
            continue
        seen = _Seen(key=key, value=value, cohort=cohort[key])
        if seen.is_outside:
            outside.append(seen.sentence)
            findings += seen.findings
    findings += [
        Finding(verdict=Verdict.WARN, what=f"{note}. {LEFT_RIGHT}", measure="")
        for note in notes
        if any(doubt in note for doubt in DOUBTED_SIDE)
    ]
    worst = sorted(_one_each(findings), key=lambda f: -SEVERITY.index(f.verdict))
    return Quality(findings=tuple(worst), out_of_domain=tuple(outside))


def distribution(cohort: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return n, median, robust sd and range of each figure of healthy scans, as plain JSON.

    A figure that fewer than 10 scans have is left out.
    """
    found = {}
    for key in {key: None for checks in cohort for key in checks}:
        if _rule(key).grain is None:
            continue
        values = np.array([c[key] for c in cohort if key in c and not isnan(c[key])])
        if len(values) < MIN_COHORT:
            continue
        median = float(np.median(values))
        found[key] = {
            "n": float(len(values)),
            "median": median,
            "sd": MAD * float(np.median(np.abs(values - median))),
            "low": float(values.min()),
            "high": float(values.max()),
        }
    return found


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A figure beside its cohort."""

    key: str
    value: float
    cohort: Mapping[str, float]

    @property
    def side(self) -> int:
        return 1 if self.value > self.cohort["median"] else -1

    @property
    def widths(self) -> float:
        """Return the distance from the median in robust standard deviations."""
        spread = max(self.cohort["sd"], _rule(self.key).grain or 0.0)
        return abs(self.value - self.cohort["median"]) / spread

    @property
    def is_outside(self) -> bool:
        beyond = not self.cohort["low"] <= self.value <= self.cohort["high"]
        return beyond and self.widths > WIDTHS

    @property
    def sentence(self) -> str:
        cohort = self.cohort
        return (
            f"{_subject(self.key)} is {_said(self.key, self.value)}; in the training cohort"
            f" {_number(cohort['low'])} to {_said(self.key, cohort['high'])}"
            f" (n = {cohort['n']:.0f})"
        )

    @property
    def findings(self) -> list[Finding]:
        """Return what follows for the verdict: nothing, if this side does no harm."""
        if self.side not in _rule(self.key).bad:
            return []
        failed = self.key == "overlap_dice" and self.widths > FAR
        verdict = Verdict.REFUSE if failed else Verdict.WARN
        return [
            Finding(verdict=verdict, what=_with_meaning(self.key, self.sentence), measure=self.key)
        ]


def _absolute(key: str, value: float) -> list[Finding]:
    """Return what the fixed bounds say of one figure."""
    rule = _rule(key)
    for verdict, bounds in ((Verdict.REFUSE, rule.refuse), (Verdict.WARN, rule.warn)):
        low, high = bounds
        if value < low or value > high:
            side, bound = ("below", low) if value < low else ("above", high)
            what = f"{_subject(key)} is {_said(key, value)}, {side} {_said(key, bound)}"
            return [Finding(verdict=verdict, what=_with_meaning(key, what), measure=key)]
    return []


def _one_each(findings: Iterable[Finding]) -> list[Finding]:
    """Return the worst finding of each measure, the first of equals; all about the header."""
    kept: dict[str, Finding] = {}
    for number, finding in enumerate(findings):
        key = finding.measure or f"header {number}"
        if key not in kept or SEVERITY.index(finding.verdict) > SEVERITY.index(kept[key].verdict):
            kept[key] = finding
    return list(kept.values())


def _rule(key: str) -> Rule:
    return RULES.get(_split(key)[0], Rule(words=key))


def _split(key: str) -> tuple[str, str]:
    """Return measure and contrast of ``noise_FLAIR``; no contrast for the reference's."""
    for contrast in Contrast:
        if key.endswith(f"_{contrast}"):
            return key.removesuffix(f"_{contrast}"), str(contrast)
    return key, ""


def _subject(key: str) -> str:
    measure, contrast = _split(key)
    words = RULES[measure].words if measure in RULES else measure
    words = words[0].upper() + words[1:]
    return f"{contrast}: {words}" if contrast else words


def _said(key: str, value: float) -> str:
    """Return a figure with its unit."""
    return f"{_number(value)} {_rule(key).unit}".strip()


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _with_meaning(key: str, what: str) -> str:
    means = _rule(key).means
    return f"{what}: {means}." if means else f"{what}."
