"""How far a job is, and how long the rest takes: by what earlier results took."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hale.prep.settings import Mode
from hale.serve.files import write_table

USUAL = {
    "read": 1.0,
    "extract": 20.0,
    "bias": 10.0,
    "register": 15.0,
    "resample": 2.0,
    "check": 2.0,
    "tissue": 30.0,
    "score": 5.0,
    "undo": 2.0,
    "write": 3.0,
    "report": 5.0,
}
"""Seconds of a stage where nothing was measured yet."""
AGAIN = 0.5
"""Seconds of a stage that an earlier model of the job has done."""
SHARED = ("extract", "bias")
"""Stages whose results models share."""


def stages_of(mode: Mode) -> list[str]:
    """Return the stages of a scan that is prepared so, in order."""
    full = ["register", "resample"] if mode is Mode.FULL else []
    return ["read", "extract", "bias", *full, "check", "score", "undo", "write"]


@dataclass
class Progress:
    """Where a job is; written as it goes."""

    path: Path
    plan: Sequence[tuple[str, str, float]]
    """Name of the model, stage, expected seconds."""
    results: list[str] = field(default_factory=list)
    """Paths of results, below the folder of results."""
    at: int = 0

    def begin(self, model: str, stage: str, *, seconds: float | None = None) -> None:
        """Say that a stage begins; one that was begun before goes on.

        Args:
            model: That is asked.
            stage: One of the plan, or another.
            seconds: That it will take, where that is known.
        """
        steps = [(name, step) for name, step, _ in self.plan]
        if (model, stage) in steps:
            self.at = steps.index((model, stage))
        left = sum(expected for _, _, expected in self.plan[self.at :])
        if seconds is not None and self.plan:
            left += seconds - self.plan[self.at][2]
        self.write({"model": model, "stage": stage, "left": left})

    def write(self, said: Mapping[str, Any]) -> None:
        """Write where the job is."""
        table = {"done": self.at, "total": len(self.plan), "at": time.time()}
        write_table(self.path, {**table, "results": self.results, **said})


def expected(
    models: Sequence[tuple[str, Mode]], measured: Mapping[str, Mapping[str, float]]
) -> list[tuple[str, str, float]]:
    """Return the plan of a job.

    Args:
        models: Name and mode of each, in order.
        measured: Name -> stage -> seconds, of earlier results.
    """
    plan: list[tuple[str, str, float]] = []
    for number, (name, mode) in enumerate(models):
        known = {**USUAL, **measured.get(name, {})}
        for stage in stages_of(mode):
            again = number > 0 and stage in SHARED
            plan.append((name, stage, AGAIN if again else known[stage]))
        if number > 0 or len(models) == 1:
            plan.append((name, "report", USUAL["report"]))
    return plan if len(models) == 1 else [*plan, (models[0][0], "report", USUAL["report"])]
