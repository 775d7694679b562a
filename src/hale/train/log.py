"""The figures of a run: ``log.jsonl``, a line of JSON for each recorded step."""

import json
from collections.abc import Mapping
from pathlib import Path

LINES = 1000
"""About how many losses a run records."""


def every(total: int) -> int:
    """Return after how many steps a loss is recorded."""
    return max(1, total // LINES)


def record(log: Path, line: Mapping[str, float | int]) -> None:
    """Add a line."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def forget(log: Path, step: int) -> None:
    """Drop the lines of ``step`` and later, which are to be done again."""
    if log.exists():
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] < step]
        log.write_text("".join(kept), encoding="utf-8")
