"""Series are found whatever the folder looks like, and become the volume that their headers say."""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, MediaStorageDirectoryStorage, RLELossless

from hale.cli.series import command
from hale.core.errors import Refused
from hale.core.scan import Contrast
from hale.io.dicom import choose, is_dicom_folder, read_exam
from hale.io.dicom_contrast import contradiction, recognise
from hale.io.dicom_convert import convert
from hale.io.dicom_headers import Acquisition
from hale.io.dicom_series import Series, find_series

sys.path.insert(0, str(Path(__file__).parent))
from dicom_series import (
    BORN,
    FLAIR_TIMES,
    NAME,
    PATIENT,
    T1_TIMES,
    Exam,
    Stack,
    crop,
    ct,
    item,
    write_classic,
    write_enhanced,
    write_localiser,
)

FLAIR = {"SeriesNumber": 5, "SeriesDescription": "Ax FLAIR", **FLAIR_TIMES}
T1 = {"SeriesNumber": 3, "SeriesDescription": "Ax T1 SE", **T1_TIMES}
ORDERS = ("LPS", "LPI", "PIL", "PIR", "LIA", "RSA")  # axial, sagittal, coronal; slices both ways


@pytest.fixture(scope="module")
def flair(shared_data) -> Stack:
    """24 x 20 x 14 oblique voxels of 0.9 x 0.9 x 5.5 mm."""
    path = shared_data / "tcga/sub-FG6692/anat/sub-FG6692_FLAIR.nii.gz"
    return crop(path, (80, 100, 6), (24, 20, 14))


@pytest.fixture(scope="module")
def t1(shared_data) -> Stack:
    path = shared_data / "tcga/sub-FG6692/anat/sub-FG6692_T1w.nii.gz"
    return crop(path, (80, 100, 6), (24, 20, 14))


@pytest.fixture
def into(tmp_path) -> Path:
    folder = tmp_path / "converted"
    folder.mkdir()
    return folder


@pytest.fixture
def exam(flair, t1, tmp_path) -> Path:
    """T1w, FLAIR with shuffled names and a localiser, nested, beside files that are no image."""
    folder, who = tmp_path / "exam", Exam()
    write_classic(folder / "a/b", flair, FLAIR, exam=who, shuffle=1)
    write_classic(folder, t1, T1, exam=who)
    write_localiser(folder / "c", t1, exam=who, number=1)
    (folder / "notes.txt").write_text("patient moved")
    (folder / "empty").touch()
    index = dcmread(next(folder.glob("3_*")))
    index.SOPClassUID, index.PatientID = MediaStorageDirectoryStorage, "index"
    index.save_as(folder / "DICOMDIR")
    return folder


def assert_same_places(path: Path, stack: Stack) -> None:
    """Each voxel of the file has the value that the stack has at the same mm."""
    image = nib.load(path)
    values = np.asarray(image.dataobj)
    assert values.size == stack.values.size
    index = np.argwhere(np.ones(values.shape, bool))
    mm = index @ image.affine[:3, :3].T + image.affine[:3, 3]
    back = np.linalg.inv(stack.affine)
    exact = mm @ back[:3, :3].T + back[:3, 3]
    there = np.rint(exact).astype(int)
    assert np.abs(exact - there).max() < 0.01
    np.testing.assert_array_equal(stack.values[tuple(there.T)], values[tuple(index.T)])


def one_series(folder: Path) -> Series:
    series = find_series(folder)
    assert len(series) == 1
    return series[0]


def said(description: str = "", **other) -> Acquisition:
    as_read = {name: float(v) if name.endswith("_ms") else v for name, v in other.items()}
    return Acquisition(description=description, **as_read)


def test_an_exam_is_read(exam, flair, t1, into):
    slots = [(Contrast.FLAIR,), (Contrast.T1W, Contrast.T1W_CE)]
    files, chosen, series = read_exam(exam, slots, {}, into)
    assert list(files) == [Contrast.FLAIR, Contrast.T1W]
    assert_same_places(files[Contrast.FLAIR], flair)
    assert_same_places(files[Contrast.T1W], t1)
    assert chosen[Contrast.FLAIR].number == 5
    assert [one.key for one in series] == ["1.1", "1.2", "1.3", "3", "5"]


