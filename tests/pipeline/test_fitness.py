"""Whether an exam is fit: what it is called against what it looks like, quality against bounds."""

import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.quality import ContrastSeen, Verdict
from hale.core.scan import Contrast
from hale.core.trace import Trace
from hale.pipeline.fitness import quality_of, refuse_unfit

GRID = Grid(shape=(4, 4, 4), affine=np.eye(4))
GOOD = {"overlap_dice": 0.96, "resemblance": 0.6, "brain_ml": 1400.0}


def trace(
    recognised: Contrast | None = Contrast.T1W, *, agrees=True, is_clear=True, **checks
) -> Trace:
    seen = ContrastSeen(
        claimed=Contrast.T1W,
        recognised=recognised,
        agrees=agrees,
        why="because",
        is_clear=is_clear,
    )
    return Trace(
        native=GRID,
        model=GRID,
        to_native=np.eye(4),
        brain=np.ones(GRID.shape, bool),
        checks={**GOOD, **checks},
        contrasts=(seen,),
    )


def test_a_good_exam_passes():
    quality = quality_of(trace())
    assert (quality.verdict, quality.findings) == (Verdict.PASS, ())
    refuse_unfit("exam", quality)


def test_what_cannot_be_told_is_no_contradiction():
    assert quality_of(trace(None)).verdict is Verdict.PASS


def test_another_contrast_than_it_is_called_is_refused_first():
    quality = quality_of(trace(Contrast.FLAIR, agrees=False, noise=0.2))
    assert quality.verdict is Verdict.REFUSE
    assert quality.findings[0].what == "called T1w, looks like FLAIR (because)"
    assert quality.findings[1].verdict is Verdict.WARN
    with pytest.raises(Refused, match=r"exam: called T1w, looks like FLAIR .*--insist"):
        refuse_unfit("exam", quality)


def test_a_doubtful_look_warns_of_another_contrast():
    quality = quality_of(trace(Contrast.FLAIR, agrees=False, is_clear=False))
    assert quality.verdict is Verdict.WARN
    refuse_unfit("exam", quality)


def test_a_warning_does_not_stop_an_exam():
    quality = quality_of(trace(spacing_ratio=2.75))
    assert quality.verdict is Verdict.WARN
    refuse_unfit("exam", quality)


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ({"overlap_dice": 0.5}, "registration failed"),
        ({"covered_FLAIR": 0.5}, "cuts the brain"),
        ({"rotation_deg": 90.0}, "orientation"),
    ],
)
def test_what_makes_a_map_meaningless_is_refused(checks, said):
    with pytest.raises(Refused, match=said):
        refuse_unfit("exam", quality_of(trace(**checks)))
