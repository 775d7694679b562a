"""What was sent, sorted into exams, under names of our own."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path, PurePosixPath

from hale.core.errors import Refused
from hale.data.names import exam_of, without_contrast
from hale.io.contrast import contrast_of_file, is_derived
from hale.io.dicom_files import looks_like_dicom
from hale.io.nifti import file_hash, stem
from hale.io.picture import is_picture, picture_shape
from hale.serve.archives import UNPACKED, is_archive, unpack
from hale.serve.arrange_dicom import dicom_exams, images_of
from hale.serve.inspect import check_nifti
from hale.serve.kinds import UNKNOWN, Exam, Kind, write_exams
from hale.serve.station import Station
from hale.serve.uploads import Arrived

NIFTI = (".nii.gz", ".nii")
LARGEST_SIDE = 8192
SIDECAR = 2**20
"""Bytes of a side-car that are read."""
TOLD = (
    "SeriesDescription ProtocolName Modality ImageType ScanningSequence EchoTime RepetitionTime"
    " InversionTime ContrastBolusAgent ContrastBolusIngredient Manufacturer"
    " ManufacturersModelName MagneticFieldStrength"
)
"""Keys of a side-car that are kept: none names a person."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A NIfTI file or picture, and what its name says."""

    arrived: Arrived
    suffix: str
    folder: str
    """Within what was sent."""
    exam: str
    """Empty if its name says nothing but a contrast."""
    contrast: str
    """`UNKNOWN` if nothing says it."""
    sidecar: Arrived | None = None


def arrange(upload: Path, arrived: Sequence[Arrived], station: Station) -> list[Exam]:
    """Sort what was sent into exams, and write their list.

    Args:
        upload: The folder; ``incoming`` within it goes.
        arrived: The files.
        station: Says how much an archive may become, and what names are shown.

    Raises:
        Refused: There is no scan among them, or one that is not what its name says.
    """
    try:
        files = list(_unpacked(upload, arrived, station))
        numbers = count(1)
        dicom = [file for file in files if _is_dicom(file)]
        images = images_of(dicom)
        exams = dicom_exams(upload, images, station, numbers)
        apart = set(dicom)
        rest = [file for file in files if file not in apart]
        for group in _groups(_sent(rest)):
            exams.append(_exam(upload, group, station, str(next(numbers))))
        if not exams:
            remedy = "send NIfTI (.nii, .nii.gz), DICOM, a ZIP of these, or a slice as .npy or PNG"
            raise Refused("the upload", "holds no scan", remedy)
        left = len(files) - len(images)
        left -= sum(len(exam.files) for exam in exams if exam.kind is not Kind.DICOM)
        if left:
            note = f"{left} files passed over: they are no scans"
            exams[0] = replace(exams[0], notes=(*exams[0].notes, note))
        write_exams(upload, exams)
    except BaseException:
        shutil.rmtree(upload, ignore_errors=True)
        raise
    shutil.rmtree(upload / "incoming", ignore_errors=True)
    return exams


def _unpacked(upload: Path, arrived: Sequence[Arrived], station: Station) -> list[Arrived]:
    """Return the files that were sent, and those of archives in their place."""
    files: list[Arrived] = []
    for number, file in enumerate(arrived):
        if not is_archive(file.path):
            files.append(file)
            continue
        into = upload / "incoming" / f"archive-{number}"
        into.mkdir()
        files += unpack(file, into, most_bytes=UNPACKED * station.max_upload)
        file.path.unlink()
    return [file for file in files if not _is_hidden(file)]


def _is_hidden(file: Arrived) -> bool:
    parts = PurePosixPath(file.name.replace("\\", "/")).parts
    return any(part.startswith((".", "__MACOSX")) and part != ".." for part in parts)


def _is_dicom(file: Arrived) -> bool:
    name = file.name.lower()
    return not name.endswith((*NIFTI, ".npy", ".png", ".json")) and looks_like_dicom(file.path)


