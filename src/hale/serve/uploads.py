"""What a browser sends, written to disk as it comes: counted, and under names of our own."""

import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from hale.core.errors import Refused
from hale.serve.kinds import LIST
from hale.serve.station import Station

MOST_FILES = 20_000
"""Of one upload: a whole exam in single slices has a few thousand."""
NAME_LENGTH = 1024
"""Bytes of a file's name that are kept, to see what kind it is."""
SPARE = 2**30
"""Bytes that stay free on the disk."""


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """A file that was sent, under a number, and what it was called there."""

    path: Path
    name: str
    """Only ever read for its kind and contrast; it is no path."""


@dataclass
class Receiver:
    """Writes the parts of a multipart body into a folder; what `MultipartParser` calls."""

    folder: Path
    arrived: list[Arrived] = field(default_factory=list)
    _file: BinaryIO | None = None
    _header: bytes = b""
    _value: bytes = b""
    _disposition: bytes = b""

    def begin(self) -> None:
        """Begin a part."""
        self._header = self._value = self._disposition = b""

    def header_field(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's name."""
        self._header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's value."""
        self._value += data[start:end]

    def header_end(self) -> None:
        """Keep the one header that matters."""
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def headers_finished(self) -> None:
        """Open a file for a part that is one."""
        _, options = parse_options_header(self._disposition)
        if b"filename" not in options:
            return
        if len(self.arrived) >= MOST_FILES:
            raise Refused("the upload", f"is more than {MOST_FILES} files", "send one exam")
        name = options[b"filename"][:NAME_LENGTH].decode("utf-8", "replace")
        path = self.folder / f"{len(self.arrived):06d}"
        self.arrived.append(Arrived(path=path, name=name))
        self._file = path.open("xb")

    def data(self, data: bytes, start: int, end: int) -> None:
        """Write a piece of a file; form fields are dropped."""
        if self._file is not None:
            self._file.write(data[start:end])

    def finish(self) -> None:
        """Close a part's file."""
        if self._file is not None:
            self._file.close()
            self._file = None


async def receive(
    kind: str, chunks: AsyncIterator[bytes], station: Station
) -> tuple[Path, list[Arrived]]:
    """Write a multipart body into a new folder of uploads.

    Args:
        kind: The request's ``Content-Type``.
        chunks: Its body, whose size is bounded on the way.
        station: Where to.

    Returns:
        The upload's folder, and its files within ``incoming``.

    Raises:
        Refused: It is no such body, too many files, or more than the disk takes.
    """
    media, options = parse_options_header(kind)
    if media != b"multipart/form-data" or b"boundary" not in options:
        raise Refused("the upload", "is no form with files", "send multipart/form-data")
    folder = station.uploads / secrets.token_hex(8)
    incoming = folder / "incoming"
    incoming.mkdir(parents=True)
    receiver = Receiver(folder=incoming)
    try:
        await _written(receiver, options[b"boundary"], chunks)
    except BaseException as error:
        receiver.finish()
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, MultipartParseError):
            raise Refused("the upload", "is damaged", "send it again") from None
        if isinstance(error, OSError):
            why = f"cannot be kept ({error.strerror})"
            raise Refused("the upload", why, "free space") from None
        raise
    return folder, receiver.arrived


async def _written(receiver: Receiver, boundary: bytes, chunks: AsyncIterator[bytes]) -> None:
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": receiver.begin,
            "on_part_data": receiver.data,
            "on_part_end": receiver.finish,
            "on_header_field": receiver.header_field,
            "on_header_value": receiver.header_value,
            "on_header_end": receiver.header_end,
            "on_headers_finished": receiver.headers_finished,
        },
    )
    seen = 0
    async for chunk in chunks:
        if (seen := seen + len(chunk)) > SPARE // 64:
            refuse_full_disk(receiver.folder)
            seen = 0
        parser.write(chunk)
    parser.finalize()


def tidy(station: Station) -> None:
    """Delete what a station that was killed left of uploads that it had not sorted yet."""
    for folder in station.uploads.glob("*/"):
        unsorted = not (folder / LIST).is_file()
        shutil.rmtree(folder if unsorted else folder / "incoming", ignore_errors=True)


def refuse_full_disk(folder: Path) -> None:
    """Refuse to write on where little is left of the disk.

    Raises:
        Refused: It is.
    """
    if shutil.disk_usage(folder).free < SPARE:
        raise Refused("the upload", "does not fit on the disk", "free space")