def test_what_a_series_says(exam):
    survey, _, _, t1, flair = find_series(exam)
    assert (flair.contrast, flair.why) == (Contrast.FLAIR, "description 'Ax FLAIR'")
    assert (flair.count, flair.shape, len(flair.files)) == (14, (20, 24), 14)
    assert flair.spacing == pytest.approx((0.898, 0.898, 5.5), abs=0.01)
    assert flair.problems == ()
    assert t1.contrast is Contrast.T1W
    assert survey.contrast is None
    assert "localiser" in survey.problems[0]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shuffle", [None, 7])
@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_a_voxel_keeps_its_value_at_its_place(flair, order, shuffle, kind, tmp_path, into):
    stack = flair.turned(order)
    if kind == "classic":
        write_classic(tmp_path / "in", stack, FLAIR, exam=Exam(), shuffle=shuffle)
    else:
        write_enhanced(tmp_path / "in/a", stack, FLAIR, exam=Exam(), shuffle=shuffle)
    series = one_series(tmp_path / "in")
    assert (series.contrast, series.problems) == (Contrast.FLAIR, ())
    assert_same_places(convert(series, into), stack)


@pytest.mark.parametrize(
    "scan",
    ["ixi/sub-IXI012/anat/sub-IXI012_T1w", "mslub/sub-long12/ses-1/anat/sub-long12_ses-1_T2w"],
)
def test_other_scanners_grids_too(shared_data, scan, tmp_path, into):
    stack = crop(shared_data / f"{scan}.nii.gz", (30, 40, 10), (20, 16, 12))
    write_classic(tmp_path / "in", stack, T1, exam=Exam(), shuffle=3)
    assert_same_places(convert(one_series(tmp_path / "in"), into), stack)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_compressed_series(shared_data, syntax, tmp_path, into):
    path = shared_data / "tcga/sub-FG6692/anat/sub-FG6692_FLAIR.nii.gz"
    stack = crop(path, (80, 100, 6), (48, 40, 14))  # JPEG 2000 wants 32 pixels or more
    write_classic(tmp_path / "in", stack, FLAIR, exam=Exam(), compress=syntax)
    assert_same_places(convert(one_series(tmp_path / "in"), into), stack)


def test_neither_person_nor_date_gets_into_what_is_written(flair, tmp_path, into):
    tags = {**FLAIR, "ImageComments": NAME, "PatientComments": PATIENT}
    write_classic(tmp_path / "in", flair, tags, exam=Exam())
    path = convert(one_series(tmp_path / "in"), into)
    written = path.read_bytes() + path.with_suffix(".json").read_bytes() + path.name.encode()
    for secret in (*NAME.split("^"), PATIENT, BORN, "20240501", "2024-05-01", "House"):
        assert secret.encode() not in written
    assert json.loads(path.with_suffix(".json").read_text())["Modality"] == "MR"


def test_a_missing_slice_is_told_and_refused(flair, t1, tmp_path, into):
    who = Exam()
    write_classic(tmp_path / "in", flair, FLAIR, exam=who, leave_out=[4])
    series = find_series(tmp_path / "in")
    assert series[0].problems == (
        "a slice is missing: 11.0 mm between 5_005 and 5_003, 5.5 mm elsewhere",
    )
    with pytest.raises(Refused, match=r"FLAIR: 5 .* a slice is missing.*; export it again$"):
        choose(series, [Contrast.FLAIR], {})
    with pytest.raises(Refused, match="a slice is missing"):
        convert(choose(series, [Contrast.FLAIR], {Contrast.FLAIR: 5})[Contrast.FLAIR], into)
    write_classic(tmp_path / "in/again", flair, {**FLAIR, "SeriesNumber": 6}, exam=who)
    chosen = choose(find_series(tmp_path / "in"), [Contrast.FLAIR], {})
    assert chosen[Contrast.FLAIR].number == 6


