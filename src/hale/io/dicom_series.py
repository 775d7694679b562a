"""Find the series in a folder of DICOM files, and say what each is and what is wrong with it."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hale.core.errors import Refused
from hale.core.scan import Contrast
from hale.io.dicom_contrast import contradiction, recognise
from hale.io.dicom_files import files_within, looks_like_dicom
from hale.io.dicom_headers import Frame, Header, read_header

MIN_SLICES = 10
"""Fewer do not cover a brain: 120 mm in the thickest slices that are in use."""
SAME_DIRECTION = 1e-3
"""Cosines of a stack's slices may differ by this: rounding, and 0.06 degrees."""
SAME_PLACE_MM = 0.05
ASTRAY = 0.25
"""Share of a voxel by which slices may lie off a regular grid: headers and dcm2niix round."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One stack of slices: a series of the scanner's, or part of one that holds several."""

    key: str
    """What to call it: its number, or ``5.1``, ``5.2`` where several stacks share number 5."""
    uid: str
    study: str
    number: int
    """0 if the scanner gave none."""
    description: str
    modality: str
    contrast: Contrast | None
    why: str
    """How the contrast is known, or why there is none."""
    frames: tuple[Frame, ...]
    """In order of place along the normal of the slices; in order of file where that is unknown."""
    problems: tuple[str, ...] = ()
    """A sentence each: why it should not be used."""
    irregular: tuple[str, ...] = ()
    """Those for which it cannot be converted: its slices do not lie on one regular grid."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Return its files, each once."""
        return tuple(dict.fromkeys(frame.path for frame in self.frames))

    @property
    def count(self) -> int:
        """Return how many slices it has."""
        return len(self.frames)

    @property
    def shape(self) -> tuple[int, int]:
        """Return rows, columns of a slice."""
        return self.frames[0].shape

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Return mm between rows, between columns, between slices; None where it does not say."""
        places, pixel = depths(self.frames), self.frames[0].spacing
        if places is None or pixel is None or self.count < 2:
            return None
        return pixel[0], pixel[1], float(np.median(np.diff(np.sort(places))))

    def __str__(self) -> str:
        return f"{self.key} ({self.description or 'no description'})"


def find_series(folder: Path) -> list[Series]:
    """Return the stacks of slices in a folder, at any depth, by number.

    Files that are no DICOM, or hold no image, are passed over; of copies of one, the first counts.

    Raises:
        Refused: There is no such folder, no DICOM image in it, a damaged DICOM file, or images of
            several patients.
    """
    if not folder.is_dir():
        raise Refused(str(folder), "there is no such folder", "check the path")
    headers = _headers(folder)
    if not headers:
        remedy = "give the folder that holds the exported files"
        raise Refused(str(folder), "holds no DICOM image", remedy)
    _refuse_two_patients(folder, headers)
    stacks: list[tuple[Header, list[Frame]]] = []
    for header in headers:
        for frame in header.frames:
            _put(frame, header, stacks)
    several = _localisers(stacks)
    numbered = Counter(header.number for header, _ in stacks)
    keys: Counter[int] = Counter()
    series = []
    for header, frames in sorted(stacks, key=lambda stack: (stack[0].number, stack[0].series)):
        keys[header.number] += 1
        part = f".{keys[header.number]}" if numbered[header.number] > 1 else ""
        key = f"{header.number}{part}"
        series.append(_series(key, header, frames, localiser=header.series in several))
    return series


def depths(frames: Sequence[Frame]) -> np.ndarray | None:
    """Return where slices lie along their common normal, mm; None if one does not say."""
    normal = _normal(frames[0])
    if normal is None or any(frame.position is None for frame in frames):
        return None
    places: np.ndarray = np.array([frame.position for frame in frames], float) @ normal
    return places


def _headers(folder: Path) -> list[Header]:
    """Return the headers of the images in a folder, each instance once."""
    found: dict[str, Header] = {}
    for path in files_within(folder):
        if looks_like_dicom(path) and (header := read_header(path)) is not None:
            found.setdefault(header.frames[0].instance, header)
    return list(found.values())


def _refuse_two_patients(folder: Path, headers: Iterable[Header]) -> None:
    """Refuse a folder of several patients, naming a file of each and no person."""
    patients: dict[str, Path] = {}
    for header in headers:
        if header.patient:
            patients.setdefault(header.patient, header.frames[0].path.relative_to(folder))
    if len(patients) > 1:
        first, second, *_ = patients.values()
        why = f"holds images of {len(patients)} patients ({first} and {second} differ)"
        raise Refused(str(folder), why, "give a folder with one patient's exam")


def _put(frame: Frame, header: Header, stacks: list[tuple[Header, list[Frame]]]) -> None:
    """Add a slice to the stack of its series that it fits into, or begin one."""
    for known, frames in stacks:
        if known.series == header.series and _fits(frame, frames[0]):
            frames.append(frame)
            return
    stacks.append((header, [frame]))


def _fits(one: Frame, other: Frame) -> bool:
    """Say whether two slices of a series are of one stack: parallel, alike, of one echo."""
    said, known = one.acquisition, other.acquisition
    if (one.shape, said.image_type) != (other.shape, known.image_type):
        return False
    echoes = (said.echo_ms or 0.0, known.echo_ms or 0.0)
    if not math.isclose(*echoes, rel_tol=0.01, abs_tol=0.1):
        return False
    if one.orientation is None or other.orientation is None:
        return one.orientation is other.orientation
    pairs = zip(one.orientation, other.orientation, strict=True)
    return all(math.isclose(a, b, abs_tol=SAME_DIRECTION) for a, b in pairs)


def _localisers(stacks: Sequence[tuple[Header, list[Frame]]]) -> set[str]:
    """Return the series that hold several directions, none of them with slices for a brain."""
    by_series: dict[str, list[list[Frame]]] = {}
    for header, frames in stacks:
        by_series.setdefault(header.series, []).append(frames)
    return {
        uid
        for uid, parts in by_series.items()
        if len({part[0].orientation for part in parts}) > 1 and max(map(len, parts)) < MIN_SLICES
    }


def _series(key: str, header: Header, frames: list[Frame], *, localiser: bool) -> Series:
    said = frames[0].acquisition
    contrast, why = recognise(said)
    if localiser:
        contrast, why = None, "a localiser: a few slices in each of several directions"
    places = depths(frames)
    ordered = frames if places is None else [frames[n] for n in np.argsort(places, kind="stable")]
    irregular = _irregular(ordered)
    problems = [why] if contrast is None else [*_doubts(ordered, contrast), *irregular]
    return Series(
        key=key,
        uid=header.series,
        study=header.study,
        number=header.number,
        description=said.description or said.protocol,
        modality=said.modality,
        contrast=contrast,
        why=why,
        frames=tuple(ordered),
        problems=tuple(problems),
        irregular=tuple(irregular),
    )


def _doubts(frames: Sequence[Frame], contrast: Contrast) -> list[str]:
    """Return what its header says against taking a series for the scan of its contrast."""
    said = frames[0].acquisition
    doubts = []
    if 1 < len(frames) < MIN_SLICES:
        doubts.append(f"it has {len(frames)} slices, too few for a brain")
    if wrong := contradiction(said, contrast):
        doubts.append(wrong)
    if "DERIVED" in said.image_type or "SECONDARY" in said.image_type:
        doubts.append(f"it is a derived image ({'/'.join(said.image_type)})")
    if contrast is Contrast.CT and said.agent:
        doubts.append("it is a CT with contrast agent")
    return doubts


def _irregular(frames: Sequence[Frame]) -> list[str]:
    """Return why slices, given in order along their normal, do not lie on one regular grid."""
    places = depths(frames)
    if places is None or min(frames[0].spacing or (0.0,)) <= 0:
        return ["its header does not say where its slices lie"]
    if len(frames) < 2:
        return ["it is a single slice"]
    problems = ["its slices are sheared (a tilted gantry)"] if _sheared(frames) else []
    gaps = np.diff(places)
    if together := int((gaps < SAME_PLACE_MM).sum()):
        return [*problems, f"{together} of its slices lie where another one lies"]
    position = np.array([frame.position for frame in frames], float)
    off = position - np.linspace(position[0], position[-1], len(frames))
    if np.linalg.norm(off, axis=1).max() > ASTRAY * gaps.mean():
        widest, usual = int(gaps.argmax()), float(np.median(gaps))
        what = "a slice is missing" if gaps[widest] > 1.5 * usual else "its slices are uneven"
        where = f"between {_called(frames[widest])} and {_called(frames[widest + 1])}"
        problems.append(f"{what}: {gaps[widest]:.1f} mm {where}, {usual:.1f} mm elsewhere")
    return problems


def _sheared(frames: Sequence[Frame]) -> bool:
    """Say whether slices are shifted in their plane, as those of a tilted gantry are."""
    normal, pixel = _normal(frames[0]), frames[0].spacing
    first, last = frames[0].position, frames[-1].position
    if normal is None or pixel is None or first is None or last is None:
        return False
    way = np.subtract(last, first)
    return bool(np.linalg.norm(way - (way @ normal) * normal) > ASTRAY * min(pixel))


def _called(frame: Frame) -> str:
    return frame.path.name if frame.index is None else f"frame {frame.index + 1}"


def _normal(frame: Frame) -> np.ndarray | None:
    """Return the direction across a slice, LPS; None if its header does not say."""
    if frame.orientation is None:
        return None
    across: np.ndarray = np.cross(frame.orientation[:3], frame.orientation[3:])
    length = float(np.linalg.norm(across))
    return across / length if length > 0.5 else None
