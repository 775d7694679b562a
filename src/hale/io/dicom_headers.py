"""What a DICOM file says of itself, frame by frame, without its pixels."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hale.core.errors import Refused
from hale.core.types import Affine
from hale.io.dicom_files import read_tags

if TYPE_CHECKING:
    from pydicom import Dataset

DIRECTORY = "1.2.840.10008.1.3.10"
"""SOP class of a DICOMDIR."""
DENIED = ("no", "none", "n", "0", "without", "nein", "no contrast")
"""What is typed as the contrast agent where there was none."""
TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "PatientID",
    "SeriesDescription",
    "ProtocolName",
    "Modality",
    "ImageType",
    "ComplexImageComponent",
    "Rows",
    "Columns",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "ScanningSequence",
    "EchoPulseSequence",
    "EchoTime",
    "RepetitionTime",
    "InversionTime",
    "AcquisitionContrast",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "AngioFlag",
    "DiffusionBValue",
    "ConversionType",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """What a header says of how the image came about. Times are ms."""

    description: str = ""
    protocol: str = ""
    modality: str = "MR"
    image_type: tuple[str, ...] = ()
    sequence: tuple[str, ...] = ()
    """Of ``SE``, ``GR``, ``IR``, ``EP``, ``RM``."""
    echo_ms: float | None = None
    repetition_ms: float | None = None
    inversion_ms: float | None = None
    purpose: str = ""
    """Acquisition Contrast of an enhanced object: ``T1``, ``FLUID_ATTENUATED``, ``DIFFUSION``..."""
    agent: str = ""
    """Contrast agent, as typed at the scanner."""
    angiography: bool = False
    diffusion: bool = False
    colour: bool = False
    captured: bool = False
    """A picture of a screen or of film."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One slice. Positions are mm in patient space, LPS+."""

    path: Path
    index: int | None
    """Which frame of a multi-frame file, from 0; None for a file of one slice."""
    instance: str
    shape: tuple[int, int]
    """Rows, columns."""
    position: tuple[float, ...] | None
    """Of the first pixel's centre: x, y, z."""
    orientation: tuple[float, ...] | None
    """Directions of growing column and of growing row index, three cosines each."""
    spacing: tuple[float, ...] | None
    """mm between rows, between columns."""
    acquisition: Acquisition

    @property
    def affine(self) -> Affine | None:
        """Return column, row, mm across the slice to mm RAS+; None where the header says no place.

        The one step from DICOM's LPS+ to RAS+.
        """
        if self.position is None or self.orientation is None or self.spacing is None:
            return None
        across, down = np.reshape(self.orientation, (2, 3))
        columns = (across * self.spacing[1], down * self.spacing[0], np.cross(across, down))
        lps = np.eye(4)
        lps[:3] = np.column_stack([*columns, self.position])
        ras: Affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps
        return ras


@dataclass(frozen=True, kw_only=True)
class Header:
    """One file."""

    series: str
    study: str
    patient: str
    number: int
    frames: tuple[Frame, ...]


def read_header(path: Path) -> Header | None:
    """Return what a DICOM file says; None if it holds no image (a directory, report or state).

    Raises:
        Refused: It is damaged.
    """
    read = read_tags(path, TAGS)
    if str(read.get("SOPClassUID", "")) == DIRECTORY:
        return None
    if "SeriesInstanceUID" not in read:
        why = "is a DICOM file cut off in its header"
        raise Refused(str(path), why, "copy it again, or remove it")
    if not read.get("Rows") or not read.get("Columns"):
        if str(read.get("Modality", "")) in ("MR", "CT") and "ImagePositionPatient" in read:
            why = "is a DICOM image without its size"
            raise Refused(str(path), why, "copy it again, or remove it")
        return None
    return Header(
        series=str(read.SeriesInstanceUID),
        study=str(read.get("StudyInstanceUID", "")),
        patient=str(read.get("PatientID") or ""),
        number=int(_number(read.get("SeriesNumber")) or 0),
        frames=tuple(_frames(path, read)),
    )