def test_a_tilted_gantry_is_refused(flair, tmp_path, into):
    """dcm2niix straightens such slices in place, without a word for MR."""
    affine = flair.affine.copy()
    affine[:3, 2] += 2 * affine[:3, 1]
    tilted = Stack(values=flair.values, affine=affine)
    write_classic(tmp_path / "in", tilted, FLAIR, exam=Exam())
    series = one_series(tmp_path / "in")
    assert series.problems == ("its slices are sheared (a tilted gantry)",)
    with pytest.raises(Refused, match="sheared"):
        convert(series, into)


def test_a_slab_is_told_and_can_be_insisted_on(flair, tmp_path, into):
    slab = Stack(values=flair.values[:, :, :7], affine=flair.affine)
    write_classic(tmp_path / "in", slab, FLAIR, exam=Exam())
    with pytest.raises(Refused, match=r"it has 7 slices.*insist with --series FLAIR=5"):
        read_exam(tmp_path / "in", [(Contrast.FLAIR,)], {}, into)
    files, _, _ = read_exam(tmp_path / "in", [(Contrast.FLAIR,)], {Contrast.FLAIR: 5}, into)
    assert_same_places(files[Contrast.FLAIR], slab)


def test_uneven_slices_are_refused(flair, tmp_path, into):
    for k, path in enumerate(write_classic(tmp_path / "in", flair, FLAIR, exam=Exam())):
        read, shift = dcmread(path), 1.6 * (k == 6)
        step = np.array([-1, -1, 1]) * flair.affine[:3, 2] / 5.5
        read.ImagePositionPatient = (np.array(read.ImagePositionPatient) + shift * step).tolist()
        read.save_as(path)
    series = one_series(tmp_path / "in")
    assert series.problems[0].startswith("its slices are uneven: 7.1 mm between")
    with pytest.raises(Refused, match="its slices are uneven"):
        convert(series, into)


def test_slices_in_one_place_are_told(flair, tmp_path, into):
    tags = {**FLAIR, "SeriesInstanceUID": "1.2.3"}
    for name in ("a", "b"):  # two instances each
        write_classic(tmp_path / "in" / name, flair, tags, exam=Exam(study="1.2"))
    series = one_series(tmp_path / "in")
    assert series.problems == ("14 of its slices lie where another one lies",)
    with pytest.raises(Refused, match="lie where another one lies"):
        convert(series, into)


def test_copies_links_and_loops_change_nothing(exam, flair, into):
    before = find_series(exam)
    shutil.copytree(exam / "a", exam / "copy")
    (exam / "loop").symlink_to(exam, target_is_directory=True)
    (exam / "dangling").symlink_to(exam / "nowhere")
    os.mkfifo(exam / "pipe")
    after = find_series(exam)
    assert [(one.key, one.count) for one in after] == [(one.key, one.count) for one in before]
    assert_same_places(convert(after[-1], into), flair)


def test_two_series_of_a_contrast_are_refused_by_name(exam, flair):
    study = dcmread(next(exam.glob("3_*"))).StudyInstanceUID
    tags = {**FLAIR, "SeriesNumber": 8, "SeriesDescription": "FLAIR again"}
    write_classic(exam / "d", flair, tags, exam=Exam(study=study))
    series = find_series(exam)
    with pytest.raises(Refused, match=r"5 \(Ax FLAIR\), 8 \(FLAIR again\).*--series FLAIR=5"):
        choose(series, [Contrast.FLAIR], {})
    for name in (8, "8", "again", series[-1].uid):
        assert choose(series, [Contrast.FLAIR], {Contrast.FLAIR: name})[Contrast.FLAIR].number == 8
    with pytest.raises(Refused, match="could be any of"):
        choose(series, [Contrast.FLAIR], {Contrast.FLAIR: "flair"})
    with pytest.raises(Refused, match="there is no such series"):
        choose(series, [Contrast.FLAIR], {Contrast.FLAIR: 77})
    with pytest.raises(Refused, match="T2w: no series is recognised"):
        choose(series, [Contrast.T2W], {})


