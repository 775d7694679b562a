"""What a method may see, and for whom the p-values hold."""

from dataclasses import replace

import numpy as np
import pytest

from hale.core.grid import Grid
from hale.core.quality import ContrastSeen, Finding, Quality, Verdict
from hale.core.scan import Contrast, RawScan, Scan, Source, Space, Volume
from hale.core.trace import Trace
from hale.data.cohort import Entry
from hale.pipeline.domain import domain_of, validity
from hale.pipeline.grant import granted
from hale.prep.brain.find import GIVEN
from hale.prep.chain import Prepared
from hale.recipe import build_recipe

GRID = Grid(shape=(9, 9, 9), affine=np.diag([2.0, 2.0, 2.0, 1.0]))


def trace(spacing: float = 2.0) -> Trace:
    grid = Grid(shape=GRID.shape, affine=np.diag([spacing, spacing, spacing, 1.0]))
    brain = np.ones(GRID.shape, bool)
    return Trace(native=grid, model=GRID, to_native=np.eye(4), brain=brain)


def visits(people: int, each: int, space, tmp_path) -> tuple[list[Prepared], list[Entry]]:
    prepared, entries = [], []
    for person in range(people):
        for visit in range(each):
            name = f"sub-{person:02}_ses-{visit}"
            image, brain = np.zeros((1, *GRID.shape), np.float32), np.ones(GRID.shape, bool)
            scan = Scan(id=name, space=space, image=image, brain=brain)
            prepared.append(Prepared(scan=scan, trace=trace()))
            path = tmp_path / f"{name}_T1w.nii.gz"
            entry = Entry(id=name, person=name[:6], files={Contrast.T1W: path})
            entries.append(entry)
    return prepared, entries


@pytest.mark.parametrize(("share", "held_out"), [(0.1, 1), (0.4, 4), (0.7, 7), (0.0, 0), (0.95, 9)])
def test_people_are_held_out_whole_and_in_the_share_asked_for(share, held_out, tmp_path):
    recipe = build_recipe({"method": {"name": "atlas"}, "cohort": {"held_out": share}})
    space = Space(slots=((Contrast.T1W,),), grid=GRID)
    training = granted(recipe, *visits(10, 2, space, tmp_path), space)
    apart = {scan.id[:6] for scan in training.held_out}
    assert len(apart) == held_out
    assert apart.isdisjoint(scan.id[:6] for scan in training.healthy)
    assert len(training.healthy) + len(training.held_out) == 20


def raw(contrast: Contrast = Contrast.T1W, *, age: float | None = 40.0, scanner: str | None = None):
    volume = Volume(values=np.zeros(GRID.shape, np.float32), grid=GRID)
    return RawScan(id="x", volumes={contrast: volume}, source=Source(age=age, scanner=scanner))


def cohort(scanner: str | None = None) -> dict:
    sources = [Source(age=age, scanner=scanner) for age in (20.0, 60.0)]
    return domain_of([trace(), trace(2.1)], sources, {"T1w"})


def test_p_values_hold_for_a_scan_like_the_calibration_scans():
    found = validity(cohort("Acme One 3"), raw(scanner="Acme One 3"), trace())
    assert found.holds
    assert not found.reasons
    assert not found.not_checked


@pytest.mark.parametrize(
    ("scan", "way", "reason"),
    [
        (raw(Contrast.T2W), trace(), "contrast T2w, calibrated on T1w"),
        (raw(), trace(5.0), "spacing 5 x 5 x 5 mm, calibrated on 2 x 2 x 2 to 2.1"),
        (raw(age=75.0), trace(), "age 75, calibrated on 20 to 60 years"),
        (raw(scanner="Other"), trace(), "scanner Other, calibrated on Acme One 3"),
    ],
)
def test_p_values_do_not_hold_where_something_known_differs(scan, way, reason):
    found = validity(cohort("Acme One 3"), scan, way)
    assert not found.holds
    assert found.reasons[0].startswith(reason)


def seen(*contrasts: Contrast, edge: float = 2.0, note: str = "") -> Trace:
    claims = tuple(
        ContrastSeen(claimed=c, recognised=c, agrees=True, why="by name") for c in contrasts
    )
    checks = {f"spacing_max_mm_{c}": edge for c in contrasts[1:]}
    return replace(trace(), contrasts=claims, checks=checks, notes=(note,) if note else ())


def exam(*contrasts: Contrast) -> RawScan:
    volume = raw().reference
    return replace(raw(), volumes=dict.fromkeys(contrasts, volume))


@pytest.mark.parametrize(
    ("second", "way", "reason"),
    [
        (Contrast.FLAIR, seen(Contrast.T1W, Contrast.FLAIR), None),
        (Contrast.T2W, seen(Contrast.T1W, Contrast.T2W), "contrast T2w, calibrated on FLAIR"),
        (Contrast.FLAIR, seen(Contrast.T1W, Contrast.FLAIR, edge=6.5), "FLAIR voxels of 6.5 mm"),
        (
            Contrast.FLAIR,
            seen(Contrast.T1W, Contrast.FLAIR, note=GIVEN),
            "the scan's brain was given as a mask, the calibration scans' found by hale",
        ),
    ],
)
def test_every_channel_is_compared_with_that_channel_of_the_cohort(second, way, reason):
    healthy = [seen(Contrast.T1W, Contrast.FLAIR), seen(Contrast.T1W, Contrast.FLAIR, edge=3.0)]
    sources = [Source(age=40.0), Source(age=41.0)]
    domain = domain_of(healthy, sources, {"T1w", "FLAIR"})
    found = validity(domain, exam(Contrast.T1W, second), way)
    assert found.holds == (reason is None)
    assert reason is None or found.reasons[0].startswith(reason)


def test_a_refusal_that_the_user_insisted_on_is_a_reason():
    wrong = Finding(
        verdict=Verdict.REFUSE, what="called T1w, looks like FLAIR.", measure="contrast"
    )
    doubt = Finding(verdict=Verdict.WARN, what="noisy.", measure="noise")
    found = validity(cohort(), raw(), trace(), Quality(findings=(wrong, doubt)))
    assert not found.holds
    assert found.reasons == ("called T1w, looks like FLAIR",)


def test_what_the_files_do_not_say_is_named():
    found = validity(cohort(), raw(age=None), trace())
    assert found.holds
    assert found.not_checked == ("age (calibrated on 20 to 60 years)", "site and scanner")
