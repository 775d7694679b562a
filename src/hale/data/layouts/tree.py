"""The files below a folder, and those that a layout's names fit."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hale.core.errors import Refused
from hale.io.nifti import is_image

SUFFIX = r"\.nii(?:\.gz)?"
"""Of a pattern: archives are unpacked by some downloads and not by others."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A folder and the images in it, walked once for all layouts."""

    folder: Path
    names: tuple[str, ...]
    """Of the images, with ``/``, in order, the folder's own name first: a layout is recognised
    from any of its folders."""

    def matches(self, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], Path]]:
        """Yield what a pattern makes of each name that it fits whole, and the file."""
        for name in self.names:
            if match := pattern.fullmatch(name):
                yield match, self.folder.joinpath(*PurePosixPath(name).parts[1:])

    def holds(self, pattern: re.Pattern[str]) -> bool:
        """Say whether a name fits."""
        return next(self.matches(pattern), None) is not None

    def grouped(self, pattern: re.Pattern[str]) -> dict[str, dict[str, Path]]:
        """Return the files by exam and kind, the pattern's groups ``id`` and ``kind``.

        Raises:
            Refused: Two files are of one kind in one exam.
        """
        exams: dict[str, dict[str, Path]] = {}
        for match, path in self.matches(pattern):
            files = exams.setdefault(match["id"], {})
            if match["kind"] in files:
                why = f"is there twice: {files[match['kind']]} and {path}"
                raise Refused(f"{match['id']} {match['kind']}", why, "keep one of them")
            files[match["kind"]] = path
        return exams


def tree_of(folder: Path) -> Tree:
    """Walk a folder, through links too; hidden files and folders are left out.

    Raises:
        Refused: There is no such folder.
    """
    if not folder.is_dir():
        raise Refused(str(folder), "is not a folder", "give a data set's folder")
    own = folder.resolve().name
    names: list[str] = []
    seen: set[Path] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        if (real := Path(place).resolve()) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = PurePosixPath(own, *Path(place).relative_to(folder).parts)
        images = (name for name in files if is_image(Path(name)) and not name.startswith("."))
        names += [str(below / name) for name in images]
    return Tree(folder=folder, names=tuple(sorted(names)))