def test_a_slot_takes_what_is_there(exam, into):
    files, _, _ = read_exam(exam, [(Contrast.T2W, Contrast.T1W)], {}, into)
    assert list(files) == [Contrast.T1W]
    with pytest.raises(Refused, match="T2w or PDw: no series is recognised"):
        read_exam(exam, [(Contrast.T2W, Contrast.PDW)], {}, into)
    insisted, _, _ = read_exam(exam, [(Contrast.T2W, Contrast.T1W)], {Contrast.T2W: 5}, into)
    assert list(insisted) == [Contrast.T2W]


def test_two_patients_are_refused_without_naming_them(exam, t1):
    write_classic(exam / "z", t1, T1, exam=Exam(patient="OTHER-1"))
    with pytest.raises(Refused, match="images of 2 patients") as refused:
        find_series(exam)
    assert "OTHER-1" not in str(refused.value)
    assert PATIENT not in str(refused.value)


def test_two_studies_are_refused_unless_each_series_is_named(flair, t1, tmp_path):
    write_classic(tmp_path / "in", flair, FLAIR, exam=Exam())
    write_classic(tmp_path / "in", t1, T1, exam=Exam())
    series, both = find_series(tmp_path / "in"), [Contrast.FLAIR, Contrast.T1W]
    with pytest.raises(Refused, match="are of 2 studies"):
        choose(series, both, {Contrast.T1W: 3})
    assert choose(series, both, {Contrast.T1W: 3, Contrast.FLAIR: 5})


def test_echoes_of_one_series_are_series_of_their_own(flair, t1, tmp_path, into):
    shared = {"SeriesNumber": 4, "SeriesDescription": "PD T2 dual", "SeriesInstanceUID": "1.2.3"}
    times = {"ScanningSequence": "SE", "RepetitionTime": 3000.0}
    who = Exam()
    write_classic(tmp_path / "in/a", t1, {**shared, **times, "EchoTime": 14.0}, exam=who)
    write_classic(tmp_path / "in/b", flair, {**shared, **times, "EchoTime": 98.0}, exam=who)
    first, second = find_series(tmp_path / "in")
    assert (first.key, first.contrast, first.problems) == ("4.1", Contrast.PDW, ())
    assert (second.key, second.contrast) == ("4.2", Contrast.T2W)
    assert_same_places(convert(second, into), flair)
    picked = choose([first, second], [Contrast.T2W], {Contrast.T2W: "4.2"})
    assert picked == {Contrast.T2W: second}


def test_echoes_of_one_multi_frame_file_are_series_of_their_own(flair, tmp_path, into):
    times = {"ScanningSequence": "SE", "RepetitionTime": 3000.0, "EchoTime": 14.0}
    tags = {"SeriesNumber": 4, "SeriesDescription": "PD T2", **times}
    first, second = flair.values, flair.values[:, :, ::-1]
    both = Stack(values=np.concatenate([first, second], axis=2), affine=flair.affine)
    path = write_enhanced(tmp_path / "in/a", both, tags, exam=Exam())
    read = dcmread(path)
    frames = read.PerFrameFunctionalGroupsSequence
    for n, frame in enumerate(frames[14:]):
        frame.PlanePositionSequence = frames[n].PlanePositionSequence
        frame.MREchoSequence = [item(EffectiveEchoTime=95.0)]
    read.save_as(path)
    proton, t2 = find_series(tmp_path / "in")
    assert (proton.contrast, t2.contrast) == (Contrast.PDW, Contrast.T2W)
    assert_same_places(convert(proton, into), flair)
    assert_same_places(convert(t2, into), Stack(values=second, affine=flair.affine))


