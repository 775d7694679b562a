"""`hale detect` on everything that a scan may be: the results lie on the file that came."""

import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hale.cli.app import run

FILES = {
    "anomaly.nii.gz",
    "brain.nii.gz",
    "detection.json",
    "lesions.tsv",
    "mask.nii.gz",
    "pvalue.nii.gz",
}
EXTRACTED = "already brain-extracted: its background is one value"


def saved(values, affine, path: Path, *, sform: int = 1, qform: int = 0) -> Path:
    made = nib.Nifti1Image(values, affine)
    made.set_sform(affine, sform)
    made.set_qform(affine, qform)
    nib.save(made, path)
    return path


def plain(folder, values, affine):
    return saved(values, affine, folder / "scan.nii.gz")


def oblique(folder, values, affine):
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", [12, -9, 15], degrees=True).as_matrix()
    return saved(values, turn @ affine, folder / "scan.nii")


def big_endian(folder, values, affine):
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    image = nib.Nifti1Image(values, affine, header=header)
    nib.save(image, folder / "scan.nii")
    assert nib.load(folder / "scan.nii").header.endianness == ">"
    return folder / "scan.nii"


def hdr_img_pair(folder, values, affine):
    nib.save(nib.Nifti1Pair(values, affine), folder / "scan.img")
    return folder / "scan.hdr"


def img_of_a_pair(folder, values, affine):
    nib.save(nib.Nifti1Pair(values, affine), folder / "scan.img")
    return folder / "scan.img"


def mgz(folder, values, affine):
    nib.save(nib.MGHImage(values, affine), folder / "scan.mgz")
    return folder / "scan.mgz"


def nifti_2(folder, values, affine):
    nib.save(nib.Nifti2Image(values, affine), folder / "scan.nii.gz")
    return folder / "scan.nii.gz"


def qform_only(folder, values, affine):
    return saved(values, affine, folder / "scan.nii.gz", sform=0, qform=1)


def code_0(folder, values, affine):
    canonical = nib.as_closest_canonical(nib.Nifti1Image(values, affine))
    data = np.asarray(canonical.dataobj)[::-1]  # without a code the first axis goes to the left
    made = saved(data, np.diag([2.0, 2.0, 2.0, 1.0]), folder / "scan.nii.gz", sform=0)
    header = nib.load(made).header
    assert (header["sform_code"], header["qform_code"]) == (0, 0)
    return made


def four_d_of_one(folder, values, affine):
    return saved(values[..., None], affine, folder / "scan.nii.gz")


def scaled(folder, values, affine, slope):
    data = bytearray(nib.Nifti1Image(values, affine).to_bytes())
    data[112:116] = np.array(slope, "<f4").tobytes()
    (folder / "scan.nii.gz").write_bytes(gzip.compress(bytes(data)))
    return folder / "scan.nii.gz"


def slope_nan(folder, values, affine):
    return scaled(folder, values, affine, np.nan)


def slope_0(folder, values, affine):
    return scaled(folder, values, affine, 0)


def nan_outside(folder, values, affine):
    holed = values.astype("f4")
    holed[:2, :2, :2] = np.nan
    holed[0, 0, 0] = 0
    holed[-1, -1, -1] = np.inf
    return saved(holed, affine, folder / "scan.nii.gz")


def nan_background(folder, values, affine):
    return saved(np.where(values > 0, values, np.nan).astype("f4"), affine, folder / "scan.nii.gz")


def non_ascii(folder, values, affine):
    (folder / "Проба Ångström 脳").mkdir()
    return saved(values, affine, folder / "Проба Ångström 脳/größe_T1w.nii.gz")


GOOD = {
    plain: None,
    oblique: None,
    big_endian: None,
    hdr_img_pair: None,
    img_of_a_pair: None,
    mgz: None,
    nifti_2: None,
    qform_only: None,
    code_0: "sform and qform code are 0: orientation assumed, side unknown",
    four_d_of_one: "4-D file with a single volume: taken as 3-D",
    slope_nan: "scl_slope is nan, which scales nothing: values are taken as stored",
    slope_0: "scl_slope is 0, which scales nothing: values are taken as stored",
    nan_outside: "8 voxels outside the brain are NaN or infinite: taken as 0",
    nan_background: "voxels outside the brain are NaN or infinite: taken as 0",
    non_ascii: None,
}


