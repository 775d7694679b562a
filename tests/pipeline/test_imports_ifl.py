"""Published weights of implicit fields, made up, become a model that detects and is calibrated."""

from pathlib import Path

import pytest
import torch

from hale.core.errors import Refused
from hale.core.run import Precision
from hale.nets.implicit_field import ImplicitField
from hale.pipeline.imports import import_weights
from hale.pipeline.model import load_model
from hale.recipe import bundled, read_recipe

SMALL = ("prep.shape=[32, 40, 32]", "prep.spacing_mm=6", "method.fit_iterations=[3, 2]")
QUICK = (*SMALL, "method.fit_points=[64, 64]", "method.fixed_points=64")


def released(*settings: str):
    return read_recipe(bundled()["ifl-released"], (*QUICK, *settings))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    torch.manual_seed(0)
    spelt = {"original0": "weight_g", "original1": "weight_v"}
    weights = {"module.L_mult": 2.0 ** torch.arange(10.0).reshape(1, 1, 10)}
    for name, tensor in ImplicitField().state_dict().items():
        layer, _, kind = name.replace("parametrizations.weight.", "").rpartition(".")
        weights[f"module.{layer}.{spelt.get(kind, kind)}"] = tensor
    torch.save({"epoch": 1, "model_state_dict": weights}, tmp_path / "weights.pth")
    codes = {"weight": torch.randn(1055, 256) / 16}
    torch.save({"epoch": 1, "latent_codes": codes}, tmp_path / "codes.pth")
    return tmp_path / "weights.pth", tmp_path / "codes.pth"


def test_the_folder_is_an_uncalibrated_model_that_scores(files, tmp_path):
    model = import_weights(files, released(), tmp_path / "model")
    assert model.calibration is None
    again = load_model(tmp_path / "model")
    assert again.recipe.method == model.recipe.method
    assert again.sha256 == model.sha256
    named = [file["file"] for file in again.provenance["imported"]]
    assert named == ["weights.pth", "codes.pth"]
    assert again.detector.precision is Precision.FULL


def test_settings_of_another_network_are_refused(files, tmp_path):
    with pytest.raises(Refused, match="model array"):
        import_weights(files, released("method.code=128"), tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("method.axes=RAS", "method.axes.*'RAS'.*'SPL'"),
        ("method.palette=cohort", "method.palette.*'cohort'.*'published'"),
        ('prep.slots=[["T2w"], ["FLAIR"]]', "one contrast, the recipe of 2"),
    ],
)
def test_a_recipe_of_the_same_shapes_and_another_meaning_is_refused(
    setting, named, files, tmp_path
):
    with pytest.raises(Refused, match=named):
        import_weights(files, released(setting), tmp_path / "model")
    assert not (tmp_path / "model").exists()
