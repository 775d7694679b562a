"""Scans to pick from: those of the folder that the station was given at its start."""

import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from hale.core.errors import Refused
from hale.data.bids import ELSEWHERE
from hale.data.names import exam_of
from hale.io.contrast import contrast_of_file, is_derived
from hale.io.dicom_files import files_within, looks_like_dicom
from hale.io.nifti import file_hash
from hale.pipeline.write import RESULT
from hale.serve.arrange import NIFTI
from hale.serve.arrange_dicom import dicom_exams, images_of
from hale.serve.files import called, opaque
from hale.serve.inspect import check_nifti
from hale.serve.kinds import Exam, Kind, write_exams
from hale.serve.station import Station
from hale.serve.uploads import Arrived

MOST = 5000
"""Scans that are listed."""


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A scan of the folder."""

    id: str
    name: str
    kind: Kind
    files: dict[str, Path]
    """By contrast; of DICOM its folder, under an empty name."""

    def as_json(self, station: Station) -> dict[str, Any]:
        """Return what the page shows; a name that may be a person's only if it was asked for."""
        is_told = self.kind is Kind.DICOM  # by its number
        contrasts = [contrast for contrast in self.files if contrast]
        return {
            "id": self.id,
            "name": self.name if is_told else station.named(self.name, self.id),
            "kind": str(self.kind),
            "contrasts": contrasts,
        }


def picks(scans: Path | None) -> list[Pick]:
    """Return the scans below a folder; links to folders are not followed."""
    if scans is None:
        return []
    found: list[Pick] = []
    for pick in _walked(scans):
        found.append(pick)
        if len(found) == MOST:
            break
    return found


def take(station: Station, name: str) -> Path:
    """Make an upload of a pick and return its folder; DICOM is copied without the people in it.

    Raises:
        Unknown: There is no such scan.
        Refused: It is not what its name says.
    """
    pick = called(name, picks(station.scans), "scan")
    upload = station.uploads / secrets.token_hex(8)
    upload.mkdir(parents=True)
    try:
        write_exams(upload, [_exam(pick, upload, station)])
    except BaseException:
        shutil.rmtree(upload, ignore_errors=True)
        raise
    return upload


def _exam(pick: Pick, upload: Path, station: Station) -> Exam:
    if pick.kind is Kind.DICOM:
        inside = files_within(pick.files[""])
        files = [Arrived(path=path, name=path.name) for path in inside if looks_like_dicom(path)]
        images = images_of(files)
        if not images:
            raise Refused(pick.name, "holds no image", "pick another")
        return dicom_exams(upload, images, station, count(1))[0]
    for path in pick.files.values():
        check_nifti(path)
    first = next(iter(pick.files.values()))
    return Exam(
        id="1",
        name=station.named(exam_of(first), file_hash(first)),
        kind=Kind.NIFTI,
        files={contrast: str(path) for contrast, path in pick.files.items()},
        called={
            contrast: path.name if station.shows(path.name) else f"{contrast}.nii.gz"
            for contrast, path in pick.files.items()
        },
        contrasts=tuple(pick.files),
    )


def _walked(scans: Path) -> Iterator[Pick]:
    """Yield the exams of each folder: NIfTI files by name, or else DICOM as one."""
    for number, (root, folders, names) in enumerate(os.walk(scans)):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in ELSEWHERE)
        if RESULT in names:
            folders.clear()  # a result, no scan
            continue
        folder = Path(root)
        files = [folder / name for name in sorted(names) if not name.startswith(".")]
        nifti = [path for path in files if path.name.lower().endswith(NIFTI)]
        if nifti:
            yield from _by_exam(scans, nifti)
        elif any(map(looks_like_dicom, files[:3])):
            where = folder.relative_to(scans).as_posix()
            name = f"DICOM {number}: {len(files)} files"
            yield Pick(id=opaque(where), name=name, kind=Kind.DICOM, files={"": folder})


def _by_exam(scans: Path, files: list[Path]) -> Iterator[Pick]:
    exams: dict[str, dict[str, Path]] = {}
    for path in files:
        if is_derived(path):
            continue
        contrast = contrast_of_file(path).contrast
        if contrast is not None:
            exams.setdefault(exam_of(path), {}).setdefault(str(contrast), path)
    for exam, found in exams.items():
        where = f"{files[0].parent.relative_to(scans).as_posix()}/{exam}"
        yield Pick(id=opaque(where), name=exam, kind=Kind.NIFTI, files=found)