def test_a_series_spread_over_multi_frame_files_is_refused(flair, tmp_path, into):
    tags, who = {**FLAIR, "SeriesInstanceUID": "1.2.3"}, Exam()
    for part in (0, 1):
        half = flair.values[:, :, 7 * part :][:, :, :7]
        affine = flair.affine @ np.array(nib.affines.from_matvec(np.eye(3), (0, 0, 7 * part)))
        stack = Stack(values=half, affine=affine)
        write_enhanced(tmp_path / f"in/{part}", stack, tags, exam=who)
    with pytest.raises(Refused, match="spread over 2 multi-frame files"):
        convert(one_series(tmp_path / "in"), into)


@pytest.mark.parametrize(
    ("shuffle", "why"), [(None, "dcm2niix cannot"), (3, "out of order and can")]
)
def test_voxels_that_cannot_be_decoded_are_refused(flair, shuffle, why, tmp_path, into):
    path = write_enhanced(tmp_path / "in/a", flair, FLAIR, exam=Exam(), shuffle=shuffle)
    read = dcmread(path)
    read.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    read.PixelData = encapsulate([b"no JPEG at all"] * 14)
    read["PixelData"].VR = "OB"
    read.save_as(path)
    with pytest.raises(Refused, match=why):
        convert(one_series(tmp_path / "in"), into)


def test_a_volume_elsewhere_than_the_headers_say_is_refused(flair, tmp_path, into):
    write_classic(tmp_path / "in", flair, FLAIR, exam=Exam())
    series = one_series(tmp_path / "in")
    moved = [replace(f, position=(f.position[0] + 4, *f.position[1:])) for f in series.frames]
    with pytest.raises(Refused, match=r"dcm2niix puts it \d\.\d voxels from"):
        convert(replace(series, frames=tuple(moved)), into)
    with pytest.raises(Refused, match="its headers say"):
        convert(replace(series, frames=series.frames[:-1] * 2), into)
    assert list(into.iterdir()) == []


def test_a_ct_is_a_ct(flair, tmp_path, into):
    tags = {"SeriesNumber": 2, "SeriesDescription": "Head 5.0 H31s"}
    stored = Stack(values=flair.values + 1024, affine=flair.affine)
    write_classic(tmp_path / "in", stored, ct(tags), exam=Exam())
    series = one_series(tmp_path / "in")
    assert (series.contrast, series.problems) == (Contrast.CT, ())
    assert_same_places(convert(series, into), flair)


def test_screen_saves_and_reports_are_no_scans(exam):
    tags = {"SeriesNumber": 99, "Modality": "OT", "ConversionType": "WSD"}
    values = np.zeros((8, 8, 1), np.int16)
    write_classic(exam / "s", Stack(values=values, affine=np.eye(4)), tags, exam=Exam())
    saved = find_series(exam)[-1]
    assert saved.contrast is None
    assert "no scan" in saved.problems[0]
    report = dcmread(next(exam.glob("3_*")))
    del report["Rows"], report["Columns"], report["PixelData"], report["ImagePositionPatient"]
    report.Modality, report.SOPInstanceUID = "SR", "1.2.3.4"
    report.save_as(exam / "report")
    assert find_series(exam)[-1].key == "99"


@pytest.mark.parametrize("left", [140, 300, 700])
def test_a_file_cut_off_in_its_header_is_refused(exam, left):
    path = next(exam.glob("3_*"))
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(Refused, match=path.name):
        find_series(exam)


