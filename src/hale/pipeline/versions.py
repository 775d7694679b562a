"""What computed a result, and when: every model, map and table says so."""

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hale

LIBRARIES = ("numpy", "scipy", "torch", "SimpleITK", "nibabel", "deepbet", "lightning-fabric")


def versions() -> dict[str, Any]:
    """Return the versions of `hale`, Python and libraries, the git commit if any, and the date."""
    return {
        "hale": hale.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        "versions": dict(_libraries()),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def _libraries() -> tuple[tuple[str, str], ...]:
    return tuple((name, version(name)) for name in LIBRARIES)


@cache
def commit() -> str | None:
    """Return the git commit of this copy of `hale`, ``+`` if it was changed since.

    None where it is installed without its history, though in a folder that has one of its own.
    """
    here = Path(hale.__file__).parent
    if _git(here, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    name = _git(here, "rev-parse", "HEAD")
    return name and name + ("+" if _git(here, "status", "--porcelain", "--", str(here)) else "")


def _git(here: Path, *words: str) -> str | None:
    """Return what git says of a folder; None if there is no git, or it refuses."""
    try:
        told = subprocess.run(
            ("git", "-C", str(here), *words), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip()
