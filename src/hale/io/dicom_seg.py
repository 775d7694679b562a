"""Lesions as DICOM SEG, referring to the slices that they were found in.

One BINARY segment for each lesion, none overlapping. Viewers list and switch segments by name, and
those that keep one label a voxel show overlaps wrongly, so there is no segment of the whole beside
them; the newer Label Map Segmentation is read by few. Frames without a voxel are left out. Where no
lesion was found, one segment says so, with an empty frame for each slice: a segmentation must have
a segment, and an archive without the object cannot tell "none found" from "never run".

C. Bridge et al., "Highdicom: a Python library for standardized encoding of image annotations and
machine learning model outputs in pathology and radiology", J Digit Imaging 2022;35:1719
(doi:10.1007/s10278-022-00683-y).
"""

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hale.core.detection import Lesion
from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.types import Labels
from hale.io.dicom_files import tolerant
from hale.io.dicom_headers import Frame, read_header
from hale.io.dicom_series import ASTRAY

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset

NONE_FOUND = "No lesion found"
SERIES_NUMBER = 900
"""Of the segmentation, out of the way of the scanner's numbers."""
IDENTITY = "PatientID PatientName PatientBirthDate PatientSex AccessionNumber StudyID StudyDate"
"""What the standard demands of every object, empty where unknown; anonymised files lack some."""


def write_segmentation(
    path: Path,
    labels: Labels,
    grid: Grid,
    source_files: Sequence[Path],
    lesions: Sequence[Lesion],
    *,
    software_version: str,
) -> None:
    """Write numbered lesions as DICOM SEG into the study that they were found in.

    The object holds the patient's name and identity, as its study does. Planes of ``labels`` are
    matched to slices by their place; the order of ``source_files`` and of frames does not matter.

    Args:
        path: Of the file to write.
        labels: Lesions, numbered from 1 as ``lesions`` are, RAS+ or in any other order of axes.
        grid: Where they are: the grid of the source series.
        source_files: All files of the series, ``Series.files``.
        lesions: What to say of each label.
        software_version: Of the detector.

    Raises:
        Refused: The labels do not lie on the slices of the series, or the source lacks what a
            segmentation must refer to.
    """
    from highdicom import UID
    from highdicom.seg import Segmentation, SegmentationTypeValues

    if [lesion.label for lesion in lesions] != [*range(1, len(lesions) + 1)]:
        msg = f"lesions are numbered {[lesion.label for lesion in lesions]}, not from 1"
        raise ValueError(msg)
    sources = _sources(source_files)
    planes = _planes(labels, grid, _slices(source_files), path)
    try:
        with tolerant():
            segmentation = Segmentation(
                source_images=sources,
                pixel_array=planes,
                segmentation_type=SegmentationTypeValues.BINARY,
                segment_descriptions=_segments(lesions, software_version),
                series_instance_uid=UID(),
                series_number=SERIES_NUMBER,
                sop_instance_uid=UID(),
                instance_number=1,
                manufacturer="hale",
                manufacturer_model_name="hale",
                software_versions=software_version,
                device_serial_number="none",
                content_label="LESIONS",
                content_description="Research use only, not for diagnosis",
                omit_empty_frames=bool(planes.any()),
                series_description=f"hale lesion candidates ({len(lesions)})",
            )
            segmentation.save_as(path)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # of odd source headers
        why = f"no segmentation can refer to this series ({error})"
        raise Refused(str(source_files[0]), why, "use the NIfTI mask") from error


def _segments(lesions: Sequence[Lesion], version: str) -> "list[SegmentDescription]":
    """Return a description for each lesion, or the one that says that there is none."""
    if not lesions:
        return [_segment(1, NONE_FOUND, "", version)]
    return [
        _segment(
            lesion.label,
            f"Lesion {lesion.label}",
            f"{lesion.volume_ml:.2f} ml" + ("" if isnan(lesion.p) else f", p = {lesion.p:.3g}"),
            version,
        )
        for lesion in lesions
    ]


def _segment(number: int, label: str, text: str, version: str) -> "SegmentDescription":
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    algorithm = AlgorithmIdentificationSequence(
        name="hale", version=version, family=codes.DCM.ArtificialIntelligence
    )
    segment = SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        anatomic_regions=[codes.SCT.Brain],
    )
    if text:
        segment.SegmentDescription = text
    return segment


def _sources(files: Sequence[Path]) -> "list[Dataset]":
    """Return the source images without pixels, with what highdicom needs of them.

    Raises:
        Refused: They name no frame of reference, within which places would mean anything.
    """
    from pydicom import dcmread

    sources: list[Dataset] = [dcmread(file, stop_before_pixels=True, force=True) for file in files]
    first = sources[0]
    if not first.get("FrameOfReferenceUID"):
        why = "names no frame of reference, to which a segmentation must refer"
        raise Refused(str(files[0]), why, "use the NIfTI mask")
    for name in [*IDENTITY.split(), "StudyTime"]:
        if name not in first:
            setattr(first, name, None)
    for source in sources:  # parallel to rounding, which highdicom takes for another direction
        if "ImageOrientationPatient" in source:
            source.ImageOrientationPatient = first.ImageOrientationPatient
    for groups in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        _share(first, groups)
    return sources


def _share(source: "Dataset", groups: str) -> None:
    """Move functional groups that every frame repeats to the shared ones."""
    for shared in source.get("SharedFunctionalGroupsSequence") or ():
        own = source.PerFrameFunctionalGroupsSequence
        if groups not in shared and groups in own[0]:
            shared[groups] = own[0][groups]


def _slices(files: Sequence[Path]) -> list[Frame]:
    """Return the slices of the source, in the order in which highdicom sees them."""
    headers = [header for file in files if (header := read_header(file)) is not None]
    return [frame for header in headers for frame in header.frames]


def _planes(labels: Labels, grid: Grid, slices: Sequence[Frame], path: Path) -> Any:
    """Return the labels of each slice: ``(slice, row, column)``, unsigned.

    Raises:
        Refused: A slice does not lie on the grid, or a lesion on no slice.
    """
    planes = np.stack([_plane(labels, grid, one) for one in slices])
    if np.count_nonzero(planes) != np.count_nonzero(labels):
        why = "lesions lie outside the slices of the source series, or slices lie twice"
        raise Refused(str(path), why, "use the NIfTI mask")
    return planes.astype(np.uint8 if labels.max(initial=0) < 256 else np.uint16)


def _plane(labels: Labels, grid: Grid, one: Frame) -> np.ndarray:
    """Return the labels at the pixels of a slice, ``(row, column)``.

    Raises:
        Refused: They do not lie on voxels of the grid, or the slice says not where it lies.
    """
    if one.affine is None:
        raise Refused(str(one.path), "does not say where its slice lies", "use the NIfTI mask")
    rows, columns = one.shape
    across, down, _, start = (np.linalg.inv(grid.affine) @ one.affine)[:3].T
    exact = (
        start[:, None, None]
        + down[:, None, None] * np.arange(rows)[:, None]
        + across[:, None, None] * np.arange(columns)
    )
    index = np.rint(exact).astype(int)
    size = np.array(labels.shape)[:, None, None]
    if np.abs(exact - index).max() > ASTRAY or (index < 0).any() or (index >= size).any():
        remedy = "use the NIfTI mask"
        raise Refused(str(one.path), "does not lie on the grid of the lesions", remedy)
    plane: np.ndarray = labels[tuple(index)]
    return plane
