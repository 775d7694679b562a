"""A fitted model takes another score of its method; what was learnt stays."""

import numpy as np
import pytest
import torch

from hale.core.errors import Refused
from hale.core.method import Training
from hale.core.run import Precision
from hale.pipeline.calibrate import with_settings
from hale.pipeline.model import Model
from hale.recipe import build_recipe
from hale.train.run import FabricRun

TINY = {"width": 4, "batch": 4, "steps": 3}


def fitted(healthy, name: str, precision: Precision = Precision.FULL, **settings) -> Model:
    torch.set_num_threads(1)
    table = {"seed": 5, "method": {"name": name, **TINY, **settings}}
    recipe = build_recipe({**table, "prep": {"slots": [["FLAIR"]]}})
    run = FabricRun(device="cpu", precision=precision, seed=recipe.seed)
    detector = recipe.method.fit(Training(space=healthy[0].space, healthy=healthy), run)
    space = healthy[0].space
    return Model(recipe=recipe, space=space, detector=detector, calibration=None, provenance={})


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("vae", {"score": "combination"}),
        ("cevae", {"score": "restoration", "restore_steps": 2}),
        ("gmvae", {"score": "elbo_gradient"}),
        ("dae", {"score": "kascenas"}),
    ],
)
@pytest.mark.parametrize("precision", [Precision.FULL, Precision.BF16])
def test_it_is_the_model_that_another_fit_would_have_been(name, settings, precision, healthy, ill):
    model = fitted(healthy, name, precision)
    other = with_settings(model, [f"method.{key}={value}" for key, value in settings.items()])
    wanted = fitted(healthy, name, precision, **settings)
    assert other.recipe == wanted.recipe
    assert other.detector.precision is precision
    found = other.detector.score(ill.scan).values
    np.testing.assert_array_equal(found, wanted.detector.score(ill.scan).values)
    assert not np.array_equal(found, model.detector.score(ill.scan).values)


@pytest.mark.parametrize("setting", ["method.beta=2", "method.steps=4", "method.name=gmvae"])
def test_what_weights_depend_on_is_refused(setting, healthy):
    model = fitted(healthy, "vae")
    with pytest.raises(Refused):
        with_settings(model, ["method.score=l2", setting])


def test_the_refusal_names_what_may_change(healthy):
    with pytest.raises(Refused, match=r"more than \[post\].*method\.restore_lr.*method\.score:"):
        with_settings(fitted(healthy, "vae"), ["method.beta=2"])


def test_the_detector_stays_if_its_method_does(healthy):
    model = fitted(healthy, "vae")
    assert with_settings(model, ["post.erode=1"]).detector is model.detector
