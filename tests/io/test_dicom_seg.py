"""A segmentation read back holds the same voxels in the same places as the labels written."""

import sys
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from pydicom import dcmread

from hale.core.detection import Lesion
from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.io.dicom_seg import NONE_FOUND, write_segmentation
from hale.io.dicom_series import find_series

sys.path.insert(0, str(Path(__file__).parent))
from dicom_series import (
    FLAIR_TIMES,
    TO_LPS,
    Exam,
    Stack,
    crop,
    write_classic,
    write_enhanced,
)

TAGS = {"SeriesNumber": 5, "SeriesDescription": "Ax FLAIR", **FLAIR_TIMES}
ORDERS = ("LPS", "LPI", "PIL", "PIR", "LIA", "RSA")  # axial, sagittal, coronal; slices both ways


def lesion(label: int) -> Lesion:
    place = (0.0, 0.0, 0.0)
    return Lesion(
        label=label,
        volume_ml=0.5,
        centre_mm=place,
        centre_mni_mm=None,
        peak=5.0,
        peak_mm=place,
        mass=2.0,
        p=0.01,
    )


@pytest.fixture(scope="module")
def oblique(shared_data) -> Stack:
    """22 x 18 x 14 voxels of 0.9 x 0.9 x 5.5 mm, turned by up to 17 degrees."""
    path = shared_data / "tcga/sub-FG6692/anat/sub-FG6692_FLAIR.nii.gz"
    return crop(path, (80, 100, 6), (22, 18, 14))


def ras(stack: Stack) -> tuple[np.ndarray, Grid]:
    """Lesions 1 (bright) and 2 (a box in a corner) on the stack's voxels in RAS+ order."""
    image = nib.Nifti1Image(stack.values, stack.affine)
    turn = ornt_transform(io_orientation(stack.affine), axcodes2ornt("RAS"))
    image = image.as_reoriented(turn)
    values = np.asarray(image.dataobj)
    labels = (values > np.percentile(values, 95)).astype(np.int32)
    labels[:3, :4, :2] = 2
    return labels, Grid(shape=labels.shape, affine=np.asarray(image.affine, np.float64))


def placed(labels: np.ndarray, affine: np.ndarray) -> dict[tuple[float, ...], int]:
    """Return label by position, mm to 0.1."""
    index = np.argwhere(labels)
    mm = index @ affine[:3, :3].T + affine[:3, 3]
    return {
        tuple(place): int(labels[tuple(voxel)])
        for place, voxel in zip((mm.round(1) + 0.0).tolist(), index, strict=True)
    }


def read_back(path: Path) -> dict[tuple[float, ...], int]:
    volume = hd.seg.segread(path).get_volume(combine_segments=True)
    return placed(volume.array, TO_LPS @ volume.affine)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_what_is_read_back_lies_where_it_was_found(oblique, order, kind, tmp_path):
    stack = oblique.turned(order)
    if kind == "classic":
        files = write_classic(tmp_path / "in", stack, TAGS, exam=Exam(), shuffle=4)
    else:
        files = [write_enhanced(tmp_path / "in/a", stack, TAGS, exam=Exam(), shuffle=4)]
    labels, grid = ras(stack)
    seg = tmp_path / "seg.dcm"
    write_segmentation(seg, labels, grid, files, [lesion(1), lesion(2)], software_version="1")
    assert read_back(seg) == placed(labels, grid.affine)


def test_each_frame_refers_to_the_slice_that_it_lies_on(oblique, tmp_path):
    files = write_classic(tmp_path / "in", oblique, TAGS, exam=Exam(), shuffle=2)
    labels, grid = ras(oblique)
    seg = tmp_path / "seg.dcm"
    series = find_series(tmp_path / "in")[0]
    write_segmentation(
        seg, labels, grid, series.files, [lesion(1), lesion(2)], software_version="1"
    )
    at = {
        str(read.SOPInstanceUID): [float(mm) for mm in read.ImagePositionPatient]
        for read in map(dcmread, files)
    }
    frames = dcmread(seg).PerFrameFunctionalGroupsSequence
    assert len(frames) > 10
    for frame in frames:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        assert [float(mm) for mm in place] == pytest.approx(at[source], abs=1e-3)


def test_it_belongs_to_the_study_and_says_what_made_it(oblique, tmp_path):
    exam = Exam()
    files = write_classic(tmp_path / "in", oblique, TAGS, exam=exam)
    labels, grid = ras(oblique)
    seg = tmp_path / "seg.dcm"
    write_segmentation(seg, labels, grid, files, [lesion(1), lesion(2)], software_version="3.2")
    read = hd.seg.segread(seg)
    assert (read.StudyInstanceUID, read.FrameOfReferenceUID) == (
        exam.study,
        exam.frame_of_reference,
    )
    assert (read.PatientID, read.Modality, read.SegmentsOverlap) == (exam.patient, "SEG", "NO")
    assert read.segment_numbers == [1, 2]
    first = read.get_segment_description(1)
    assert first.segment_label == "Lesion 1"
    assert first.SegmentDescription == "0.50 ml, p = 0.01"
    assert first.algorithm_type is hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC
    assert first.algorithm_identification[0].AlgorithmVersion == "3.2"
    assert first.segmented_property_type.meaning == "Lesion"


