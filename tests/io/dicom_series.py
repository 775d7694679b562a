"""DICOM series made from real scans: what a scanner, a PACS and a careless export write."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

NAME, PATIENT, BORN = "Doe^Jane", "HOSP-4711", "19500102"
TO_LPS = np.diag([-1.0, -1, 1, 1])
FLAIR_TIMES = {
    "ScanningSequence": ["SE", "IR"],
    "RepetitionTime": 9000.0,
    "EchoTime": 120.0,
    "InversionTime": 2500.0,
}
T1_TIMES = {"ScanningSequence": ["SE"], "RepetitionTime": 550.0, "EchoTime": 12.0}


@dataclass(frozen=True, kw_only=True, eq=False)
class Stack:
    """Voxels (i along a row, j along a column, k across slices) and where they are, RAS+ mm."""

    values: np.ndarray
    affine: np.ndarray

    def turned(self, order: str) -> "Stack":
        """The same voxels with the axes stored otherwise: ASL is sagittal, slices to the left."""
        image = nib.Nifti1Image(self.values, self.affine)
        goal = nib.orientations.axcodes2ornt(order)
        image = image.as_reoriented(
            nib.orientations.ornt_transform(nib.io_orientation(self.affine), goal)
        )
        return Stack(values=np.asarray(image.dataobj), affine=image.affine)


def crop(path: Path, start: tuple[int, ...], shape: tuple[int, ...]) -> Stack:
    """A block of a real scan, as 16-bit integers in its place."""
    image = nib.load(path).slicer[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))]
    values = np.asarray(image.dataobj)
    return Stack(values=np.clip(values, 0, 4000).astype(np.int16), affine=image.affine)


@dataclass(frozen=True, kw_only=True)
class Exam:
    """Who and when: what every series of an exam shares."""

    study: str = field(default_factory=generate_uid)
    frame_of_reference: str = field(default_factory=generate_uid)
    patient: str = PATIENT


def write_classic(
    folder: Path,
    stack: Stack,
    tags: dict[str, Any],
    *,
    exam: Exam,
    leave_out: Iterable[int] = (),
    shuffle: int | None = None,
    compress: str | None = None,
) -> list[Path]:
    """One file a slice; the k-th path returned is slice k, whatever its name and number."""
    folder.mkdir(parents=True, exist_ok=True)
    count = stack.values.shape[2]
    numbers = np.arange(count)
    if shuffle is not None:
        numbers = np.random.default_rng(shuffle).permutation(count)
    shared = {"SeriesInstanceUID": generate_uid(), **tags}
    paths = []
    for k in range(count):
        slice_ = _dataset(exam, MRImageStorage, shared)
        _put_pixels(slice_, stack.values[:, :, k].T)
        row, column, spacing = _plane(stack.affine)
        slice_.ImageOrientationPatient = _ds([*row, *column])
        slice_.PixelSpacing = _ds(spacing)
        slice_.ImagePositionPatient = _ds(_position(stack.affine, k))
        slice_.SliceThickness = _ds([np.linalg.norm(stack.affine[:3, 2])])[0]
        slice_.InstanceNumber = int(numbers[k]) + 1
        if compress is not None:
            slice_.compress(compress, encoding_plugin="")
        paths.append(folder / f"{shared.get('SeriesNumber', 0)}_{numbers[k]:03d}")
        if k not in leave_out:
            slice_.save_as(paths[-1], enforce_file_format=True)
    return paths


def write_enhanced(
    path: Path, stack: Stack, tags: dict[str, Any], *, exam: Exam, shuffle: int | None = None
) -> Path:
    """One file with a frame a slice; times and places sit in the functional groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tags = {"SeriesInstanceUID": generate_uid(), **tags}
    times = {name: tags.pop(name, None) for name in ("RepetitionTime", "EchoTime", "InversionTime")}
    kind = "GRADIENT" if "GR" in tags.pop("ScanningSequence", ["SE"]) else "SPIN"
    order = np.arange(stack.values.shape[2])
    if shuffle is not None:
        order = np.random.default_rng(shuffle).permutation(order)
    file = _dataset(exam, EnhancedMRImageStorage, tags)
    file.EchoPulseSequence = kind
    _put_pixels(file, stack.values.transpose(2, 1, 0)[order])
    file.NumberOfFrames = len(order)
    row, column, spacing = _plane(stack.affine)
    thickness = float(np.linalg.norm(stack.affine[:3, 2]))
    shared = Dataset()
    shared.PlaneOrientationSequence = [item(ImageOrientationPatient=_ds([*row, *column]))]
    measures = {"PixelSpacing": _ds(spacing), "SliceThickness": thickness}
    shared.PixelMeasuresSequence = [item(**measures, SpacingBetweenSlices=thickness)]
    shared.MREchoSequence = [item(EffectiveEchoTime=times["EchoTime"])]
    shared.MRTimingAndRelatedParametersSequence = [item(RepetitionTime=times["RepetitionTime"])]
    if times["InversionTime"]:
        inversion = item(InversionRecovery="YES", InversionTimes=times["InversionTime"])
        shared.MRModifierSequence = [inversion]
    value = item(RescaleSlope="1", RescaleIntercept="0", RescaleType="US")
    shared.PixelValueTransformationSequence = [value]
    file.SharedFunctionalGroupsSequence = [shared]
    file.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=_ds(_position(stack.affine, k)))],
            FrameContentSequence=[
                item(StackID="1", InStackPositionNumber=n + 1, DimensionIndexValues=[1, n + 1])
            ],
        )
        for n, k in enumerate(order)
    ]
    file.save_as(path, enforce_file_format=True)
    return path


