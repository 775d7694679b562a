"""DICOM without the people in it: what is kept of a file, where names were not asked for.

Attributes that name or number a person are emptied, as in the basic profile of DICOM PS3.15, annex
E, and so is every person's name at any depth; a patient's number becomes one that says nothing.
Words of these are taken out of free text; private elements are dropped, as none of them is read.
Identifiers of study, series and image stay, so that segmentations still refer to their images; this
is no anonymisation for publication.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hale.core.errors import Refused
from hale.io.dicom_files import tolerant

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

PERSONAL = (
    "PatientName PatientBirthDate PatientBirthTime OtherPatientIDs OtherPatientNames"
    " OtherPatientIDsSequence PatientBirthName PatientMotherBirthName PatientAddress"
    " PatientTelephoneNumbers PatientTelecomInformation IssuerOfPatientID PatientComments"
    " PatientInsurancePlanCodeSequence AdditionalPatientHistory EthnicGroup Occupation"
    " ResponsiblePerson ResponsibleOrganization MilitaryRank BranchOfService RegionOfResidence"
    " CountryOfResidence MedicalRecordLocator ReferencedPatientSequence AccessionNumber StudyID"
    " ReferringPhysicianAddress ReferringPhysicianTelephoneNumbers InstitutionName"
    " InstitutionAddress InstitutionalDepartmentName StationName PerformedLocation AdmissionID"
    " CurrentPatientLocation PatientInstitutionResidence RequestAttributesSequence"
    " DeviceSerialNumber ImageComments StudyComments"
)
"""Keywords of attributes that are emptied."""
TEXT = ("LO", "SH", "LT", "ST", "UT", "UC")
SHORTEST = 3
"""Letters of a word that is looked for in free text; shorter ones would be found everywhere."""


def without_people(source: Path, target: Path, *, salt: str) -> None:
    """Write a DICOM file without names of people.

    Args:
        source: As it came.
        target: To write.
        salt: Of this upload: one patient's files keep one number, which says nothing.

    Raises:
        Refused: It cannot be read.
    """
    from pydicom import dcmread

    try:
        with tolerant():
            read = dcmread(source, force=True)
            words = _words(read)
            read.remove_private_tags()
            _clean(read, words, salt)
            read.preamble = b"\0" * 128
            read.save_as(target)
    except Exception as error:  # a damaged file raises almost anything in a parser
        why = f"cannot be read ({type(error).__name__})"
        raise Refused("a DICOM file", why, "export the exam again") from None


def _words(read: "Dataset") -> list[str]:
    """Return the words of the patient's names and number."""
    said = [str(read.get(name) or "") for name in ("PatientName", "PatientID", "OtherPatientIDs")]
    said += [str(name) for name in _listed(read.get("OtherPatientNames"))]
    words = {word for text in said for word in re.split(r"[\s^=,;\\]+", text)}
    return sorted((word for word in words if len(word) >= SHORTEST), key=len, reverse=True)


def _listed(value: object) -> list[object]:
    """Return the values of an element that may hold several."""
    if value is None:
        return []
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return list(value) if several else [value]  # type: ignore[call-overload]


def _clean(read: "Dataset", words: Sequence[str], salt: str) -> None:
    """Empty what names people, at any depth."""
    pattern = re.compile("|".join(map(re.escape, words)), re.IGNORECASE) if words else None

    def visit(_: "Dataset", element: "DataElement") -> None:
        if element.keyword in PERSONAL.split() or element.VR == "PN":
            element.value = [] if element.VR == "SQ" else None
        elif element.keyword == "PatientID" and element.value:
            number = f"{salt}{element.value}".encode()
            element.value = hashlib.sha256(number).hexdigest()[:12]
        elif pattern is not None and element.VR in TEXT and element.value:
            _take_out(element, pattern)

    read.walk(visit)


def _take_out(element: "DataElement", pattern: re.Pattern[str]) -> None:
    """Take words out of a text."""
    told = [str(part) for part in _listed(element.value)]
    left = [" ".join(pattern.sub(" ", part).split()) for part in told]
    if left != told:
        element.value = left if len(left) > 1 else left[0]
