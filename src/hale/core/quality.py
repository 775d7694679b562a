"""What quality control says of one exam: a verdict and its reasons."""

from dataclasses import dataclass
from enum import StrEnum

from hale.core.scan import Contrast


class Verdict(StrEnum):
    """What to do with the result."""

    PASS = "pass"
    WARN = "warn"
    """Look at the scan and its registration before the map."""
    REFUSE = "refuse"
    """Do not use the map."""


SEVERITY = tuple(Verdict)
"""From harmless to worst."""


LEFT_RIGHT = "Left and right rest on the header alone: a mirrored brain looks like a brain."
"""Said in every result: no image tells its side."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One reason not to pass."""

    verdict: Verdict
    what: str
    """A sentence with the figure and its bound."""
    measure: str
    """The key of the figure in `Trace.checks`; empty for a doubt about the header."""


@dataclass(frozen=True, kw_only=True)
class ContrastSeen:
    """What a scan was called, and what it looks like."""

    claimed: Contrast
    recognised: Contrast | None
    """None: cannot be told."""
    agrees: bool
    """Whether nothing speaks against the claim."""
    why: str
    """One clause."""
    is_clear: bool = True
    """Whether what it looks like is beyond doubt: only then it overrules the claim."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What quality control found; not what the method found.

    *Out of domain* says that the scan as a whole looks unlike the training cohort, whatever is in
    the brain; *abnormal* is a place in the brain, and stands in the anomaly map.
    """

    findings: tuple[Finding, ...] = ()
    """The worst first."""
    out_of_domain: tuple[str, ...] = ()
    """In what the scan lies outside the training cohort, a sentence each."""

    @property
    def verdict(self) -> Verdict:
        """Return the worst of the findings; pass without one."""
        return max((f.verdict for f in self.findings), key=SEVERITY.index, default=Verdict.PASS)
