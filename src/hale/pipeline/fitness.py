"""Whether an exam is fit for a model: its quality, and whether it is what it is called."""

from dataclasses import replace

from hale.calibration import Calibration
from hale.core.errors import Refused
from hale.core.quality import Finding, Quality, Verdict
from hale.core.trace import Trace
from hale.pipeline.verdict import judge


def quality_of(trace: Trace, calibration: Calibration | None = None) -> Quality:
    """Return the verdict on a prepared exam.

    Args:
        trace: Its figures and contrasts.
        calibration: Whose domain holds the distribution of healthy scans; None compares with none.
    """
    cohort = None if calibration is None else calibration.domain.get("quality")
    quality = judge(trace.checks, cohort, trace.notes)
    mistaken = tuple(
        Finding(
            verdict=Verdict.REFUSE if seen.is_clear else Verdict.WARN,
            what=f"called {seen.claimed}, looks like {seen.recognised} ({seen.why})",
            measure="contrast",
        )
        for seen in trace.contrasts
        if not seen.agrees
    )
    found = sorted((*mistaken, *quality.findings), key=lambda f: f.verdict is not Verdict.REFUSE)
    return replace(quality, findings=tuple(found))


def refuse_unfit(name: str, quality: Quality) -> None:
    """Refuse an exam that quality control refuses, saying why.

    Raises:
        Refused: The verdict is to refuse.
    """
    if quality.verdict is Verdict.REFUSE:
        why = "; ".join(f.what for f in quality.findings if f.verdict is Verdict.REFUSE)
        raise Refused(name, why, "check the scan; --insist goes on all the same")