def write_localiser(folder: Path, stack: Stack, *, exam: Exam, number: int) -> None:
    """Three planes of one slice each through the middle, in one series."""
    shared = {"SeriesInstanceUID": generate_uid(), "SeriesNumber": number}
    tags = {**shared, "SeriesDescription": "3-plane survey", **T1_TIMES, "ScanningSequence": "GR"}
    size = min(stack.values.shape)
    for name, order in (("axial", "LPS"), ("sagittal", "PIL"), ("coronal", "LIA")):
        turned = stack.turned(order)
        middle = Stack(
            values=np.ascontiguousarray(turned.values[:size, :size, size // 2 :][:, :, :1]),
            affine=turned.affine,
        )
        write_classic(folder / name, middle, tags, exam=exam)


def ct(tags: dict[str, Any]) -> dict[str, Any]:
    """The tags of a CT series: Hounsfield units are stored with 1024 added."""
    stored = {"RescaleSlope": "1", "RescaleIntercept": "-1024"}
    return {**tags, "Modality": "CT", "SOPClassUID": CTImageStorage, "KVP": "120", **stored}


def _dataset(exam: Exam, sop_class: str, tags: dict[str, Any]) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.MediaStorageSOPClassUID = tags.get("SOPClassUID", sop_class)
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID = meta.MediaStorageSOPClassUID
    file.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    file.StudyInstanceUID, file.FrameOfReferenceUID = exam.study, exam.frame_of_reference
    file.PatientName, file.PatientID, file.PatientBirthDate = NAME, exam.patient, BORN
    file.PatientSex, file.AccessionNumber, file.StudyID = "F", "A1", "1"
    file.StudyDate, file.StudyTime, file.AcquisitionTime = "20240501", "101500", "101500"
    file.ReferringPhysicianName = "House^Gregory"
    file.Modality, file.Manufacturer, file.MagneticFieldStrength = "MR", "Acme", 1.5
    file.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    file.MRAcquisitionType, file.PatientPosition = "2D", "HFS"
    for name, value in tags.items():
        setattr(file, name, value)
    return file


def _put_pixels(file: Dataset, values: np.ndarray) -> None:
    file.Rows, file.Columns = values.shape[-2:]
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 16, 15
    file.PixelRepresentation = 1
    file.PixelData = np.ascontiguousarray(values, "<i2").tobytes()
    file["PixelData"].VR = "OW"


def _plane(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Directions along a row and down a column (LPS), and the spacing between rows, columns."""
    lps = TO_LPS @ affine
    across, down = np.linalg.norm(lps[:3, 0]), np.linalg.norm(lps[:3, 1])
    return lps[:3, 0] / across, lps[:3, 1] / down, [float(down), float(across)]


def _position(affine: np.ndarray, k: int) -> np.ndarray:
    return (TO_LPS @ affine @ (0, 0, k, 1))[:3]


def item(**tags: Any) -> Dataset:
    item = Dataset()
    for name, value in tags.items():
        setattr(item, name, value)
    return item


def _ds(values: Iterable[float]) -> list[str]:
    """Decimal strings of at most 16 characters, as the standard wants them."""
    return [f"{value:.10f}"[:16] for value in values]