def test_a_file_cut_off_in_its_voxels_is_refused(exam, into):
    path = next(exam.glob("3_*"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(Refused, match=r"series 3 \(Ax T1 SE\): dcm2niix cannot convert it"):
        read_exam(exam, [(Contrast.T1W,)], {}, into)
    assert list(into.iterdir()) == []


def test_what_is_no_dicom_folder(exam, flair, tmp_path):
    assert is_dicom_folder(exam)
    empty = tmp_path / "none"
    empty.mkdir()
    assert not is_dicom_folder(empty)
    assert not is_dicom_folder(exam / "notes.txt")
    with pytest.raises(Refused, match="holds no DICOM image"):
        find_series(empty)
    with pytest.raises(Refused, match="no such folder"):
        find_series(tmp_path / "nowhere")
    (empty / "b.bin").write_bytes(b"\x08\x00" * 3)
    assert not is_dicom_folder(empty)
    nib.save(nib.Nifti1Image(flair.values, flair.affine), exam / "a/scan.nii")
    assert not is_dicom_folder(exam)


def test_the_command_shows_the_series(exam, capsys):
    command(exam, json=True)
    rows = json.loads(capsys.readouterr().out)
    assert [row["series"] for row in rows] == ["1.1", "1.2", "1.3", "3", "5"]
    assert [row["contrast"] for row in rows] == [None, None, None, "T1w", "FLAIR"]
    command(exam)
    shown = capsys.readouterr().out
    assert "Ax FLAIR" in shown
    assert NAME.split("^")[0] not in shown


def test_odd_headers_are_told(flair, t1, tmp_path, into):
    who = Exam()
    paths = write_classic(tmp_path / "in", flair, FLAIR, exam=who)
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"120.0", b"12O.0"))  # the echo time
    series = one_series(tmp_path / "in")
    assert (series.contrast, series.frames[0].acquisition.echo_ms) == (Contrast.FLAIR, None)
    shutil.rmtree(tmp_path / "in")
    for name, value in (("ImagePositionPatient", None), ("PixelSpacing", [0, 0])):
        for path in write_classic(tmp_path / "in", flair, FLAIR, exam=who):
            read = dcmread(path)
            setattr(read, name, value)
            read.save_as(path)
        series = one_series(tmp_path / "in")
        assert series.problems == ("its header does not say where its slices lie",)
    with pytest.raises(Refused, match="does not say where"):
        convert(series, into)
    first = write_classic(tmp_path / "in", flair, FLAIR, exam=who)[0]
    read = dcmread(first)
    del read["Rows"], read["PixelData"]
    read.save_as(first)
    with pytest.raises(Refused, match="without its size"):
        find_series(tmp_path / "in")


def test_a_file_without_preamble_is_dicom(flair, tmp_path):
    for path in write_classic(tmp_path / "in", flair, FLAIR, exam=Exam()):
        content = path.read_bytes()
        meta = int.from_bytes(content[140:144], "little")
        path.write_bytes(content[144 + meta :])
    assert is_dicom_folder(tmp_path / "in")
    assert one_series(tmp_path / "in").count == 14


SPIN = {"sequence": ("SE",)}
T1_3D = {"sequence": ("GR", "IR"), "repetition_ms": 2300, "echo_ms": 2.98, "inversion_ms": 900}


