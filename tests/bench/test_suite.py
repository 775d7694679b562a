"""Suites: what they say, what they may not say, and which jobs follow."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hale.bench.place import Place
from hale.bench.plan import jobs
from hale.bench.planting import spots, spots_in
from hale.bench.suite import Planted, Subjects
from hale.bench.suite_file import build_suite, read_suite, suites
from hale.core.errors import Refused
from hale.core.method import Supervision
from hale.methods import METHODS

sys.path.insert(0, str(Path(__file__).parent))
from made_data import GIVEN, suite_of

NOWHERE = Place(data=Path("data"), out=Path("out"))


@pytest.mark.parametrize("name", sorted(suites()))
def test_bundled_suites_are_sound_and_their_recipes_exist(name):
    suite = read_suite(name)

    asked = jobs(suite, replace(NOWHERE, maps=Path("maps")))
    assert {job.entrant.name for job in asked} == {method.name for method in suite.methods}
    assert suite.resolved()["name"] == name
    assert build_suite(suite.resolved()) == suite


@pytest.mark.parametrize("name", ["soop-flair", "ixi-synthetic-t1"])
def test_the_suites_of_real_scans_hold_every_method_that_can_take_them(name):
    suite = read_suite(name)
    there = {job.recipe.method_name for job in jobs(suite, NOWHERE) if job.recipe}

    left_out = {"soop-flair": {"svae", "atlas", "sadm_cases"}, "ixi-synthetic-t1": {"sadm_cases"}}
    assert set(METHODS) - there == left_out[name]


def test_seeds_are_for_what_learns_and_folds_for_what_is_calibrated():
    settings = {"settings": GIVEN}
    methods = [
        {"name": "intensity", "recipe": "intensity-default", **settings},
        {"name": "dae", "recipe": "dae-small", **settings},
        {"name": "alone", "single": "asymmetry"},
    ]
    asked = jobs(suite_of(methods=methods, seeds=[3, 4], folds=2), NOWHERE)

    assert [str(job.run) for job in asked] == [
        "intensity.s3.f0",
        "intensity.s3.f1",
        "dae.s3.f0",
        "dae.s3.f1",
        "dae.s4.f0",
        "dae.s4.f1",
        "alone.s3.f0",
    ]
    assert asked[4].recipe.seed == 4
    assert asked[0].supervision is Supervision.NONE
    assert asked[-1].model is None


def test_what_others_build_on_comes_first_and_is_named_by_its_folder():
    methods = [
        {"name": "sadm", "recipe": "sadm-small", "base": "cddpm"},
        {"name": "cddpm", "recipe": "cddpm-small", "pretrain": "spark-small"},
        {"name": "intensity", "recipe": "intensity-default"},
    ]
    first, _, last = sorted(jobs(suite_of(methods=methods), NOWHERE), key=lambda j: j.run.method)
    order = [job.run.method for job in jobs(suite_of(methods=methods), NOWHERE)]

    assert order.index("cddpm") < order.index("sadm")
    assert first.stage is not None
    assert first.recipe.pretrained == "out/models/cddpm.s0.f0.encoder"
    assert last.recipe.base == "out/models/cddpm.s0.f0"


def test_a_circle_of_bases_is_refused():
    methods = [
        {"name": "intensity", "recipe": "sadm-small", "base": "b"},
        {"name": "b", "recipe": "sadm-small", "base": "intensity"},
    ]
    with pytest.raises(Refused, match="builds on itself"):
        jobs(suite_of(methods=methods), NOWHERE)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"healthy": ""}, "healthy is empty, and is needed by intensity"),
        ({"baseline": "nobody"}, "baseline is 'nobody'"),
        ({"seeds": []}, "seeds"),
        ({"colour": "red"}, "colour"),
        ({"figure": "auprc_pooled"}, "which no case has"),
        ({"methods": [{"name": "intensity"}]}, "needs one of recipe, single or maps"),
        ({"methods": [{"name": "a/b", "recipe": "dae-small"}]}, "no name of a folder"),
        ({"methods": [{"name": "intensity", "recipe": "x"}] * 2}, "names method intensity twice"),
        (
            {"methods": [{"name": "intensity", "maps": "x", "base": "y"}]},
            "are for a recipe that is fitted",
        ),
    ],
)
def test_a_suite_that_cannot_be_is_refused_by_name(changes, said):
    with pytest.raises(Refused, match=said):
        suite_of(**changes)


def test_maps_need_the_folder_that_they_lie_in():
    methods = [{"name": "intensity", "maps": "x", "supervision": "healthy scans"}]
    with pytest.raises(Refused, match="--maps"):
        jobs(suite_of(methods=methods), NOWHERE)


def test_subjects_go_by_the_last_number_of_a_name():
    assert Subjects.ODD.take("sub-0015")
    assert not Subjects.ODD.take("sub-2023-14")
    assert Subjects.ALL.take("anna")
    with pytest.raises(Refused, match="has no number"):
        Subjects.EVEN.take("anna")


def test_every_cell_is_planted_as_often_as_the_scans_allow():
    lesions = Planted(cells_per_scan=3)
    hosted = [spot for number in range(12) for spot in spots_in(lesions, number)]

    assert {spot: hosted.count(spot) for spot in spots(lesions)} == dict.fromkeys(spots(lesions), 2)
    for number in range(12):  # a lesion of each size in each scan
        assert {spot.volume_ml for spot in spots_in(lesions, number)} == {0.5, 4.0, 15.0}
    assert len(spots_in(Planted(), 5)) == 18
