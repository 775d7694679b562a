"""What a reader says of a result: kept beside it, with who and when, never over it.

``review/review.json`` holds the state and its history; ``review/mask.nii.gz`` the mask as it was
drawn, earlier ones as ``mask.1.nii.gz``, ``mask.2.nii.gz``, ...
"""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

from hale.core.errors import Refused
from hale.serve.files import read_table, write_table

REVIEW = "review"
STATE, MASK = "review.json", "mask.nii.gz"
ONE_AT_A_TIME = Lock()
VERDICTS = ("accept", "reject")


def reviewed(folder: Path) -> bool:
    """Say whether somebody has looked at a result."""
    return (folder / REVIEW / STATE).is_file()


def state_of(folder: Path) -> dict[str, Any]:
    """Return the review of a result's folder; empty if there is none.

    Raises:
        Refused: There is one that cannot be read: it must not be written over.
    """
    empty: dict[str, Any] = {"lesions": {}, "comment": "", "mask": None, "history": []}
    table = read_table(folder / REVIEW / STATE)
    state = {**empty, **(table or {})}
    damaged = table is None and os.path.lexists(folder / REVIEW / STATE)
    if damaged or any(type(state[key]) is not type(empty[key]) for key in ("lesions", "history")):
        why = "the review of this result is damaged"
        raise Refused(f"{REVIEW}/{STATE}", why, "repair it, or move it away")
    return state


def keep_verdicts(
    folder: Path, who: str, lesions: Mapping[int, str | None], comment: str | None
) -> dict[str, Any]:
    """Add what somebody says of lesions, and return the review.

    Args:
        folder: Of the result.
        who: Says it.
        lesions: Number -> ``accept``, ``reject``, or None to take a verdict back.
        comment: In place of the one that was there; None leaves it.
    """
    with ONE_AT_A_TIME:
        state, when = state_of(folder), _now()
        for label, verdict in lesions.items():
            state["lesions"].pop(str(label), None)
            if verdict is not None:
                state["lesions"][str(label)] = {"verdict": verdict, "who": who, "when": when}
        said: dict[str, Any] = {"who": who, "when": when}
        if lesions:
            said["lesions"] = {str(label): verdict for label, verdict in lesions.items()}
        if comment is not None and comment != state["comment"]:
            state["comment"] = said["comment"] = comment
        return _kept(folder, state, said)


def keep_mask(folder: Path, who: str, part: Path, voxels: int) -> dict[str, Any]:
    """Put a drawn mask beside the result, keeping the one before it, and return the review.

    Args:
        folder: Of the result.
        who: Drew it.
        part: A NIfTI file in the folder of the review, to be renamed.
        voxels: How many it holds.
    """
    with ONE_AT_A_TIME:
        state, place = state_of(folder), folder / REVIEW / MASK
        said: dict[str, Any] = {"who": who, "when": _now(), "mask": MASK, "voxels": voxels}
        if place.is_file():
            said["replaces"] = _kept_aside(place)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(place)
        state["mask"] = {"who": who, "when": said["when"]}
        return _kept(folder, state, said)


def _kept_aside(mask: Path) -> str:
    """Give a mask a second name, the first that is free, and return it."""
    for number in count(1):
        older = mask.with_name(f"mask.{number}.nii.gz")
        if os.path.lexists(older):
            continue
        try:
            os.link(mask, older)
        except OSError:  # a disk without hard links
            shutil.copyfile(mask, older)
        return older.name
    raise AssertionError


def _kept(folder: Path, state: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    state["history"] = [*state["history"], said]
    write_table(folder / REVIEW / STATE, state)
    return state


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