@pytest.mark.parametrize(
    ("acquisition", "contrast"),
    [
        (said("t1_mprage_sag_p2_iso"), Contrast.T1W),
        (said("sT1W_3D_TFE"), Contrast.T1W),
        (said("AX T1 FLAIR"), Contrast.T1W),
        (said("t1_tirm_tra_dark-fluid"), Contrast.T1W),
        (said("Ax 3D BRAVO +C"), Contrast.T1W_CE),
        (said("BRAVO+C"), Contrast.T1W_CE),
        (said("T1 c+"), Contrast.T1W_CE),
        (said("T1 no contrast"), Contrast.T1W),
        (said("sub-01_T1w"), Contrast.T1W),
        (said("SAGT1FS"), Contrast.T1W),
        (said("T1rho"), None),
        (said("T1 SE AX POST GD"), Contrast.T1W_CE),
        (said("t1_mprage KM"), Contrast.T1W_CE),
        (said("T1 post-op"), Contrast.T1W),
        (said("T1 W/O CONTRAST"), Contrast.T1W),
        (said("AX T1", agent="Gadovist"), Contrast.T1W_CE),
        (said("AX T1 PRE", agent="Gadovist"), Contrast.T1W),
        (said("t2_tirm_tra_dark-fluid"), Contrast.FLAIR),
        (said("3D Cube T2 FLAIR", agent="Gadovist"), Contrast.FLAIR),
        (said("Sag CUBE-FLAIR"), Contrast.FLAIR),
        (said("T2W_TSE_DRIVE"), Contrast.T2W),
        (said("t2_tse_tra_restore"), Contrast.T2W),
        (said("AXT2 FRFSE"), Contrast.T2W),
        (said("AX PD"), Contrast.PDW),
        (said("scan 4", protocol="t2_tse"), Contrast.T2W),
        (said("head", modality="CT"), Contrast.CT),
        (said(repetition_ms=500, echo_ms=12, **SPIN), Contrast.T1W),
        (said(repetition_ms=4000, echo_ms=100, **SPIN), Contrast.T2W),
        (said(repetition_ms=3000, echo_ms=14, **SPIN), Contrast.PDW),
        (said(repetition_ms=9000, echo_ms=120, inversion_ms=2500, **SPIN), Contrast.FLAIR),
        (
            said("t2_tirm", repetition_ms=9000, echo_ms=90, inversion_ms=2500, **SPIN),
            Contrast.FLAIR,
        ),
        (said(**T1_3D), Contrast.T1W),
        (said(purpose="FLUID_ATTENUATED"), Contrast.FLAIR),
        (said("PD T2", repetition_ms=3000, echo_ms=95, **SPIN), Contrast.T2W),
        (said(repetition_ms=4000, echo_ms=50, inversion_ms=150, **SPIN), None),  # STIR
        (said(repetition_ms=9000, echo_ms=120, **SPIN), None),  # a FLAIR that hides its inversion?
        (said(repetition_ms=5000, echo_ms=90, sequence=("SE", "IR")), None),
        (said(repetition_ms=25, echo_ms=4, sequence=("GR",)), None),  # as angiography
        (said(repetition_ms=5000, echo_ms=90, sequence=("SE", "EP")), None),
        (said("ep2d_diff_3scan_trace_p2_ADC"), None),
        (said("T2* GRE"), None),
        (said("t2_fl2d_tra_hemo"), None),
        (said("SWI_Images"), None),
        (said("TOF_3D_multi-slab"), None),
        (said("T1 MIP"), None),
        (said("T1 map"), None),
        (said("Survey"), None),
        (said("AAHead_Scout"), None),
        (said("T1", image_type=("ORIGINAL", "PRIMARY", "P")), None),
        (said("T1", colour=True), None),
        (said("T1", angiography=True), None),
        (said("head", modality="CT", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")), None),
        (said("AX STIR"), None),
        (said(), None),
    ],
)
def test_a_contrast_is_known_by_words_or_times(acquisition, contrast):
    assert recognise(acquisition)[0] is contrast


def test_times_speak_against_a_wrong_name():
    wrong = said("AX T1", repetition_ms=4000, echo_ms=100, **SPIN)
    assert "its times are those of T2w" in str(contradiction(wrong, recognise(wrong)[0]))
    right = said("AX T1", repetition_ms=500, echo_ms=10, **SPIN)
    untold = said("T2 FLAIR", repetition_ms=6000, echo_ms=100, **SPIN)
    for fitting in (right, untold):
        assert contradiction(fitting, recognise(fitting)[0]) is None


def test_a_derived_image_loses_against_its_original(flair, tmp_path):
    who = Exam()
    derived = {**FLAIR, "SeriesNumber": 50, "ImageType": ["DERIVED", "SECONDARY", "MPR"]}
    write_classic(tmp_path / "in", flair, derived, exam=who)
    with pytest.raises(Refused, match=r"a derived image.*insist with --series FLAIR=50"):
        choose(find_series(tmp_path / "in"), [Contrast.FLAIR], {})
    write_classic(tmp_path / "in", flair, FLAIR, exam=who)
    assert choose(find_series(tmp_path / "in"), [Contrast.FLAIR], {})[Contrast.FLAIR].number == 5