def _frames(path: Path, read: "Dataset") -> Iterator[Frame]:
    """Yield the slices of a file, each with what its functional groups say."""
    shared = next(iter(read.get("SharedFunctionalGroupsSequence") or ()), None)
    own = list(read.get("PerFrameFunctionalGroupsSequence") or ())
    for index, groups in enumerate(own or [None]):
        layers = [g for g in (groups, shared) if g is not None]
        yield Frame(
            path=path,
            index=index if own else None,
            instance=str(read.get("SOPInstanceUID", path)),
            shape=(int(read.Rows), int(read.Columns)),
            position=_numbers(
                _found(read, layers, "PlanePositionSequence", "ImagePositionPatient"), 3
            ),
            orientation=_numbers(
                _found(read, layers, "PlaneOrientationSequence", "ImageOrientationPatient"), 6
            ),
            spacing=_numbers(_found(read, layers, "PixelMeasuresSequence", "PixelSpacing"), 2),
            acquisition=_acquisition(read, layers),
        )


def _acquisition(read: "Dataset", layers: list["Dataset"]) -> Acquisition:
    kind = "MRImageFrameTypeSequence"
    timing = "MRTimingAndRelatedParametersSequence"
    echo = _found(read, layers, "MREchoSequence", "EffectiveEchoTime", "EchoTime")
    inversion = _found(read, layers, "MRModifierSequence", "InversionTimes", "InversionTime")
    image_type = _words(_found(read, layers, kind, "FrameType", "ImageType"))
    component = _words(_found(read, layers, kind, "ComplexImageComponent"))
    photometric = str(read.get("PhotometricInterpretation", "MONOCHROME2"))
    weighting = _number(_found(read, layers, "MRDiffusionSequence", "DiffusionBValue"))
    return Acquisition(
        description=str(read.get("SeriesDescription") or ""),
        protocol=str(read.get("ProtocolName") or ""),
        modality=str(read.get("Modality") or ""),
        image_type=image_type + tuple(c for c in component if c in ("PHASE", "REAL", "IMAGINARY")),
        sequence=_sequence(read),
        echo_ms=_number(echo),
        repetition_ms=_number(_found(read, layers, timing, "RepetitionTime")),
        inversion_ms=_number(inversion),
        purpose=" ".join(_words(_found(read, layers, kind, "AcquisitionContrast"))),
        agent=_agent(read),
        angiography=str(read.get("AngioFlag", "")) == "Y",
        diffusion=bool(weighting),
        colour=not photometric.startswith("MONOCHROME"),
        captured="ConversionType" in read,
    )


def _sequence(read: "Dataset") -> tuple[str, ...]:
    """Return the scanning sequence in the words of the classic object."""
    classic = {"SPIN": ("SE",), "GRADIENT": ("GR",), "BOTH": ("SE", "GR")}
    return _words(read.get("ScanningSequence")) or classic.get(
        str(read.get("EchoPulseSequence", "")), ()
    )


def _agent(read: "Dataset") -> str:
    """Return the contrast agent, classic or enhanced; empty where the header denies one."""
    said = str(read.get("ContrastBolusAgent") or "").strip()
    if not said:
        for item in read.get("ContrastBolusAgentSequence") or ():
            said = said or str(item.get("CodeMeaning", "")) or "unnamed"
    return "" if said.lower() in DENIED else said


def _found(read: "Dataset", layers: list["Dataset"], sequence: str, *names: str) -> Any:
    """Return the first that says it: the frame's group, the shared group, the file itself."""
    for layer in layers:
        for item in layer.get(sequence) or ():
            for name in names:
                if (value := item.get(name)) not in (None, ""):
                    return value
    return next((read.get(name) for name in names if read.get(name) not in (None, "")), None)


def _words(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (str(value),) if isinstance(value, str) else tuple(str(part) for part in value)


def _number(value: Any) -> float | None:
    """Return the first number of a value, None if it holds none."""
    several = hasattr(value, "__iter__") and not isinstance(value, str)
    first = next(iter(value), None) if several else value
    try:
        return None if first is None else float(first)
    except (TypeError, ValueError):
        return None


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """Return ``count`` finite numbers, None if the value holds anything else."""
    try:
        numbers = () if isinstance(value, str) else tuple(float(part) for part in value)
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None