def data_of(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


@pytest.mark.parametrize("make", GOOD, ids=lambda make: make.__name__)
def test_a_scan_of_any_kind_gets_results_on_its_own_grid(
    make, place, values, affine, tmp_path, capsys
):
    scan, out = make(tmp_path, values, affine), tmp_path / "out"
    assert place.detect(scan, out) == 0
    assert capsys.readouterr().err == ""
    assert {path.name for path in out.iterdir()} == FILES
    given = nib.load(scan)
    inside = nib.load(out / "brain.nii.gz")
    for name in (n for n in FILES if n.endswith(".nii.gz")):
        made = nib.load(out / name)
        assert made.shape == given.shape[:3]
        assert np.allclose(made.affine, given.affine, atol=1e-4)
        if isinstance(given, nib.Nifti1Pair):
            assert made.header["sform_code"] == given.header["sform_code"]
            assert made.header["qform_code"] == given.header["qform_code"]
    brain = np.asarray(given.dataobj).reshape(given.shape[:3])
    assert ((np.nan_to_num(brain, posinf=0) > 0) == np.asarray(inside.dataobj)).mean() > 0.999
    found = json.loads((out / "detection.json").read_text(encoding="utf-8"))
    assert found["checks"]["overlap_dice"] > 0.9
    assert found["provenance"]["input_files"] == [scan.name]
    if GOOD[make] is None:
        assert found["notes"] == [EXTRACTED]
    else:
        assert any(GOOD[make] in note for note in found["notes"])


def test_the_map_of_a_turned_file_is_the_turned_map(place, values, affine, tmp_path):
    """Stored otherwise, the same head gives the same map in the same places."""
    assert place.detect(plain(tmp_path, values, affine), tmp_path / "a") == 0
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = values.shape[0] - 1
    turned = saved(np.ascontiguousarray(values[::-1]), affine @ flip, tmp_path / "turned.nii.gz")
    assert place.detect(turned, tmp_path / "b") == 0
    for name in ("anomaly.nii.gz", "pvalue.nii.gz", "mask.nii.gz"):
        assert np.array_equal(data_of(tmp_path / "a" / name), data_of(tmp_path / "b" / name)[::-1])


def test_a_rerun_gives_the_same_bytes_with_and_without_the_cache(place, tmp_path):
    assert place.detect(place.scan, tmp_path / "a") == 0
    assert place.detect(place.scan, tmp_path / "b") == 0
    assert place.detect(place.scan, tmp_path / "c", "--cache", str(tmp_path / "fresh")) == 0
    for name in ("anomaly.nii.gz", "pvalue.nii.gz", "mask.nii.gz", "brain.nii.gz"):
        first = data_of(tmp_path / "a" / name).tobytes()
        assert first == data_of(tmp_path / "b" / name).tobytes()
        assert first == data_of(tmp_path / "c" / name).tobytes()


def test_json_is_the_file_that_was_written(place, tmp_path, capsys):
    assert place.detect(place.scan, tmp_path / "out", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "out/detection.json").read_text(encoding="utf-8"))
    assert told["p_values"]["holds"]
    assert told["calibration"]["n_scans"] == 4


def test_the_mask_is_what_the_table_and_the_p_values_say(place, tmp_path):
    out = tmp_path / "out"
    assert place.detect(place.scan, out) == 0
    found = json.loads((out / "detection.json").read_text(encoding="utf-8"))
    mask, brain, p = (data_of(out / f"{n}.nii.gz") for n in ("mask", "brain", "pvalue"))
    assert set(np.unique(mask)) - {0} == {lesion["label"] for lesion in found["lesions"]}
    assert found["flagged"] == bool(found["lesions"])
    lines = (out / "lesions.tsv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(found["lesions"])
    assert (p[brain == 0] == 1).all()
    assert p.min() > 0
    assert (data_of(out / "anomaly.nii.gz")[brain == 0] == 0).all()


def test_a_given_brain_mask_is_the_brain(place, values, affine, tmp_path):
    mask = saved((values > 0).astype("u1"), affine, tmp_path / "mask.nii.gz")
    out = tmp_path / "out"
    assert place.detect(place.scan, out, "--brain-mask", str(mask)) == 0
    assert np.array_equal(data_of(out / "brain.nii.gz"), values > 0)
    found = json.loads((out / "detection.json").read_text(encoding="utf-8"))
    assert found["notes"] == ["brain mask given by the user"]


def test_overwrite_replaces_the_whole_folder(place, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old.txt").write_text("old")
    assert place.detect(place.scan, out, "--overwrite") == 0
    assert {path.name for path in out.iterdir()} == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("written", [0, 1, 3])
def test_a_full_disk_keeps_what_was_there(
    written, place, tmp_path, capsys, line, monkeypatch, full_disk
):
    out = tmp_path / "out"
    assert place.detect(place.scan, out) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    capsys.readouterr()
    full_disk("hale.pipeline.write.write_volume", after=written)
    assert place.detect(place.scan, out, "--overwrite") == 2
    assert f"{out}: cannot be written (No space left on device)" in line(capsys)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_is_no_reason_to_fail_for_the_cache(place, tmp_path):
    (tmp_path / "file").write_text("no folder")
    assert place.detect(place.scan, tmp_path / "out", "--cache", str(tmp_path / "file")) == 0


def test_the_report_is_written_beside_the_maps(place, tmp_path, capsys):
    model, cache = ("--model", str(place.model)), ("--cache", str(place.cache))
    out = tmp_path / "out"
    assert run(["detect", str(place.scan), "--out", str(out), *model, *cache]) == 0
    assert {path.name for path in out.iterdir()} == FILES | {"report.html"}
    assert str(out / "report.html") in capsys.readouterr().out


REAL = (
    "ixi/sub-IXI012/anat/sub-IXI012_T1w.nii.gz",
    "tcga/sub-FG6692/anat/sub-FG6692_T1w.nii.gz",
    "mslub/sub-07/anat/sub-07_space-MNI_T1w.nii.gz",
    "mslub/sub-long12/ses-1/anat/sub-long12_ses-1_T1w.nii.gz",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL, ids=lambda name: name.split("/")[1])
def test_a_real_scan_gets_results_on_its_own_grid(name, place, shared_data, tmp_path):
    out = tmp_path / "out"
    assert place.detect(shared_data / name, out) == 0
    given, made = nib.load(shared_data / name), nib.load(out / "anomaly.nii.gz")
    assert made.shape == given.shape
    assert np.allclose(made.affine, given.affine, atol=1e-3)
    found = json.loads((out / "detection.json").read_text(encoding="utf-8"))
    assert 1000 < found["checks"]["brain_ml"] < 2000
    assert found["checks"]["overlap_dice"] > 0.93
    assert found["checks"]["resemblance"] > 0.15
    assert (EXTRACTED in found["notes"]) == ("space-MNI" in name)
    assert found["p_values"]["holds"] is False
