"""A model folder is read whole and unaltered, or refused by name; nothing in it is executed."""

import hashlib
import json
import pickletools
import shutil
from pathlib import Path

import numpy as np
import pytest

from hale.calibration import Calibrating, calibrated, normative
from hale.core.errors import Refused
from hale.core.method import Training
from hale.core.run import Precision
from hale.io import model as folder_io
from hale.pipeline.model import Model, load_model, runs_in, save_model
from hale.recipe import build_recipe
from hale.train.run import FabricRun

ALPHA = 0.25
FILES = {
    "calibration.safetensors",
    "card.md",
    "manifest.json",
    "provenance.json",
    "recipe.toml",
    "space.json",
    "state.safetensors",
}


@pytest.fixture(scope="session")
def model(healthy, held_out) -> Model:
    """An atlas of balls, calibrated on balls."""
    recipe = build_recipe(
        {
            "method": {"name": "atlas"},
            "prep": {"slots": [["FLAIR"]], "mode": "given"},
            "calibration": {"alpha": ALPHA},
        }
    )
    space = healthy[0].space
    detector = recipe.method.fit(
        Training(space=space, healthy=healthy), FabricRun(device="cpu", precision=Precision.FULL)
    )
    maps = [detector.score(scan) for scan in healthy]
    settings = Calibrating(alpha=ALPHA)
    calibration = calibrated(
        maps,
        [scan.id for scan in healthy],
        norm=normative(maps, space.grid, settings),
        grid=space.grid,
        settings=settings,
        domain={"spacing_mm": {"low": [2.0] * 3, "high": [2.0] * 3}, "brain": ["found by hale"]},
    )
    return Model(
        recipe=recipe,
        space=space,
        detector=detector,
        calibration=calibration,
        provenance={"precision": "32", "fit": {"scans": [], "data": "balls"}},
    )


@pytest.fixture
def folder(model, tmp_path) -> Path:
    save_model(model, tmp_path / "model")
    return tmp_path / "model"


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def test_what_was_saved_is_what_is_loaded(model, folder, ill):
    loaded = load_model(folder)
    assert {path.name for path in folder.iterdir()} == FILES
    assert loaded.recipe == model.recipe
    assert loaded.space.slots == model.space.slots
    assert loaded.space.grid.is_the_same_as(model.space.grid)
    one, two = model.detector.score(ill.scan), loaded.detector.score(ill.scan)
    assert np.array_equal(one.values, two.values)
    for name, array in model.calibration.arrays().items():
        assert np.array_equal(loaded.calibration.arrays()[name], array)


def test_saving_what_was_loaded_gives_the_same_hash_anywhere(model, folder, tmp_path):
    first = load_model(folder)
    moved = tmp_path / "elsewhere" / "another name"
    moved.parent.mkdir()
    folder.rename(moved)
    second = load_model(moved)
    assert second.sha256 == first.sha256
    assert save_model(second, tmp_path / "third").sha256 == first.sha256


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"}))
def test_one_changed_byte_in_any_file_is_noticed(name, folder):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(bytes(data))
    with pytest.raises(Refused, match=f"its {name} is damaged or was altered"):
        load_model(folder)


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"}))
def test_a_missing_file_is_named(name, folder):
    (folder / name).unlink()
    with pytest.raises(Refused, match=f"its {name} is missing"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 3, "hale": "9.1"}, "is of format 3, written by hale 9.1"),
        ({"format": 1}, "is of format 1, whose scans were prepared another way"),
        ({"format": "1"}, "is not one of hale"),
        ({"files": ["recipe.toml"]}, "is not one of hale"),
        ({"files": {"recipe.toml": 7}}, "is not one of hale"),
        ({"files": {}}, "lists no recipe.toml"),
        ({"files": None}, "is not one of hale"),
    ],
    ids=["newer", "older", "text", "list", "number", "nothing", "none"],
)
def test_a_manifest_of_another_kind_is_refused(change, said, folder):
    (folder / "manifest.json").write_text(json.dumps({**manifest(folder), **change}))
    with pytest.raises(Refused, match=said):
        load_model(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "not JSON", "\x00\x01"])
def test_a_manifest_that_is_none_is_refused(text, folder):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(Refused, match=r"manifest\.json is not one of hale"):
        load_model(folder)


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "hook.py"])
def test_a_manifest_reaches_no_file_that_is_not_a_models(name, folder):
    table = manifest(folder)
    table["files"][name] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(table))
    with pytest.raises(Refused, match="which no model has"):
        load_model(folder)


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"\x80\x04.")
    with pytest.raises(Refused, match="is no model of hale"):
        load_model(tmp_path)
    with pytest.raises(Refused, match="is no model"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(Refused, match="is no model"):
        load_model(tmp_path / "weights.pt")


def test_files_that_do_not_fit_together_are_refused(model, folder, monkeypatch):
    """A consistent manifest over a state that is not the method's."""
    files, _ = folder_io.read_model(folder)
    for change in (
        {"state": {"weights": np.zeros(3, np.float32)}},
        {"space": {"slots": [["FLAIR"]], "shape": [4, 4, 4]}},
        {"space": {**files.space, "slots": [["XRAY"]]}},
        {"provenance": {**files.provenance, "precision": "8"}},
        {"calibration": {"mean": np.zeros(3, np.float32)}},
        {"recipe": files.recipe.replace('"atlas"', '"magic"')},
        {"recipe": "seed = "},
    ):
        altered = folder_io.ModelFiles(**{**vars(files), **change})
        folder_io.write_model(folder, altered, version="0")
        with pytest.raises(Refused):
            load_model(folder)


@pytest.mark.parametrize("name", ["space.json", "provenance.json", "recipe.toml"])
@pytest.mark.parametrize("data", [b"[]", b"7", b"\xff\xfe", b"{"])
def test_text_of_another_kind_is_refused_though_its_hash_is_right(name, data, folder):
    (folder / name).write_bytes(data)
    table = manifest(folder)
    table["files"][name] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(table))
    with pytest.raises(Refused):
        load_model(folder)


def test_no_file_of_a_model_is_a_pickle(folder):
    for path in folder.iterdir():
        data = path.read_bytes()
        assert not data.startswith((b"\x80", b"PK")), path.name
        with pytest.raises((ValueError, IndexError, KeyError, EOFError)):
            list(pickletools.genops(data))


def test_a_full_disk_leaves_the_old_model_and_nothing_else(model, folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    real, count = Path.write_bytes, iter(range(3))

    def full(path, data):
        if next(count, None) is None:
            raise OSError(28, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(Refused, match="No space left on device"):
        save_model(model, folder)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    load_model(folder)


def test_a_folder_that_cannot_be_renamed_comes_back(model, folder, monkeypatch):
    real = Path.replace

    def replace(path, target):
        if target == folder and not path.name.endswith(".old"):
            raise OSError(5, "Input/output error")
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(Refused, match="Input/output error"):
        save_model(model, folder)
    monkeypatch.undo()
    load_model(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_saving_again_replaces_the_whole_folder(model, folder):
    (folder / "stray.txt").write_text("old")
    save_model(model, folder)
    assert {path.name for path in folder.iterdir()} == FILES


def test_a_detector_without_arithmetic_of_its_own_runs_in_full_precision(folder):
    assert runs_in(load_model(folder, precision=Precision.BF16)) is Precision.FULL


def test_the_copy_in_another_place_is_the_same_model(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    assert load_model(tmp_path / "copy").sha256 == load_model(folder).sha256
