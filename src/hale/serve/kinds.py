"""An exam that was brought, and the list of them that an upload's folder keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from hale.serve.files import Unknown, read_table, write_table

LIST = "exams.json"


class Kind(StrEnum):
    """How a scan came."""

    NIFTI = "NIfTI"
    DICOM = "DICOM"
    PICTURE = "picture"


@dataclass(frozen=True, kw_only=True)
class Exam:
    """One exam of an upload."""

    id: str
    """Its number within the upload."""
    name: str
    """What results call it."""
    kind: Kind
    files: Mapping[str, str]
    """Contrast -> file; of DICOM one folder under an empty name. ``?`` is a contrast that nothing
    says. Paths are relative to the upload, or absolute where a scan was picked."""
    called: Mapping[str, str] = field(default_factory=dict)
    """Contrast -> the name that results show of its file."""
    contrasts: tuple[str, ...] = ()
    """That are known."""
    notes: tuple[str, ...] = ()
    """A sentence each."""

    def as_json(self) -> dict[str, Any]:
        """Return what the page shows."""
        return {
            "id": self.id,
            "name": self.name,
            "kind": str(self.kind),
            "contrasts": list(self.contrasts),
            "files": dict(self.called),
            "notes": list(self.notes),
        }


UNKNOWN = "?"
"""In place of a contrast that nothing says."""


def write_exams(upload: Path, exams: Sequence[Exam]) -> None:
    """Write the list of an upload."""
    write_table(upload / LIST, {"exams": [asdict(exam) for exam in exams]})


def read_exam_of(upload: Path, name: str | None) -> Exam:
    """Return an exam of an upload, the only one if no name is given.

    Raises:
        Unknown: There is none.
    """
    table = read_table(upload / LIST) or {"exams": []}
    exams = [_exam(row) for row in table["exams"]]
    if name is None and len(exams) == 1:
        return exams[0]
    for exam in exams:
        if exam.id == name:
            return exam
    raise Unknown(name or "exam", "the upload has no such exam", "bring the scan again")


def _exam(row: Mapping[str, Any]) -> Exam:
    return Exam(
        id=row["id"],
        name=row["name"],
        kind=Kind(row["kind"]),
        files=row["files"],
        called=row["called"],
        contrasts=tuple(row["contrasts"]),
        notes=tuple(row["notes"]),
    )