def test_nothing_found_is_a_segmentation_that_says_so(oblique, tmp_path):
    files = write_classic(tmp_path / "in", oblique, TAGS, exam=Exam())
    labels, grid = ras(oblique)
    seg = tmp_path / "seg.dcm"
    write_segmentation(seg, np.zeros_like(labels), grid, files, [], software_version="1")
    read = hd.seg.segread(seg)
    assert read.get_segment_description(1).segment_label == NONE_FOUND
    assert read.NumberOfFrames == len(files)
    assert not read.pixel_array.any()


def test_an_anonymised_source_without_identity_will_do(oblique, tmp_path):
    files = write_classic(tmp_path / "in", oblique, TAGS, exam=Exam())
    for file in files:
        read = dcmread(file)
        for name in ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyID"):
            del read[name]
        read.save_as(file)
    labels, grid = ras(oblique)
    seg = tmp_path / "seg.dcm"
    write_segmentation(seg, labels, grid, files, [lesion(1), lesion(2)], software_version="1")
    assert read_back(seg) == placed(labels, grid.affine)


def test_directions_that_differ_by_rounding_are_one_direction(oblique, tmp_path):
    files = write_classic(tmp_path / "in", oblique, TAGS, exam=Exam())
    read = dcmread(files[3])
    read.ImageOrientationPatient = [f"{float(x):.5f}" for x in read.ImageOrientationPatient]
    read.save_as(files[3])
    labels, grid = ras(oblique)
    seg = tmp_path / "seg.dcm"
    write_segmentation(seg, labels, grid, files, [lesion(1), lesion(2)], software_version="1")
    assert read_back(seg) == placed(labels, grid.affine)


def test_frames_that_each_repeat_their_direction_will_do(oblique, tmp_path):
    """Philips writes orientation and spacing to every frame."""
    file = write_enhanced(tmp_path / "in/a", oblique, TAGS, exam=Exam())
    read = dcmread(file)
    shared = read.SharedFunctionalGroupsSequence[0]
    for name in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        for frame in read.PerFrameFunctionalGroupsSequence:
            frame[name] = shared[name]
        del shared[name]
    read.save_as(file)
    labels, grid = ras(oblique)
    seg = tmp_path / "seg.dcm"
    write_segmentation(seg, labels, grid, [file], [lesion(1), lesion(2)], software_version="1")
    assert read_back(seg) == placed(labels, grid.affine)


def test_labels_elsewhere_than_the_series_are_refused(oblique, tmp_path):
    files = write_classic(tmp_path / "in", oblique, TAGS, exam=Exam())
    labels, grid = ras(oblique)
    moved = Grid(shape=grid.shape, affine=grid.affine + 0.4 * np.eye(4, k=3))  # x + 0.4 mm
    both = [lesion(1), lesion(2)]
    with pytest.raises(Refused, match="does not lie on the grid"):
        write_segmentation(tmp_path / "a", labels, moved, files, both, software_version="1")
    with pytest.raises(Refused, match="outside the slices"):
        write_segmentation(tmp_path / "a", labels, grid, files[1:], both, software_version="1")
    assert not (tmp_path / "a").exists()


def test_lesions_are_numbered_from_one(oblique, tmp_path):
    labels, grid = ras(oblique)
    with pytest.raises(ValueError, match="not from 1"):
        write_segmentation(tmp_path / "a", labels, grid, [], [lesion(2)], software_version="1")


def test_a_source_that_highdicom_cannot_refer_to_is_refused(oblique, tmp_path):
    files = write_classic(tmp_path / "in", oblique, TAGS, exam=Exam())
    for file in files:
        read = dcmread(file)
        del read["StudyInstanceUID"]
        read.save_as(file)
    labels, grid = ras(oblique)
    both = [lesion(1), lesion(2)]
    with pytest.raises(Refused, match="no segmentation can refer to this series"):
        write_segmentation(tmp_path / "a", labels, grid, files, both, software_version="1")


def test_a_source_without_frame_of_reference_is_refused(oblique, tmp_path):
    files = write_classic(tmp_path / "in", oblique, TAGS, exam=Exam(frame_of_reference=""))
    labels, grid = ras(oblique)
    with pytest.raises(Refused, match="no frame of reference"):
        write_segmentation(
            tmp_path / "a", labels, grid, files, [lesion(1), lesion(2)], software_version="1"
        )
