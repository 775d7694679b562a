"""`hale import ifl` and what is done with its model, on made-up weights of the published shapes."""

from pathlib import Path

import pytest
import torch

from hale.cli.app import run
from hale.nets.implicit_field import ImplicitField

T1W = ("--set", 'prep.slots=[["T1w"]]', "--set", "method.masked=true")
COARSE = ("--set", "prep.spacing_mm=8", "--set", "prep.shape=[24,24,20]")
QUICK = ("--set", "method.fit_iterations=[3, 2]", "--set", "method.fit_points=[64, 64]")
FEW = ("--set", "calibration.alpha=0.2")  # which 4 healthy scans can promise


class Bomb:
    """What a malicious pickle is: a call, made while it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("public")
    torch.manual_seed(0)
    spelt = {"original0": "weight_g", "original1": "weight_v"}
    weights = {}
    for name, tensor in ImplicitField().state_dict().items():
        layer, _, kind = name.replace("parametrizations.weight.", "").rpartition(".")
        weights[f"module.{layer}.{spelt.get(kind, kind)}"] = tensor
    torch.save({"epoch": 1, "model_state_dict": weights}, folder / "weights.pth")
    codes = {"weight": torch.randn(1055, 256) / 16}
    torch.save({"epoch": 1, "latent_codes": codes}, folder / "codes.pth")
    return folder / "weights.pth", folder / "codes.pth"


def test_imported_weights_detect_and_are_calibrated(files, place, tmp_path, capsys):
    model, here = tmp_path / "model", tmp_path / "here"
    named = [str(path) for path in files]
    settings = (*T1W, *COARSE, *QUICK, *FEW)
    assert run(["import", "ifl", *named, "--out", str(model), *settings]) == 0
    assert "not calibrated" in capsys.readouterr().out
    told = ("--cache", str(place.cache), "--no-report")
    first = ["detect", str(place.scan), "--model", str(model), "--out", str(tmp_path / "a"), *told]
    assert run(first) == 0
    assert (tmp_path / "a/anomaly.nii.gz").exists()
    assert not (tmp_path / "a/pvalue.nii.gz").exists()
    data = ("--data", str(place.healthy), "--workers", "1", "--cache", str(place.cache))
    assert run(["calibrate", str(model), *data, "--out", str(here)]) == 0
    again = ["detect", str(place.scan), "--model", str(here), "--out", str(tmp_path / "b"), *told]
    assert run(again) == 0
    assert (tmp_path / "b/pvalue.nii.gz").exists()


def test_a_malicious_pickle_is_refused_in_one_line(files, tmp_path, capsys, line):
    mark, bomb = tmp_path / "executed", tmp_path / "bomb.pth"
    torch.save({"model_state_dict": Bomb(mark)}, bomb)
    out = tmp_path / "model"
    assert run(["import", "ifl", str(bomb), str(files[1]), "--out", str(out)]) == 2
    assert "bomb.pth" in line(capsys)
    assert not mark.exists()
    assert not out.exists()
