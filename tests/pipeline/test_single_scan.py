"""Methods that learn from one scan, from a file to its results."""

import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from hale.cli.app import run
from hale.core.scan import Contrast
from hale.io.nifti import read_volume
from hale.pipeline.single import names_a_method, single_scan_recipe
from hale.prep.settings import Mode, Normalisation
from hale.recipe import bundled

torch.set_num_threads(1)
TINY = {"size": 64, "batch": 4, "epoch_slices": 4, "epochs": 1, "slabs": 2, "gap_mm": 0.0}
PRESETS = [
    f"{method}-{preset}"
    for method in ("anogan_scan", "convae_scan")
    for preset in ("default", "paper", "released", "small")
]


def settings(method: str, *others: str, **changed: object) -> list[str]:
    values = {**TINY, **changed}
    values |= {"search_steps": 2, "restarts": 1} if method.startswith("anogan") else {}
    told = [f"method.{key}={value}" for key, value in values.items()]
    return [part for one in (*told, *others) for part in ("--set", one)]


def slice_of(seed: int) -> np.ndarray:
    i, j = np.indices((40, 52))
    noise = np.random.default_rng(seed).integers(0, 40, i.shape)
    return np.where((i - 20) ** 2 / 2 + (j - 26) ** 2 / 3 < 150, 90 + noise, 0).astype(np.uint8)


def volume(folder: Path) -> Path:
    """An extracted oblique head of 4 mm voxels, its axes stored as a scanner may."""
    at = np.indices((40, 48, 40)) - np.array([19.5, 23.5, 19.5])[:, None, None, None]
    inside = (at[0] / 16) ** 2 + (at[1] / 20) ** 2 + (at[2] / 16) ** 2 < 1
    noise = 10 * np.random.default_rng(0).standard_normal(inside.shape)
    values = np.where(inside, 500 + 8 * at[0] + noise, 0).astype(np.float32)
    affine = np.diag([-4.0, 4, 4, 1]) @ nib.affines.from_matvec(
        nib.eulerangles.euler2mat(0.1, 0.05, 0.02)
    )
    affine[:3, 3] = (80, -100, -70)
    path = folder / "sub-1_FLAIR.nii.gz"
    nib.save(nib.Nifti1Image(values.transpose(0, 1, 2), affine), path)
    return path


def hashes(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        p.name: (p.stat().st_size, hashlib.sha256(p.read_bytes()).hexdigest())
        for p in folder.iterdir()
    }


