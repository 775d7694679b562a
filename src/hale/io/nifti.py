"""Read and write NIfTI and its kin: RAS+ inside, the axes of the file outside.

Single slices without a header (`hale.io.picture`) are read as volumes of one slice.
"""

import gzip
import hashlib
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from nibabel.spatialimages import HeaderDataError

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Stored, Volume
from hale.core.types import Affine, Map
from hale.io.header import checked_affine, checked_shape, checked_type
from hale.io.picture import (
    PICTURES,
    TAKEN,
    is_picture,
    picture_affine,
    picture_shape,
    read_picture,
)

SUFFIXES = (".nii.gz", ".nii", ".hdr", ".img", ".mgz", ".mgh")
WRITING = ".writing-"
"""Begins the name of a folder of what is being written; one that stays was cut short."""
HEADER_BYTES = 348
"""Of NIfTI-1; every format's header is as long."""
RAS = axcodes2ornt(("R", "A", "S"))


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadVolume:
    """A volume as read: RAS+ values, how the file stored them, what had to be repaired."""

    volume: Volume
    stored: Stored
    sha256: str
    notes: tuple[str, ...]


def is_image(path: Path) -> bool:
    """Say whether a name is one of an image with a header: what cohorts are made of."""
    return path.name.lower().endswith(SUFFIXES)


def stem(path: Path) -> str:
    """Return the file name without its image suffix."""
    name = path.name
    for suffix in (*SUFFIXES, *PICTURES):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def read_volume(path: Path) -> ReadVolume:
    """Read one 3-D volume as float32, reoriented (not resampled) to RAS+.

    NaN and infinite voxels are left as they are: whether they matter depends on where the brain is.

    Raises:
        Refused: The file is missing, empty, damaged, no image, or its header cannot be trusted.
    """
    _refuse_no_file(path)
    if is_picture(path):
        return _read_slice(path)
    image = _open(path)
    checked_type(path, image)
    shape, notes = checked_shape(path, image)
    affine, doubts = checked_affine(path, image, shape)
    notes += [*doubts, *_scaling_notes(image)]
    values = _values(path, image).reshape(shape)
    return _read(path, values, _stored(image, shape, affine), notes)


def _read_slice(path: Path) -> ReadVolume:
    """Read a picture as a volume of one slice."""
    values = read_picture(path)[:, :, None]
    height, width, _ = values.shape
    stored = Stored(shape=(height, width, 1), affine=picture_affine(height))
    return _read(path, values, stored, [TAKEN])


def _read(path: Path, values: Map, stored: Stored, notes: list[str]) -> ReadVolume:
    """Turn values to RAS+; refuse those that show nothing."""
    _refuse_constant(path, values)
    orientation = ornt_transform(io_orientation(stored.affine), RAS)
    turned = np.ascontiguousarray(apply_orientation(values, orientation))
    affine = stored.affine @ inv_ornt_aff(orientation, stored.shape)
    return ReadVolume(
        volume=Volume(values=turned, grid=Grid(shape=turned.shape, affine=affine)),
        stored=stored,
        sha256=file_hash(path),
        notes=tuple(notes),
    )


def voxel_count(path: Path) -> int:
    """Return how many voxels a file says it holds, without reading them.

    Raises:
        Refused: The file is missing, empty or no image.
    """
    _refuse_no_file(path)
    return int(np.prod(picture_shape(path) if is_picture(path) else _open(path).shape))


def write_volume(path: Path, values: np.ndarray, stored: Stored) -> None:
    """Write RAS+ ``values`` in the axes, shape and affine that ``stored`` remembers.

    The file appears whole or not at all.
    """
    turned = as_stored(values, stored)
    image = nib.Nifti1Image(turned, stored.affine)
    image.set_sform(stored.affine, stored.sform_code)
    image.set_qform(stored.affine if stored.qform is None else stored.qform, stored.qform_code)
    image.header.set_xyzt_units("mm")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=WRITING) as folder:
        part = Path(folder) / path.name
        nib.save(image, part)
        part.replace(path)


