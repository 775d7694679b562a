import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, ornt_transform

from hale.core.errors import Refused
from hale.core.scan import Contrast, Stored
from hale.io.nifti import is_image, read_volume, stem, write_volume
from hale.io.raw import read_raw

SHAPE = (9, 10, 11)
ORDERS = ("RAS", "LPS", "PSR", "ASL", "SRA", "PIR", "IAL")


def ramp() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


def stored_as(order: str) -> nib.Nifti1Image:
    """The ramp in RAS, its axes stored in another order."""
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = -8, -12, -20
    return nib.Nifti1Image(ramp(), affine).as_reoriented(
        ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(order))
    )


@pytest.mark.parametrize("order", ORDERS)
def test_any_order_of_axes_is_read_as_ras(order, tmp_path):
    nib.save(stored_as(order), tmp_path / "scan.nii.gz")
    read = read_volume(tmp_path / "scan.nii.gz")
    assert np.array_equal(read.volume.values, ramp())
    assert nib.aff2axcodes(read.volume.grid.affine) == ("R", "A", "S")
    assert read.volume.grid.spacing == pytest.approx((2, 3, 4))
    assert read.volume.grid.voxel_ml == pytest.approx(0.024)


@pytest.mark.parametrize("order", ORDERS)
def test_what_was_read_is_written_as_it_was_stored(order, tmp_path):
    nib.save(stored_as(order), tmp_path / "scan.nii.gz")
    read = read_volume(tmp_path / "scan.nii.gz")
    write_volume(tmp_path / "again.nii.gz", read.volume.values, read.stored)
    given, again = nib.load(tmp_path / "scan.nii.gz"), nib.load(tmp_path / "again.nii.gz")
    assert np.array_equal(np.asarray(given.dataobj), np.asarray(again.dataobj))
    assert np.allclose(given.affine, again.affine)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@given(st.sampled_from(ORDERS), st.integers(0, np.prod(SHAPE) - 1))
def test_a_voxel_keeps_its_place(order, number):
    """The value at a position in mm is the same before and after reorientation."""
    image = stored_as(order)
    index = np.argwhere(np.asarray(image.dataobj) == number)[0]
    position = image.affine @ np.append(index, 1)
    expected = np.argwhere(ramp() == number)[0] * (2, 3, 4) + (-8, -12, -20)
    assert np.allclose(position[:3], expected)


def test_values_that_do_not_fill_the_file_are_no_volume(tmp_path):
    with pytest.raises(ValueError, match="values turn into"):
        write_volume(tmp_path / "x.nii", np.zeros((2, 2, 2)), Stored(shape=SHAPE, affine=np.eye(4)))


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nib, "save", full)
    with pytest.raises(OSError, match="No space"):
        write_volume(tmp_path / "x.nii", np.zeros(SHAPE), Stored(shape=SHAPE, affine=np.eye(4)))
    assert list(tmp_path.iterdir()) == []


def test_scale_factors_are_applied(tmp_path):
    image = nib.Nifti1Image(ramp(), np.diag([2.0, 2, 2, 1]))
    image.header.set_slope_inter(0.5, 3)
    nib.save(image, tmp_path / "scan.nii.gz")
    read = read_volume(tmp_path / "scan.nii.gz")
    expected = np.asarray(nib.load(tmp_path / "scan.nii.gz").dataobj)
    assert np.allclose(read.volume.values, expected)
    assert read.notes == ()


def test_names_and_stems():
    from pathlib import Path

    assert is_image(Path("A.NII.GZ"))
    assert not is_image(Path("a.nii.gz.txt"))
    assert stem(Path("sub-01_T1w.nii.gz")) == "sub-01_T1w"
    assert stem(Path("a.b.mgz")) == "a.b"


def test_a_side_car_names_the_scanner(tmp_path):
    nib.save(stored_as("RAS"), tmp_path / "a_T1w.nii.gz")
    path = tmp_path / "a_T1w.json"
    path.write_text('{"Manufacturer": "Acme", "MagneticFieldStrength": 3}')
    assert read_raw({Contrast.T1W: tmp_path / "a_T1w.nii.gz"}).source.scanner == "Acme 3"
    path.write_text("{}")
    assert read_raw({Contrast.T1W: tmp_path / "a_T1w.nii.gz"}).source.scanner is None
    path.write_text("{")
    with pytest.raises(Refused, match="is no JSON"):
        read_raw({Contrast.T1W: tmp_path / "a_T1w.nii.gz"})
    path.write_text("7")
    with pytest.raises(Refused, match="is no JSON table"):
        read_raw({Contrast.T1W: tmp_path / "a_T1w.nii.gz"})


def test_sform_and_qform_of_two_spaces_may_lie_apart_but_not_turned(tmp_path):
    image = stored_as("RAS")
    image.set_sform(image.affine, 4)  # a template
    moved = image.affine.copy()
    moved[:3, 3] += 10
    image.set_qform(moved, 1)  # the scanner
    nib.save(image, tmp_path / "scan.nii.gz")
    assert np.allclose(read_volume(tmp_path / "scan.nii.gz").volume.grid.affine, image.affine)
    moved[:3, 3] += 100
    image.set_qform(moved, 1)
    nib.save(image, tmp_path / "scan.nii.gz")
    with pytest.raises(Refused, match="contradict each other"):
        read_volume(tmp_path / "scan.nii.gz")


def test_a_qform_of_its_own_is_written_back(tmp_path):
    """sform in template space, qform in scanner space: outputs say the same as their input."""
    template, scanner = np.diag([2.0, 2, 2, 1]), np.diag([2.0, 2, 2, 1])
    template[:3, 3], scanner[:3, 3] = (-20, -30, -40), (-20, -10, -40)
    values = np.random.default_rng(0).random((20, 22, 24), np.float32)
    image = nib.Nifti1Image(values, template)
    image.set_sform(template, 4)
    image.set_qform(scanner, 1)
    nib.save(image, tmp_path / "scan.nii.gz")
    read = read_volume(tmp_path / "scan.nii.gz")
    write_volume(tmp_path / "map.nii.gz", read.volume.values, read.stored)
    header = nib.load(tmp_path / "map.nii.gz").header
    np.testing.assert_allclose(header.get_qform(), scanner, atol=1e-4)
    np.testing.assert_allclose(header.get_sform(), template, atol=1e-4)
    assert (header["sform_code"], header["qform_code"]) == (4, 1)