def _sent(files: Sequence[Arrived]) -> list[Sent]:
    """Return the NIfTI files and pictures, with the side-cars that lie beside them."""
    sidecars = {_stem(file.name): file for file in files if file.name.lower().endswith(".json")}
    sent = []
    for file in files:
        suffix = next((s for s in (*NIFTI, ".npy", ".png") if file.name.lower().endswith(s)), None)
        if suffix is None or is_derived(Path(file.name)):
            continue
        place = _place(file.name)
        told = contrast_of_file(Path("/nowhere") / place.name)
        sent.append(
            Sent(
                arrived=file,
                suffix=suffix,
                folder=place.parent.as_posix(),
                exam=place.name if told.contrast is None else _exam_of(place),
                contrast=UNKNOWN if told.contrast is None else str(told.contrast),
                sidecar=sidecars.get(_stem(file.name)),
            )
        )
    return sent


def _place(name: str) -> PurePosixPath:
    """Return where a file lay in what was sent, from its root."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return PurePosixPath("/", *(part for part in parts if part not in ("/", "..")))


def _exam_of(place: PurePosixPath) -> str:
    """Return the exam that a name and its folders say; empty if they say a contrast alone."""
    exam = exam_of(Path(place))
    return "" if exam == stem(Path(place)) and not without_contrast(exam) else exam


def _stem(name: str) -> str:
    lower = name.lower()
    suffix = next((s for s in (*NIFTI, ".json", ".npy", ".png") if lower.endswith(s)), "")
    return name[: len(name) - len(suffix)]


def _groups(sent: Sequence[Sent]) -> list[list[Sent]]:
    """Return the files of each exam: of one folder, with names that differ in a contrast alone.

    Two files of a contrast, and those of none, stay alone.
    """
    groups: dict[tuple[str, ...], list[Sent]] = {}
    for file in sent:
        key: tuple[str, ...] = (file.folder, file.exam)
        there = {other.contrast for other in groups.get(key, ())}
        if file.contrast == UNKNOWN or file.contrast in there:
            key = (*key, str(file.arrived.path))
        groups.setdefault(key, []).append(file)
    return list(groups.values())


def _exam(upload: Path, group: Sequence[Sent], station: Station, number: str) -> Exam:
    """Check the files of an exam and put them into its folder."""
    folder = upload / f"exam-{number}"
    folder.mkdir()
    files, called, notes = {}, {}, []
    for file in group:
        _check(file)
        stem = "scan" if file.contrast == UNKNOWN else file.contrast
        place = folder / f"{stem}{file.suffix}"
        file.arrived.path.replace(place)
        contrast = file.contrast
        if file.sidecar is not None:
            _keep_sidecar(file.sidecar, folder / f"{stem}.json")
            told = contrast_of_file(place).contrast
            contrast = str(told) if contrast == UNKNOWN and told is not None else contrast
        files[contrast] = place.relative_to(upload).as_posix()
        own = PurePosixPath(file.arrived.name.replace("\\", "/")).name
        called[contrast] = own if station.shows(own) else place.name
        if contrast == UNKNOWN:
            notes.append("neither name nor side-car says its contrast: choose it")
    first = upload / next(iter(files.values()))
    exam = group[0].exam or "exam"
    name = exam if group[0].contrast != UNKNOWN else _stem(exam)
    return Exam(
        id=number,
        name=station.named(name, file_hash(first)),
        kind=Kind.PICTURE if is_picture(first) else Kind.NIFTI,
        files=files,
        called=called,
        contrasts=tuple(contrast for contrast in files if contrast != UNKNOWN),
        notes=tuple(notes),
    )


def _check(file: Sent) -> None:
    """Refuse a file that is not what its name says, without naming it."""
    if file.suffix in NIFTI:
        check_nifti(file.arrived.path)
        return
    place = file.arrived.path.with_name(f"{file.arrived.path.name}{file.suffix}")
    file.arrived.path.replace(place)
    try:
        if max(picture_shape(place)) > LARGEST_SIDE:
            raise Refused("the picture", "is larger than any slice", "crop or shrink it")
    except Refused as error:
        why = error.why.replace(str(place), "it")
        raise Refused("the picture", why, error.remedy) from None
    finally:
        place.replace(file.arrived.path)


def _keep_sidecar(sidecar: Arrived, place: Path) -> None:
    """Keep of a side-car what says the contrast and the scanner; nothing if it is no table."""
    if sidecar.path.stat().st_size > SIDECAR:
        return
    try:
        table = json.loads(sidecar.path.read_bytes())
    except (ValueError, RecursionError):
        return
    if isinstance(table, dict):
        kept = {key: table[key] for key in TOLD.split() if key in table}
        place.write_text(json.dumps(kept), encoding="utf-8")
