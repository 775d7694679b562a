"""From a folder of DICOM files to one NIfTI for each contrast that is wanted."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hale.core.errors import Refused
from hale.core.scan import Contrast
from hale.io.dicom_convert import convert
from hale.io.dicom_files import files_within, looks_like_dicom
from hale.io.dicom_series import Series, find_series
from hale.io.nifti import is_image

Chosen = Mapping[Contrast, Series]
Overrides = Mapping[Contrast, int | str]
"""What the user insists on: a series' number or key, its UID, or a part of its description."""


def is_dicom_folder(path: Path) -> bool:
    """Say whether a folder holds DICOM files, at any depth, and no NIfTI or other volume."""
    if not path.is_dir():
        return False
    files = list(files_within(path))
    return not any(map(is_image, files)) and any(map(looks_like_dicom, files))


def read_exam(
    folder: Path, slots: Sequence[Sequence[Contrast]], overrides: Overrides, into: Path
) -> tuple[dict[Contrast, Path], Chosen, list[Series]]:
    """Find, choose and convert what a model needs of an exam.

    Args:
        folder: DICOM files, series mixed or not, at any depth.
        slots: For each channel the contrasts that it accepts, the favourite first.
        overrides: What the user insists on.
        into: A folder of the caller's, for the NIfTI files; made if absent.

    Returns:
        The NIfTI file and the series of each contrast, in the order of the slots, and all series.

    Raises:
        Refused: See `find_series`, `choose` and `convert`.
    """
    series = find_series(folder)
    chosen = choose(series, _wanted(series, slots, overrides), overrides)
    into.mkdir(parents=True, exist_ok=True)
    files = {contrast: convert(one, into) for contrast, one in chosen.items()}
    return files, chosen, series


def choose(
    series: Sequence[Series], wanted: Sequence[Contrast], overrides: Overrides
) -> dict[Contrast, Series]:
    """Return the series of each contrast: the one that the user names, else the one without fault.

    Raises:
        Refused: A contrast has no series, only faulty ones, or several; or the series chosen are of
            several studies and not all named by the user.
    """
    chosen = {
        contrast: _named(series, contrast, overrides[contrast])
        if contrast in overrides
        else _only(series, contrast)
        for contrast in wanted
    }
    studies = {one.study for one in chosen.values()}
    if len(studies) > 1 and not set(chosen) <= set(overrides):
        told = ", ".join(f"{contrast} is {one}" for contrast, one in chosen.items())
        why = f"are of {len(studies)} studies: {told}"
        raise Refused("the series", why, "give one study's folder, or name each with --series")
    return chosen


def _wanted(
    series: Sequence[Series], slots: Sequence[Sequence[Contrast]], overrides: Overrides
) -> list[Contrast]:
    """Return the contrast for each slot: named by the user, else there without fault, else there.

    Raises:
        Refused: Nothing is there for a slot.
    """
    good = {one.contrast for one in series if not one.problems}
    there = {one.contrast for one in series}
    wanted: list[Contrast] = []
    for slot in slots:
        free = [contrast for contrast in slot if contrast not in wanted]
        for known in (overrides, good, there):
            if first := next((contrast for contrast in free if contrast in known), None):
                wanted.append(first)
                break
        else:
            raise _none_of(series, " or ".join(slot), slot[0])
    return wanted


def _named(series: Sequence[Series], contrast: Contrast, name: int | str) -> Series:
    """Return the one series that the user means."""
    text = str(name).strip()
    option = f"--series {contrast}={text}"
    found = [one for one in series if text in (one.key, one.uid)]
    found = found or [one for one in series if text == str(one.number)]
    found = found or [one for one in series if text and text.lower() in one.description.lower()]
    if len(found) == 1:
        return found[0]
    if not found:
        raise Refused(option, f"there is no such series among {_listed(series)}", "name another")
    raise Refused(option, f"could be any of {_listed(found)}", f"say {contrast}={found[0].key}")


def _only(series: Sequence[Series], contrast: Contrast) -> Series:
    """Return the one series of a contrast that has no fault."""
    candidates = [one for one in series if one.contrast is contrast]
    good = [one for one in candidates if not one.problems]
    if len(good) == 1:
        return good[0]
    if not candidates:
        raise _none_of(series, contrast, contrast)
    if len(good) > 1:
        why = f"there are {len(good)} series: {_listed(good)}"
        raise Refused(str(contrast), why, f"say which: --series {contrast}={good[0].key}")
    told = "; ".join(f"{one}: {', '.join(one.problems)}" for one in candidates)
    usable = next((one for one in candidates if not one.irregular), None)
    insist = "" if usable is None else f", or insist with --series {contrast}={usable.key}"
    raise Refused(str(contrast), told, f"export it again{insist}")


def _none_of(series: Sequence[Series], what: str, contrast: Contrast) -> Refused:
    why = f"no series is recognised as it, among {_listed(series)}"
    return Refused(what, why, f"name it: --series {contrast}=NUMBER, see `hale series FOLDER`")


def _listed(series: Sequence[Series]) -> str:
    return ", ".join(map(str, series))
