"""From files to a raw scan."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Contrast, RawScan, Source
from hale.core.types import Mask
from hale.io.nifti import ReadVolume, read_volume, stem
from hale.io.sidecar import read_sidecar, sidecar_of


def read_raw(
    files: Mapping[Contrast, Path],
    *,
    name: str | None = None,
    brain: Path | None = None,
    age: float | None = None,
    notes: tuple[str, ...] = (),
) -> RawScan:
    """Read one exam.

    Args:
        files: The image of each contrast, the reference first.
        name: Its id; the stem of the reference's file if None.
        brain: A brain mask on the grid of the reference.
        age: Years, if known.
        notes: What was decided before, a sentence each.

    Raises:
        Refused: An image cannot be read, or the mask does not fit the reference.
    """
    read = {contrast: read_volume(path) for contrast, path in files.items()}
    first, path = next(iter(read.values())), next(iter(files.values()))
    source = Source(
        stored=first.stored,
        files=tuple(file.name for file in files.values()),
        sha256=tuple(volume.sha256 for volume in read.values()),
        notes=(*notes, *_notes(read)),
        age=age,
        scanner=_scanner(sidecar_of(path)),
    )
    return RawScan(
        id=name if name is not None else stem(path),
        volumes={contrast: volume.volume for contrast, volume in read.items()},
        brain=None if brain is None else _read_brain(brain, first.volume.grid, path),
        source=source,
    )


def _notes(read: Mapping[Contrast, ReadVolume]) -> Iterator[str]:
    """Yield what reading had to repair, saying where if there is more than one place."""
    for contrast, volume in read.items():
        for note in volume.notes:
            yield note if len(read) == 1 else f"{contrast}: {note}"


def _read_brain(path: Path, grid: Grid, scan: Path) -> Mask:
    """Return a given brain mask, refusing one that does not lie on the scan."""
    try:
        volume = read_volume(path).volume
    except Refused as error:
        if "every voxel is 0" in error.why:
            raise Refused(str(path), "the brain mask is empty", "give another") from None
        raise
    if not volume.grid.is_the_same_as(grid):
        why = f"the brain mask lies on another grid than {scan.name}"
        raise Refused(str(path), why, "resample the mask onto the scan")
    brain: Mask = volume.values > 0
    if not brain.any():
        raise Refused(str(path), "the brain mask is empty", "give another")
    return brain


def _scanner(sidecar: Path) -> str | None:
    """Return maker, model and field strength from a BIDS side-car, None if it says none."""
    if not sidecar.is_file():
        return None
    table = read_sidecar(sidecar)
    keys = ("Manufacturer", "ManufacturersModelName", "MagneticFieldStrength")
    said = [str(table[key]) for key in keys if key in table]
    return " ".join(said) or None
