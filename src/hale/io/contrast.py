"""What contrast a file says it is: by its name, by the JSON side-car beside it.

BIDS names (doi:10.1038/sdata.2016.44) end in their contrast. Other names are read word by word with
the vocabulary of `hale.io.dicom_contrast`, and so are the words and times of a side-car.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hale.core.scan import Contrast
from hale.io.dicom_contrast import recognise
from hale.io.dicom_headers import Acquisition
from hale.io.nifti import stem
from hale.io.sidecar import read_sidecar, sidecar_of

ENTITY = re.compile(
    r"(?:^|(?<=_))(sub|ses|sample|acq|task|ce|trc|stain|rec|dir|run|mod|echo|flip|inv|mt|part|proc"
    r"|hemi|space|split|recording|chunk|res|den|atlas)-([^_]*)(?:_|$)",
    re.IGNORECASE,
)
"""Key and value of a BIDS name; the value says nothing about the contrast, but that of ``ce``."""
DERIVED = re.compile(
    r"(?:^|[^a-z0-9])(?:desc|label|\w?seg\w*|probseg|\w*mask\w*|\w*lesions?|roi|consensus"
    r"|ground ?truth|gt)(?:[^a-z0-9]|$)",
    re.IGNORECASE,
)
"""Words of what was made from a scan."""
SUFFIXES = {str(contrast).lower(): contrast for contrast in Contrast if "-" not in contrast}
SHORT = (
    (r"t1w?(?:ce|gd|c\+?|km|post|\+c?)", "t1 ce"),
    (r"t1n", "t1"),
    (r"t2f", "flair"),
)
"""What people and BraTS write in one word, and its words."""
CT_WORD = re.compile(r"\b(?:ct|ncct|cct)\b")
MS = 1000.0
"""In a second: side-cars count in seconds."""


class Told(NamedTuple):
    """What a name or a side-car says."""

    contrast: Contrast | None
    """None if it says nothing, or of no scan."""
    why: str
    """One clause."""


def contrast_of_file(path: Path) -> Told:
    """Return the contrast that a file's name says, else the side-car beside it.

    Raises:
        Refused: The side-car is no JSON table.
    """
    told = contrast_of_name(path)
    sidecar = sidecar_of(path)
    if told.contrast is None and not is_derived(path) and sidecar.is_file():
        return contrast_of_sidecar(sidecar)
    return told


def is_derived(path: Path) -> bool:
    """Say whether a name is of what was made from a scan, such as a mask."""
    return DERIVED.search(ENTITY.sub("", stem(path))) is not None


def contrast_of_name(path: Path) -> Told:
    """Return the contrast that a file's name says; folders do not count.

    ``sub-01_ce-gd_T1w``, ``T1_MPRAGE``, ``case7-t2f``, ``flair``: words, whole and in any case,
    never part of a word nor of the value of a BIDS entity such as a subject's id.
    """
    name = stem(path)
    values = {key.lower(): value for key, value in ENTITY.findall(name)}
    rest = ENTITY.sub("", name)
    if derived := DERIVED.search(rest):
        return Told(None, f"{derived.group().strip('_-. ')!r}: made from a scan, none itself")
    contrast = SUFFIXES.get(rest.lower())
    if contrast is None:
        contrast, why = recognise(Acquisition(description=_in_words(rest)))
    else:
        why = f"suffix {rest!r}"
    if contrast is None and (word := CT_WORD.search(_in_words(rest))):
        return Told(Contrast.CT, f"word {word.group()!r}")
    if contrast is None:
        return Told(None, f"its name {name!r} tells no contrast")
    if contrast is Contrast.T1W and "ce" in values:
        return Told(Contrast.T1W_CE, f"{why}, contrast agent 'ce-{values['ce']}'")
    return Told(contrast, why)


def contrast_of_sidecar(sidecar: Path) -> Told:
    """Return the contrast that a JSON side-car says, as dcm2niix and BIDS write it.

    By the words of ``SeriesDescription`` or ``ProtocolName``, else by ``EchoTime``,
    ``RepetitionTime`` and ``InversionTime`` (s), with ``ContrastBolusAgent`` and ``Modality``.

    Raises:
        Refused: The file cannot be read, or is no JSON table.
    """
    return Told(*recognise(_acquisition(read_sidecar(sidecar))))


def _in_words(name: str) -> str:
    """Return a loose name with its short forms written out."""
    text = f" {re.sub(r'[^a-z0-9+*]+', ' ', name.lower())} ".replace(" sub ", " ")
    for short, words in SHORT:
        text = re.sub(rf"(?<= ){short}(?= )", words, text)
    return text.strip()


def _acquisition(table: Mapping[str, Any]) -> Acquisition:
    inversion = _ms(table, "InversionTime")
    return Acquisition(
        description=_text(table, "SeriesDescription"),
        protocol=_text(table, "ProtocolName"),
        modality=_text(table, "Modality") or "MR",
        image_type=tuple(_words(table.get("ImageType"))),
        sequence=tuple(_words(table.get("ScanningSequence"))) or (("IR",) if inversion else ()),
        echo_ms=_ms(table, "EchoTime"),
        repetition_ms=_ms(table, "RepetitionTime"),
        inversion_ms=inversion,
        agent=_text(table, "ContrastBolusAgent") or _text(table, "ContrastBolusIngredient"),
    )


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    return value.strip() if isinstance(value, str) else ""


def _words(value: Any) -> list[str]:
    r"""Return the values of a list, or of dcm2niix's ``GR_IR`` and DICOM's ``GR\IR``."""
    parts = value if isinstance(value, list) else re.split(r"[\\_ ]+", str(value or ""))
    return [str(part).upper() for part in parts if part]


def _ms(table: Mapping[str, Any], key: str) -> float | None:
    """Return a time in ms, None if it is no number above 0."""
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value * MS if math.isfinite(value) and value > 0 else None
