"""Where the scan of a result is: its copy beside the result, or among the scans to pick from."""

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from hale.core.scan import Contrast
from hale.io.nifti import file_hash, is_image
from hale.serve.results import SCAN, Found

NIFTI = (".nii.gz", ".nii")


def scans_of(found: Found, scans: Path | None) -> dict[str, Path]:
    """Return the file of each contrast, of those that are here; contrast -> path.

    Args:
        found: The result.
        scans: Folder in which a scan may lie; it counts if its hash is that of the result's input.
    """
    beside = _beside(found)
    if beside or scans is None:
        return beside
    contrasts = [str(contrast) for contrast in found.detection.get("contrasts", ())]
    provenance = found.detection.get("provenance", {})
    names, hashes = provenance.get("input_files", ()), provenance.get("input_sha256", ())
    here: dict[str, Path] = {}
    for contrast, name, sha256 in zip(contrasts, names, hashes, strict=False):
        for path in _called(scans, str(name)):
            if _hash(path, path.stat().st_mtime_ns) == sha256:
                here[contrast] = path
                break
    return here


def names_of(scans: Mapping[str, Path]) -> dict[str, str]:
    """Return the names under which the scans of a result can be asked for."""
    return {
        contrast: f"{SCAN}{contrast}.nii{'.gz' if path.name.lower().endswith('.gz') else ''}"
        for contrast, path in scans.items()
    }


def _beside(found: Found) -> dict[str, Path]:
    """Return the copies beside a result: of the contrasts it is of, then of the exam's others."""
    used = [str(contrast) for contrast in found.detection.get("contrasts", ())]
    contrasts = dict.fromkeys([*used, *map(str, Contrast)])
    paths = {contrast: found.folder / f"{SCAN}{contrast}.nii.gz" for contrast in contrasts}
    return {contrast: path for contrast, path in paths.items() if path.is_file()}


def _called(scans: Path, name: str) -> Iterator[Path]:
    """Yield the NIfTI files of this name; links to folders are not followed."""
    if not is_image(Path(name)) or not name.lower().endswith(NIFTI):
        return
    for folder, folders, names in os.walk(scans):
        folders.sort()
        if name in names:
            yield Path(folder) / name


@lru_cache(maxsize=4096)
def _hash(path: Path, changed: int) -> str:
    """Return the hash of a file; ``changed`` makes the memory forget an older one."""
    del changed
    return file_hash(path)
