"""`hale import`, by a narrow twin of the public network: then detect, then calibrate."""

import json

import nibabel as nib
import numpy as np
import pytest
from safetensors.numpy import save_file

from hale.cli.app import run
from hale.core.grid import Grid
from hale.core.scan import Contrast, Space
from hale.methods.strega import StReGA

MAPS, LATENT = (2, 4, 6, 8), 5
NARROW = (
    *("--set", f"method.maps={list(MAPS)}", "--set", f"method.latent={LATENT}"),
    *("--set", "method.size=64", "--set", "method.decision=score"),
)
COARSE = ("--set", "prep.spacing_mm=4", "--set", "prep.shape=[48,56,44]")
FEW = ("--set", "calibration.alpha=0.2")


def weights(prefix: str) -> dict[str, np.ndarray]:
    space = Space(slots=((Contrast.T1W,),), grid=Grid(shape=(48, 56, 44), affine=np.eye(4)))
    shapes = StReGA(size=64, maps=MAPS, latent=LATENT).shapes(space)
    assert len(shapes) == 18
    rng = np.random.default_rng(0)
    return {
        prefix + name: (0.3 * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """The folder of an imported model."""
    folder = tmp_path_factory.mktemp("twin")
    save_file(weights("model."), folder / "weights.safetensors")
    given, out = str(folder / "weights.safetensors"), folder / "model"
    assert run(["import", "strega", given, "--out", str(out), *NARROW, *COARSE, *FEW]) == 0
    return out


def test_the_model_is_uncalibrated_and_says_where_it_came_from(twin):
    told = json.loads((twin / "provenance.json").read_text())
    assert [file["file"] for file in told["imported"]] == ["weights.safetensors"]
    assert len(told["imported"][0]["sha256"]) == 64
    assert not (twin / "calibration.safetensors").exists()
    assert "maps and ranks only" in (twin / "card.md").read_text()


def test_the_prefix_makes_no_difference(twin, tmp_path):
    save_file(weights(""), tmp_path / "plain.safetensors")
    given, out = str(tmp_path / "plain.safetensors"), tmp_path / "plain"
    assert run(["import", "strega", given, "--out", str(out), *NARROW, *COARSE, *FEW]) == 0
    same = "state.safetensors"
    assert (out / same).read_bytes() == (twin / same).read_bytes()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"dec.end.conv.weight": None}, "'dec.end.conv.weight' is missing"),
        ({"dec.more.weight": np.zeros(1, np.float32)}, "'dec.more.weight' is none of"),
        ({"enc.start.activation.weight": np.zeros(2, np.float32)}, "is (2,), this network's is"),
    ],
)
def test_a_file_of_another_network_is_refused_by_name(tmp_path, capsys, change, why):
    stored = {name: a for name, a in {**weights(""), **change}.items() if a is not None}
    save_file(stored, tmp_path / "w.safetensors")
    out = tmp_path / "model"
    given = str(tmp_path / "w.safetensors")
    assert run(["import", "strega", given, "--out", str(out), *NARROW, *COARSE]) == 2
    assert why in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("nowhere.safetensors",), "no such file"),
        (("{file}", "--recipe", "ae-small"), "weights of 'ae' cannot be imported"),
        (("{file}", "--recipe", "ifl-released"), "weights of ifl are 2 files, not 1"),
        (("{file}", "--set", "prep.mode=given"), "takes its grid from scans"),
    ],
)
def test_what_cannot_be_imported_is_refused(tmp_path, capsys, words, why):
    save_file(weights(""), tmp_path / "w.safetensors")
    filled = [word.format(file=tmp_path / "w.safetensors") for word in words]
    assert run(["import", "strega", *filled, "--out", str(tmp_path / "model")]) == 2
    assert why in capsys.readouterr().err


def test_detect_and_calibrate_accept_it(twin, place, tmp_path):
    pytest.importorskip("ants")
    cache = ("--cache", str(place.cache))
    scan, out = str(place.scan), tmp_path / "result"
    assert (
        run(["detect", scan, "--model", str(twin), "--out", str(out), *cache, "--no-report"]) == 0
    )
    found, given = nib.load(out / "anomaly.nii.gz"), nib.load(scan)
    assert found.shape == given.shape
    np.testing.assert_allclose(found.affine, given.affine, atol=1e-4)
    assert np.asarray(found.dataobj).any()
    assert not (out / "mask.nii.gz").exists()
    data, here = ("--data", str(place.healthy)), tmp_path / "here"
    calibrate = ["calibrate", str(twin), *data, "--out", str(here), *cache, "--workers", "1"]
    decided = ("--set", "method.decision=published")
    assert run([*calibrate, *decided]) == 2  # a decision has nothing to calibrate
    assert not here.exists()
    assert run(calibrate) == 0
    assert (here / "calibration.safetensors").exists()
