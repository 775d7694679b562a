"""What a station is given at its start, and where it keeps its things."""

import re
from dataclasses import dataclass
from pathlib import Path

INSIDE = ".station"
"""Folder of the station's own files, beside the results."""
GIB = 2**30
BIDS = re.compile(r"sub-[A-Za-z0-9]+(?:_ses-[A-Za-z0-9]+)?")
"""A name that is a pseudonym by its kind."""
BIDS_FILE = re.compile(r"sub-[A-Za-z0-9]+(_[a-z]+-[A-Za-z0-9]+)*_[A-Za-z0-9]+\.[a-z.]{3,6}")
"""The same of a file."""


@dataclass(frozen=True, kw_only=True)
class Station:
    """A folder of results, and what may be brought to it."""

    folder: Path
    """Holds results at any depth. It is the whole state: there is no database."""
    models: tuple[Path, ...] = ()
    """Folders of models, at any depth."""
    scans: Path | None = None
    """Folder of scans to pick from."""
    cache: Path | None = None
    """Where stages of preparations are kept; None: within the folder."""
    keep_identifiers: bool = False
    """Whether names of people and of files may be shown, and written to results."""
    max_upload: int = 4 * GIB
    """Bytes that one upload may have."""
    device: str = "auto"
    """Where networks run."""

    @property
    def inside(self) -> Path:
        """Return the folder of the station's own files."""
        return self.folder / INSIDE

    @property
    def uploads(self) -> Path:
        """Return the folder of what was brought."""
        return self.inside / "uploads"

    @property
    def jobs(self) -> Path:
        """Return the folder of jobs, a folder each."""
        return self.inside / "jobs"

    @property
    def thumbnails(self) -> Path:
        """Return the folder of small pictures; it can be deleted."""
        return self.inside / "thumbnails"

    @property
    def stages(self) -> Path:
        """Return the folder of prepared stages."""
        return self.cache or self.inside / "cache"

    def shows(self, file: str) -> bool:
        """Say whether a file's name may be written: one of BIDS names no person."""
        return self.keep_identifiers or BIDS_FILE.fullmatch(file) is not None

    def named(self, name: str, content: str) -> str:
        """Return what to call an exam: its name, or what says nothing of a person.

        Names ``sub-01`` and ``sub-01_ses-2`` are pseudonyms already.

        Args:
            name: By its files.
            content: A hash of them.
        """
        if self.keep_identifiers or BIDS.fullmatch(name):
            return name
        return f"exam-{content[:8]}"
