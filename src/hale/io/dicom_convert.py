"""From a DICOM series to one NIfTI by dcm2niix, its geometry checked against the headers.

X. Li et al., "The first step for neuroimaging data analysis: DICOM to NIfTI conversion", J Neurosci
Methods 2016;264:47 (doi:10.1016/j.jneumeth.2016.03.001).
"""

import subprocess
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np

from hale.core.errors import Refused
from hale.core.types import Affine
from hale.io.dicom_files import tolerant
from hale.io.dicom_series import ASTRAY, Series

OPTIONS = (
    *("-g", "i"),  # no defaults file of the user's
    *("-b", "y", "-ba", "y", "-c", ""),  # a side-car without person and dates, no comment
    *("-z", "n", "-f", "volume", "-d", "0"),
    *("-m", "y", "-x", "i"),  # one stack as it is: not split, cropped or turned
)


def convert(series: Series, into: Path) -> Path:
    """Write a series as ``series-<key>.nii`` with a side-car that names no person and no date.

    The order of files, of instance numbers and of frames does not matter: places do.

    Args:
        series: Of `find_series`.
        into: A folder that exists.

    Raises:
        Refused: dcm2niix cannot read it, or the slices do not lie on one regular grid: one is
            missing, the gantry was tilted, several volumes are interleaved.
    """
    import dcm2niix  # type: ignore[import-untyped]

    expected = _affine(series)
    with TemporaryDirectory(prefix="hale-dicom-") as folder:
        files, written = Path(folder) / "files", Path(folder) / "written"
        files.mkdir()
        written.mkdir()
        _lay_out(series, files)
        done = subprocess.run(
            [dcm2niix.bin, *OPTIONS, "-o", str(written), str(files)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        found = sorted(written.glob("*.nii"))
        said = _complaints(done.stdout + done.stderr, files)
        if done.returncode != 0 or not found:
            why = f"dcm2niix cannot convert it ({said or f'exit status {done.returncode}'})"
            raise _refused(series, why, "export the series again")
        if len(found) > 1:
            names = ", ".join(path.stem.removeprefix("volume") or "the whole" for path in found)
            why = f"dcm2niix makes {len(found)} volumes of it ({names})"
            raise _refused(series, why, "give one of them as NIfTI")
        _check_geometry(series, found[0], expected)
        target = into / f"series-{series.key}.nii"
        for path in (found[0].with_suffix(".json"), found[0]):
            target.with_suffix(path.suffix).write_bytes(path.read_bytes())
    return target


def _affine(series: Series) -> Affine:
    """Return column, row, slice index to mm RAS+, as the headers say, slices by place.

    Raises:
        Refused: They do not lie on a regular grid.
    """
    first, last = series.frames[0].affine, series.frames[-1].affine
    if series.irregular or first is None or last is None:
        remedy = "export the whole series again, or give it as NIfTI"
        raise _refused(series, "; ".join(series.irregular), remedy)
    first[:, 2] = (last[:, 3] - first[:, 3]) / (series.count - 1)
    return first


def _lay_out(series: Series, folder: Path) -> None:
    """Put what dcm2niix is to read into a folder: links to slices, or a file of frames in order."""
    if series.frames[0].index is None:
        for n, path in enumerate(series.files):
            (folder / f"{n:05d}").symlink_to(path.resolve())
        return
    if len(series.files) > 1:
        why = f"its slices are spread over {len(series.files)} multi-frame files"
        raise _refused(series, why, "export it as one file, or give it as NIfTI")
    order = [frame.index for frame in series.frames if frame.index is not None]
    try:
        _write_in_order(series.files[0], order, folder / "frames")
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
        if np.abs(np.diff(order)).max() > 1:
            why = f"its frames are out of order and cannot be read ({error})"
            raise _refused(series, why, "export it uncompressed") from None
        (folder / "frames").unlink(missing_ok=True)
        (folder / "frames").symlink_to(series.files[0].resolve())


def _write_in_order(source: Path, order: Sequence[int], path: Path) -> None:
    """Write a multi-frame file with only the frames of ``order``, in it.

    dcm2niix trusts the dimension indices of frames; where they are wrong, slices are misplaced. A
    compression that pydicom lacks is left to dcm2niix, if the frames lie in order.
    """
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian

    with tolerant():
        read = dcmread(source)
        groups = read.PerFrameFunctionalGroupsSequence
        read.PixelData = np.ascontiguousarray(read.pixel_array[list(order)]).tobytes()
        read["PixelData"].VR = "OW"
        read.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        read.NumberOfFrames = len(order)
        read.PerFrameFunctionalGroupsSequence = [groups[n] for n in order]
        for place, group in enumerate(read.PerFrameFunctionalGroupsSequence, 1):
            for content in group.get("FrameContentSequence") or ():
                content.InStackPositionNumber = place
                content.DimensionIndexValues = [1, place]
        read.save_as(path, enforce_file_format=True)


def _check_geometry(series: Series, path: Path, expected: Affine) -> None:
    """Refuse a volume whose corners lie elsewhere than the headers say."""
    image: Any = nib.load(path)
    shape = (series.shape[1], series.shape[0], series.count)
    if image.shape != shape:
        why = f"dcm2niix makes {image.shape} voxels of it, its headers say {shape}"
        raise _refused(series, why, "give it as NIfTI")
    corners = np.array([(*c, 1) for c in product(*((0, n - 1) for n in shape))], float).T
    index = (np.linalg.inv(expected) @ image.affine @ corners)[:3]
    distance = np.abs(index[:, :, None] - corners[:3, None, :]).max(0).min(1).max()
    if distance > ASTRAY:
        why = f"dcm2niix puts it {distance:.1f} voxels from where its headers do"
        raise _refused(series, why, "export it as classic DICOM, or give it as NIfTI")


def _complaints(output: str, files: Path) -> str:
    """Return what dcm2niix warned of, without the names of our temporary files."""
    lines = [line.strip() for line in output.replace(str(files), "").splitlines()]
    return "; ".join(line for line in lines if line.startswith(("Warning", "Error", "FileSize")))


def _refused(series: Series, why: str, remedy: str) -> Refused:
    return Refused(f"series {series}", why, remedy)