def result(out: Path) -> dict:
    return json.loads((out / "detection.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_runs_where_the_scan_lies_on_any_contrast(preset):
    assert names_a_method(preset)
    recipe = single_scan_recipe(preset, Contrast.CT, [])
    assert recipe.prep.mode is Mode.NATIVE
    assert recipe.prep.slots == ((Contrast.CT,),)
    assert recipe.prep.normalise is Normalisation.WINDOW
    assert ("rule_sd = " in bundled()[preset].read_text()) == preset.endswith("released")


@pytest.mark.parametrize("method", ["anogan_scan", "convae_scan"])
def test_a_methods_name_is_its_default(method):
    by_name = single_scan_recipe(method, Contrast.FLAIR, []).resolved()
    assert by_name == single_scan_recipe(f"{method}-default", Contrast.FLAIR, []).resolved()
    assert by_name["post"]["median"] == 3


@pytest.mark.parametrize("method", ["anogan_scan-small", "convae_scan-small"])
def test_a_volumes_map_lies_on_its_file_and_comes_again(method, tmp_path, capsys):
    data = tmp_path / "in"
    data.mkdir()
    scan = volume(data)
    before = hashes(data)
    outs = [tmp_path / "a", tmp_path / "b"]
    for out in outs:
        told = settings(method, "prep.bias=false")
        common = ["--out", str(out), "--no-report", "--cache", str(tmp_path / "cache")]
        assert run(["detect", str(scan), "--method", method, *common, *told]) == 0
    said = capsys.readouterr()
    assert "sub-1: about" in said.err
    assert "at most on this machine" in said.err
    assert hashes(data) == before
    first, second = (nib.load(out / "anomaly.nii.gz") for out in outs)
    source = nib.load(scan)
    assert first.shape == source.shape
    np.testing.assert_allclose(first.affine, source.affine, atol=1e-5)
    np.testing.assert_array_equal(first.get_fdata(), second.get_fdata())
    assert first.get_fdata().any()
    assert not first.get_fdata()[source.get_fdata() == 0].any()
    found = result(outs[0])
    assert found["decision"] == "no calibrated decision"
    assert found["flagged"] is None
    assert found["seconds"]["score"] > 0


@pytest.mark.parametrize("kind", ["npy", "png", "nii.gz"])
def test_a_single_slice_gets_a_map_on_its_own_pixels(kind, tmp_path):
    pixels, scan, out = slice_of(0), tmp_path / f"slice.{kind}", tmp_path / "out"
    if kind == "npy":
        np.save(scan, pixels.astype(np.float64))
    elif kind == "png":
        Image.fromarray(pixels).save(scan)
    else:
        nib.save(nib.Nifti1Image(pixels[:, :, None], np.eye(4)), scan)
    told = ["--out", str(out), *settings("convae_scan")]
    assert run(["detect", str(scan), "--method", "convae_scan-small", *told]) == 0
    drawn = nib.load(out / "anomaly.nii.gz").get_fdata()
    assert drawn.shape == (40, 52, 1)
    assert drawn.any()
    assert not drawn[pixels[:, :, None] == 0].any()
    notes = " ".join(result(out)["notes"])
    assert "no cross-fitting" in notes
    assert (out / "anomaly.npy").exists() == ("a picture" in notes) == (kind != "nii.gz")
    if kind != "nii.gz":
        np.testing.assert_array_equal(np.load(out / "anomaly.npy"), drawn[..., 0])
    assert "Map and ranks only: no calibrated decision" in (out / "report.html").read_text()


def test_a_brain_mask_may_be_a_picture_too(tmp_path):
    pixels, brain = 20 + slice_of(0), np.zeros((40, 52), bool)
    brain[10:30, 15:40] = True
    np.save(tmp_path / "slice.npy", pixels)
    np.save(tmp_path / "brain.npy", brain)
    out, mask = tmp_path / "out", ["--brain-mask", str(tmp_path / "brain.npy")]
    told = ["--out", str(out), "--no-report", *mask, *settings("convae_scan")]
    assert run(["detect", str(tmp_path / "slice.npy"), "--method", "convae_scan", *told]) == 0
    np.testing.assert_array_equal(nib.load(out / "brain.nii.gz").get_fdata()[..., 0] > 0, brain)
    assert not np.load(out / "anomaly.npy")[~brain].any()


@pytest.mark.parametrize("method", ["anogan_scan-released", "convae_scan-released"])
def test_the_released_preset_is_announced_as_legacy(method, tmp_path):
    np.save(tmp_path / "slice.npy", slice_of(1))
    out = tmp_path / "out"
    told = ["--set", "method.size=64", "--set", "method.epochs=2"]
    arguments = ["detect", str(tmp_path / "slice.npy"), "--method", method, "--out", str(out)]
    assert run([*arguments, *told]) == 0
    (note,) = [note for note in result(out)["notes"] if "legacy" in note]
    assert note.startswith("legacy preset, for comparison only")
    assert "anomaly' by the published rule" in note
    assert "legacy preset, for comparison only" in (out / "report.html").read_text()
    assert result(out)["decision"] == "no calibrated decision"


def test_healthy_references_calibrate_a_single_scan_method(tmp_path):
    data, model, out = tmp_path / "data", tmp_path / "model", tmp_path / "out"
    data.mkdir()
    rows = ["participant_id\tage\tsplit"]
    for number in range(8):
        split = "standardise" if number < 3 else "calibrate" if number < 7 else "test"
        rows.append(f"sub-{number}\t30\t{split}")
        pixels = np.stack([slice_of(10 * number + k) for k in range(10)], -1)
        nib.save(
            nib.Nifti1Image(pixels, np.diag([4.0, 4, 4, 1])), data / f"sub-{number}_T1w.nii.gz"
        )
    (data / "participants.tsv").write_text("\n".join(rows) + "\n")
    told = settings("convae_scan", "prep.mode=given", "calibration.alpha=0.2")
    common = ["--workers", "1", "--cache", str(tmp_path / "cache")]
    arguments = ["fit", "convae_scan-small", "--data", str(data), "--out", str(model)]
    assert run([*arguments, *told, *common]) == 0
    scan = data / "sub-7_T1w.nii.gz"
    arguments = ["detect", str(scan), "--model", str(model), "--out", str(out), "--no-report"]
    assert run([*arguments, "--cache", str(tmp_path / "cache")]) == 0
    found = result(out)
    assert found["decision"] in ("flagged", "not flagged")
    assert found["calibration"]["n_scans"] == 4
    assert (out / "pvalue.nii.gz").exists()


def test_a_real_slice_gets_a_map(shared_data, tmp_path):
    scan = next((shared_data / "soop").rglob("*FLAIR*.nii*"))
    out = tmp_path / "out"
    for method in ("anogan_scan", "convae_scan", "intensity"):
        told = settings(method) if method != "intensity" else []
        arguments = ["detect", str(scan), "--method", method, "--out", str(out), "--no-report"]
        assert run([*arguments, *told, "--overwrite"]) == 0
        written, source = read_volume(out / "anomaly.nii.gz"), read_volume(scan)
        assert written.volume.grid.is_the_same_as(source.volume.grid)
        assert not written.volume.values[source.volume.values == 0].any()
