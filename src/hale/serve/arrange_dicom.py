"""DICOM files that were brought, an exam for each study, without the people in it."""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hale.core.errors import Refused
from hale.io.dicom_files import read_tags
from hale.io.dicom_series import find_series
from hale.serve.identity import without_people
from hale.serve.inspect import check_dicom, check_slices
from hale.serve.kinds import Exam, Kind
from hale.serve.station import Station
from hale.serve.uploads import Arrived

if TYPE_CHECKING:
    from pydicom import Dataset

WHO = ["StudyInstanceUID", "PatientID"]
IMAGE = ("Rows", "Columns")
"""What a file of an image says, and no directory or report."""


def images_of(files: Sequence[Arrived]) -> list[Arrived]:
    """Return the files that hold images: no directory of a disk, no report of a dose.

    Args:
        files: Of `looks_like_dicom`.

    Raises:
        Refused: A file is damaged.
    """
    images = []
    for file in files:
        check_dicom(file.path)
        read = _read(file.path)
        if all(name in read for name in IMAGE):
            images.append(file)
    return images


def dicom_exams(
    upload: Path, files: Sequence[Arrived], station: Station, numbers: Iterator[int]
) -> list[Exam]:
    """Put the files of each study into a folder, numbered, and return the exams.

    Args:
        upload: Where to.
        files: Of `images_of`.
        station: Says whether names are kept.
        numbers: Of exams.

    Raises:
        Refused: A file is damaged, or a study is of several patients.
    """
    studies: dict[str, list[Arrived]] = {}
    for file in files:
        study = str(_read(file.path).get("StudyInstanceUID", ""))
        studies.setdefault(study, []).append(file)
    return [
        _exam(upload, study, kept, station, str(next(numbers))) for study, kept in studies.items()
    ]


def _exam(
    upload: Path, study: str, files: Sequence[Arrived], station: Station, number: str
) -> Exam:
    folder = upload / f"exam-{number}" / "dicom"
    folder.mkdir(parents=True)
    salt = secrets.token_hex(16)
    for n, file in enumerate(files):
        place = folder / f"{n:06d}.dcm"
        if station.keep_identifiers:
            place.write_bytes(file.path.read_bytes())
        else:
            without_people(file.path, place, salt=salt)
    content = hashlib.sha256(study.encode()).hexdigest()
    exam = Exam(
        id=number,
        name=station.named(_patient(files[0].path), content),
        kind=Kind.DICOM,
        files={"": folder.relative_to(upload).as_posix()},
    )
    return described(exam, folder)


def described(exam: Exam, folder: Path) -> Exam:
    """Return an exam with the contrasts and series that its DICOM files hold.

    Raises:
        Refused: They are damaged, of several patients, or claim more than a scan.
    """
    try:
        series = find_series(folder)
    except Refused as error:
        raise Refused("the DICOM files", error.why, error.remedy) from None
    for one in series:
        check_slices(*one.shape, one.count)
    good = [str(one.contrast) for one in series if one.contrast and not one.problems]
    notes = [
        f"series {one}: {one.contrast or 'no contrast'}, {one.count} slices"
        + (f"; {'; '.join(one.problems)}" if one.problems else "")
        for one in series
    ]
    return replace(exam, contrasts=tuple(dict.fromkeys(good)), notes=tuple(notes))


def _patient(path: Path) -> str:
    """Return the patient's number, which names results where identifiers are kept."""
    text = str(_read(path).get("PatientID") or "exam")
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in text)


def _read(path: Path) -> "Dataset":
    try:
        return read_tags(path, [*WHO, *IMAGE])
    except Refused as error:
        raise Refused("a DICOM file", error.why, error.remedy) from None
