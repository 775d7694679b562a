"""P-values speak for the arithmetic that they were made in; another one is said."""

import pytest
import torch

from hale.calibration import Calibrating, calibrated, normative
from hale.core.method import Training
from hale.core.run import Precision
from hale.core.scan import Contrast, RawScan, Volume
from hale.io.cache import Cache
from hale.pipeline.detect import detect
from hale.pipeline.model import Model, load_model, runs_in, save_model
from hale.prep.chain import prepare
from hale.recipe import build_recipe
from hale.train.run import FabricRun

WARNING = "computed in precision bf16-mixed, calibrated in 32: p-values may be off"


@pytest.fixture(scope="module")
def raws(healthy) -> list[RawScan]:
    return [
        RawScan(
            id=scan.id,
            volumes={Contrast.FLAIR: Volume(values=scan.image[0], grid=scan.space.grid)},
            brain=scan.brain,
        )
        for scan in healthy
    ]


@pytest.fixture(scope="module")
def folder(healthy, raws, tmp_path_factory):
    torch.set_num_threads(1)
    recipe = build_recipe(
        {
            "method": {"name": "ae", "width": 4, "latent": 4, "batch": 4, "steps": 2},
            "prep": {"slots": [["FLAIR"]], "mode": "given"},
            "calibration": {"alpha": 0.25},
        }
    )
    space, settings = healthy[0].space, Calibrating(alpha=0.25)
    run = FabricRun(device="cpu", precision=Precision.FULL)
    detector = recipe.method.fit(Training(space=space, healthy=healthy), run)
    prepared = [prepare(raw, recipe.prep, Cache(), space) for raw in raws]
    maps = [detector.score(p.scan) for p in prepared]
    calibration = calibrated(
        maps,
        [raw.id for raw in raws],
        norm=normative(maps, space.grid, settings),
        grid=space.grid,
        settings=settings,
        domain={
            "contrasts": ["FLAIR"],
            "spacing_mm": {"low": [2.0] * 3, "high": [2.0] * 3},
            "brain": ["found by hale"],
            "channels": [],
            "others_mm": {},
            "age": None,
            "scanners": [],
        },
    )
    model = Model(
        recipe=recipe,
        space=space,
        detector=detector,
        calibration=calibration,
        provenance={"precision": "32", "fit": {"scans": [], "data": "balls"}},
    )
    place = tmp_path_factory.mktemp("precision") / "model"
    save_model(model, place)
    return place


def test_the_precision_of_the_calibration_is_the_default_and_says_nothing(folder, raws):
    model = load_model(folder)
    assert runs_in(model) is Precision.FULL
    assert detect(model, raws[0], insist=True).notes == ()


def test_another_precision_is_used_and_said(folder, raws):
    model = load_model(folder, precision=Precision.BF16)
    assert runs_in(model) is Precision.BF16
    found = detect(model, raws[0], insist=True)  # a ball is no brain of an adult's size
    assert found.notes == (WARNING,)
    assert found.provenance["precision"] == "bf16-mixed"