def as_stored(values: np.ndarray, stored: Stored) -> np.ndarray:
    """Return RAS+ ``values`` in the axes of the file that ``stored`` remembers."""
    orientation = ornt_transform(RAS, io_orientation(stored.affine))
    turned: np.ndarray = apply_orientation(values, orientation)
    if turned.shape != stored.shape:
        msg = f"values turn into {turned.shape}, the file had {stored.shape}"
        raise ValueError(msg)
    return turned


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_no_file(path: Path) -> None:
    if not path.exists():
        raise Refused(str(path), "there is no such file", "check the path")
    if not path.is_file():
        raise Refused(str(path), "is not a file", "give an image file")
    if not is_image(path) and not is_picture(path):
        remedy = f"give one of {', '.join((*SUFFIXES, *PICTURES))}"
        raise Refused(str(path), "is not an image file by its name", remedy)
    if path.stat().st_size == 0:
        raise Refused(str(path), "is empty (0 bytes)", "copy or export the scan again")


def _open(path: Path) -> Any:
    """Return the nibabel image, header read and voxels not."""
    _refuse_half_a_pair(path)
    try:
        with nib.imageglobals.LoggingOutputSuppressor():
            _refuse_cut_header(path)
            return nib.load(path)
    except ImageFileError:
        why = "is not an image that can be read: its content is not what its name says"
        raise Refused(str(path), why, "export the scan as NIfTI") from None
    except (HeaderDataError, OSError, ValueError, KeyError) as error:
        why = f"is not an image that can be read ({_first_line(error)})"
        raise Refused(str(path), why, "export the scan as NIfTI") from None


def _refuse_half_a_pair(path: Path) -> None:
    """Refuse a header without its voxels, or voxels without their header."""
    other = {".hdr": ".img", ".img": ".hdr"}.get(path.suffix.lower())
    if (
        other is None
        or path.with_suffix(other).exists()
        or path.with_suffix(other.upper()).exists()
    ):
        return
    name = path.with_suffix(other).name
    raise Refused(str(path), f"has no {name} beside it", "copy both files of the pair")


def _refuse_cut_header(path: Path) -> None:
    """Refuse a compressed file that ends within its header."""
    if path.suffix.lower() not in (".gz", ".mgz"):
        return
    try:
        with gzip.open(path) as file:
            file.read(HEADER_BYTES)
    except (EOFError, zlib.error) as error:
        why = f"the file is cut off or damaged ({_first_line(error)})"
        raise Refused(str(path), why, "copy the scan again") from None


def _refuse_constant(path: Path, values: np.ndarray) -> None:
    """Refuse voxels that show nothing."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise Refused(str(path), "holds no finite number", "export the scan again")
    if finite.min() == finite.max():
        every = "every voxel" if finite.size == values.size else "every finite voxel"
        raise Refused(str(path), f"{every} is {finite[0]:g}", "export the scan again")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _values(path: Path, image: Any) -> np.ndarray:
    """Return the voxels as float32; a file cut short is refused."""
    try:
        with np.errstate(all="ignore"):
            return np.asarray(image.dataobj, dtype=np.float32)
    except MemoryError:
        raise Refused(str(path), "does not fit into memory", "resample it first") from None
    except (EOFError, OSError, ValueError, zlib.error) as error:
        why = f"the file is cut off or damaged ({_first_line(error)})"
        raise Refused(str(path), why, "copy the scan again") from None


def _stored(image: Any, shape: tuple[int, int, int], affine: Affine) -> Stored:
    """Return what a file says of its voxels' places; sform code 1 (scanner) if it has no codes."""
    if not isinstance(image, nib.Nifti1Pair):
        return Stored(shape=shape, affine=affine)
    qform_code = int(image.header["qform_code"])
    return Stored(
        shape=shape,
        affine=affine,
        sform_code=int(image.header["sform_code"]),
        qform_code=qform_code,
        qform=np.asarray(image.header.get_qform(), np.float64) if qform_code else None,
    )


def _scaling_notes(image: Any) -> list[str]:
    """Say when the scaling of a NIfTI header means nothing and was taken as 1."""
    if not isinstance(image, nib.Nifti1Pair):
        return []
    header_file = image.file_map["header" if "header" in image.file_map else "image"].filename
    header = type(image.header)
    with nib.openers.ImageOpener(str(header_file)) as file:
        raw = header(file.read(header.template_dtype.itemsize), check=False)
    slope = float(raw["scl_slope"])
    if slope == 0 or not np.isfinite(slope):
        return [f"scl_slope is {slope:g}, which scales nothing: values are taken as stored"]
    return []
