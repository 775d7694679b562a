"""ZIP archives, unpacked under numbers: nothing in one says where it is written, or how much.

Names within are read for their kind only. Links, paths that leave the archive, encrypted and nested
archives are refused, and so is what would grow beyond its bounds; bytes are counted as they come,
whatever the archive's own table says.
"""

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from hale.core.errors import Refused
from hale.serve.uploads import MOST_FILES, Arrived, refuse_full_disk

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
NESTED = (".zip", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".gz")
"""What is no scan, but may hold some; ``.nii.gz`` is one."""
RATIO = 200
"""Growth of an archive beyond which it is no archive of scans, once it is larger than `FREE`."""
FREE = 64 * 2**20
UNPACKED = 4
"""Bytes that may come of an archive, in sizes of the largest upload."""
CHUNK = 2**20


def is_archive(path: Path) -> bool:
    """Say whether a file begins as a ZIP archive does."""
    with path.open("rb") as file:
        return file.read(4) in MAGIC


def unpack(archive: Arrived, into: Path, *, most_bytes: int) -> list[Arrived]:
    """Write the files of an archive into a folder, numbered.

    Args:
        archive: Of `is_archive`.
        into: A folder that exists, for this archive alone.
        most_bytes: That may come of it.

    Raises:
        Refused: It is damaged, or tries to escape or to explode.
    """
    try:
        with zipfile.ZipFile(archive.path) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            if len(members) > MOST_FILES:
                raise _refused(f"holds {len(members)} files")
            for member in members:
                _refuse_trick(member)
            limit = _limit(archive.path.stat().st_size, most_bytes)
            written: list[Arrived] = []
            for member in members:
                path = into / f"{len(written):06d}"
                limit -= _written(opened, member, path, limit)
                written.append(Arrived(path=path, name=member.filename))
            return written
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise _refused(f"is damaged ({type(error).__name__})") from None
    except OSError as error:
        why = f"cannot be kept ({error.strerror or error})"
        raise Refused("the archive", why, "free space") from None
    except (NotImplementedError, RuntimeError):  # of zipfile: a password, an unknown compression
        raise _refused("is encrypted, or compressed in an unusual way") from None


def _refuse_trick(member: zipfile.ZipInfo) -> None:
    """Refuse a member that is no plain file within the archive."""
    name = member.filename.replace("\\", "/")
    path = PurePosixPath(name)
    first = next(iter(path.parts), ":")
    if path.is_absolute() or ".." in path.parts or ":" in first:
        raise _refused("holds a path that leaves it")
    mode = member.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise _refused("holds a link, or what is no file")
    lower = name.lower()
    if lower.endswith(NESTED) and not lower.endswith(".nii.gz"):
        raise _refused("holds another archive")
    if member.flag_bits & 1:
        raise _refused("is encrypted")


def _limit(size: int, most_bytes: int) -> int:
    """Return how many bytes may come of an archive of ``size`` bytes."""
    return min(most_bytes, max(FREE, RATIO * size))


def _written(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, limit: int) -> int:
    """Write one member and return its bytes.

    Raises:
        Refused: It is more than the archive may become.
    """
    count = 0
    with opened.open(member) as source, path.open("xb") as target:
        while chunk := source.read(CHUNK):
            count += len(chunk)
            if count > limit:
                raise _refused("would unpack to more than scans do")
            refuse_full_disk(path.parent)
            target.write(chunk)
    return count


def _refused(why: str) -> Refused:
    return Refused("the archive", why, "send a plain ZIP of one exam, or its files")
