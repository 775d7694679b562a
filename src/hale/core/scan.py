"""Scans: as they come (`RawScan`), ready to be scored (`Scan`), with known lesions (`Case`)."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.types import Affine, Image, Map, Mask


class Contrast(StrEnum):
    """What the scanner weighted, named as BIDS names the suffix (CT: the modality)."""

    T1W = "T1w"
    T2W = "T2w"
    FLAIR = "FLAIR"
    PDW = "PDw"
    T1W_CE = "T1w-ce"
    CT = "CT"


Slots = tuple[tuple[Contrast, ...], ...]
"""One per input channel: the contrasts that it accepts. The first channel is the reference, which
is registered to the template, and on whose grid results are written."""


class Split(StrEnum):
    """What a scan is used for; each person belongs to one."""

    FIT = "fit"
    STANDARDISE = "standardise"
    CALIBRATE = "calibrate"
    TEST = "test"


def wanted(slots: Slots) -> str:
    """Return what a model takes, e.g. ``T1w/T1w-ce + FLAIR``."""
    return " + ".join("/".join(slot) for slot in slots)


def lacking(name: str, found: Iterable[Contrast], slots: Slots) -> Refused:
    """Return the refusal of an exam that has not what a model takes."""
    given = list(found)
    needed = [slot[0].lower() for slot in slots if not set(slot) & set(given)]
    why = f"is {' + '.join(given) or 'nothing'}, the model takes {wanted(slots)}"
    files = "".join(f"give --{contrast} FILE, or " for contrast in needed[:1])
    return Refused(name, why, f"{files}take another model")


@dataclass(frozen=True, kw_only=True, eq=False)
class Space:
    """What a model is bound to: which contrasts, on which grid."""

    slots: Slots
    grid: Grid

    def accepts(self, contrasts: tuple[Contrast, ...]) -> bool:
        """Say whether each channel's contrast is one that its slot accepts."""
        return len(contrasts) == len(self.slots) and all(
            contrast in slot for contrast, slot in zip(contrasts, self.slots, strict=True)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """Values and where they are."""

    values: Map
    grid: Grid

    def __post_init__(self) -> None:
        """Refuse values that do not fill their grid."""
        if self.values.shape != self.grid.shape:
            msg = f"values are {self.values.shape}, the grid says {self.grid.shape}"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True, eq=False)
class Stored:
    """How a file stored its voxels: what an output must look like to lie on its input."""

    shape: tuple[int, int, int]
    affine: Affine
    """Voxel index of the file, in its own axis order, to mm RAS+."""
    sform_code: int = 1
    qform_code: int = 0
    qform: Affine | None = None
    """Where the qform says something of its own; None: as ``affine``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """Where a raw scan came from, and what reading it had to repair."""

    stored: Stored | None = None
    """Of the reference; None for a scan that came from no file."""
    files: tuple[str, ...] = ()
    sha256: tuple[str, ...] = ()
    dicom: tuple[Path, ...] = ()
    """The files of the reference's series, where it came as DICOM."""
    notes: tuple[str, ...] = ()
    """One sentence per repair or doubt."""
    age: float | None = None
    """Years, if the data set says."""
    scanner: str | None = None
    """Maker, model and field strength, if a side-car says."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RawScan:
    """One exam as the scanner wrote it: a volume per contrast, each on its own grid, RAS+."""

    id: str
    volumes: Mapping[Contrast, Volume]
    """In the order of the model's channels; the first is the reference contrast."""
    brain: Mask | None = None
    """A brain mask on the grid of the reference, when the user gives one."""
    source: Source = field(default_factory=Source)

    @property
    def reference(self) -> Volume:
        """Return the volume of the reference contrast: results lie on its grid."""
        return next(iter(self.volumes.values()))


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """Co-registered contrasts of one exam on the model's grid, brain-extracted and normalised."""

    id: str
    space: Space
    image: Image
    brain: Mask

    def __post_init__(self) -> None:
        """Refuse a scan whose parts do not fit."""
        expected = (len(self.space.slots), *self.space.grid.shape)
        if self.image.shape != expected or self.brain.shape != expected[1:]:
            msg = (
                f"{self.id}: image is {self.image.shape}, brain {self.brain.shape},"
                f" the space says {expected}"
            )
            raise ValueError(msg)

    @property
    def content(self) -> str:
        """Return the SHA-256 of image and brain: what noise and caches are keyed by."""
        digest = hashlib.sha256(np.ascontiguousarray(self.image).tobytes())
        digest.update(np.packbits(self.brain).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A scan with its reference lesion mask. Only evaluation and supervised methods see one."""

    scan: Scan
    lesion: Mask
