"""Files that were sent, before any parser sees them whole: headers first, sizes bounded."""

import gzip
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hale.core.errors import Refused
from hale.serve.volumes import LARGEST

HEADER = 540
"""Bytes of a NIfTI-2 header; that of NIfTI-1 has 348."""
SIZES = {348: 1, 540: 2}
"""First number of a header -> version of NIfTI."""
MAGICS = {1: (344, (b"n+1\0",)), 2: (4, (b"n+2\0",))}
"""Version -> where the word lies that says it is NIfTI in one file, and the word."""
BITS = (1, 8, 16, 32, 64, 128, 24, 96, 256)
FAR = 2**24
"""Bytes of header and its extensions."""
CHUNK = 2**20
SLACK = 2**20
"""Bytes that may follow the voxels."""
DEFLATED = b"1.2.840.10008.1.2.1.99"
"""Transfer syntax of a DICOM file that is compressed as a whole."""
HEAD = 4096


def check_nifti(path: Path) -> None:
    """Refuse what is no NIfTI file, claims more than a scan, or inflates to more than it claims.

    Raises:
        Refused: It does.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            start = file.read(HEADER)
            expected = _expected(start)
            if packed:
                _refuse_more(file, expected - len(start))
    except (OSError, EOFError, zlib.error):
        raise Refused("the file", "is cut off or damaged", "copy the scan again") from None
    if not packed and path.stat().st_size > expected + SLACK:
        raise Refused("the file", "holds more than its header says", "export it again")


def check_dicom(path: Path) -> None:
    """Refuse a DICOM file that would have to be inflated as a whole.

    Raises:
        Refused: It would.
    """
    with path.open("rb") as file:
        if DEFLATED in file.read(HEAD):
            raise Refused("a DICOM file", "is deflated", "export it uncompressed")


def check_slices(rows: int, columns: int, count: int) -> None:
    """Refuse a series that claims more voxels than a scan.

    Raises:
        Refused: It does.
    """
    if rows * columns * count > LARGEST:
        why = f"claims {rows} x {columns} x {count} voxels"
        raise Refused("a DICOM series", why, "give 512 x 512 x 512 or fewer")


def _expected(start: bytes) -> int:
    """Return how many bytes a NIfTI file has by its header.

    Raises:
        Refused: It is none, or claims more than a scan.
    """
    order = next((o for o in "<>" if _number(start, f"{o}i", 0) in SIZES), None)
    version = None if order is None else SIZES[int(_number(start, f"{order}i", 0))]
    if order is None or version is None or not _says_so(start, version):
        why = "is no NIfTI file, whatever its name says"
        raise Refused("the file", why, "export the scan as NIfTI, in one file")
    if version == 1:
        shape = struct.unpack_from(f"{order}8h", start, 40)
        bits, offset = _number(start, f"{order}h", 72), _number(start, f"{order}f", 108)
    else:
        shape = struct.unpack_from(f"{order}8q", start, 16)
        bits, offset = _number(start, f"{order}h", 14), _number(start, f"{order}q", 168)
    sides = shape[1 : 1 + max(0, min(7, shape[0]))]
    voxels = float(np.prod(sides, dtype=float))
    claims = " x ".join(map(str, sides)) or "no"
    odd = min(sides, default=0) < 1 or not 0 <= offset <= FAR or bits not in BITS
    if odd or voxels > LARGEST:
        why = f"its header claims {claims} voxels of {bits:g} bits after {offset:g} bytes"
        raise Refused("the file", why, "give a scan of 512 x 512 x 512 or fewer")
    return int(offset) + int(voxels) * int(bits) // 8


def _says_so(start: bytes, version: int) -> bool:
    at, words = MAGICS[version]
    return start[at : at + 4] in words


def _number(start: bytes, kind: str, at: int) -> float:
    """Return a number of a header; -1 where it is cut off."""
    if len(start) < at + struct.calcsize(kind):
        return -1.0
    return float(struct.unpack_from(kind, start, at)[0])


def _refuse_more(file: "gzip.GzipFile | BinaryIO", left: int) -> None:
    """Refuse a compressed file that goes on after ``left`` bytes; they are not kept.

    Raises:
        Refused: It does.
    """
    while chunk := file.read(CHUNK):
        left -= len(chunk)
        if left < -SLACK:
            why = "inflates to more than its header says"
            raise Refused("the file", why, "export it again")
