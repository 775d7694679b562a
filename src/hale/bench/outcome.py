"""What came of a suite: its jobs and cases, and what failed, with the reason."""

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from hale.bench.place import Place, Run
from hale.bench.plan import Job
from hale.bench.suite import Suite
from hale.core.errors import Refused
from hale.data.cohort import Entry
from hale.pipeline.workers import Failure

Result = TypeVar("Result")
ALL = "*"
"""Id of a failure that is of all scans."""
FAILURES = "failures.json"
"""Why runs have no model, and scans no map."""


@dataclass(kw_only=True, eq=False)
class Outcome:
    """What came of a suite, beside what lies in its folder."""

    suite: Suite
    place: Place
    jobs: list[Job]
    cases: Mapping[str, Sequence[Entry]]
    """Of each cohort, each with its reference mask where it has one."""
    told: tuple[str, ...]
    """What readers must know of the data."""
    broken: dict[str, str] = field(default_factory=dict)
    """Runs that have no model, and why."""
    failed: dict[tuple[str, str], list[Failure]] = field(default_factory=dict)
    """Scans of a run and a cohort that have no map, and why; `ALL`: the cohort as a whole."""

    def reasons(self, run: Run, cohort: str) -> dict[str, Failure]:
        """Return why scans of a run have no map, by id; a run without a model fails on all."""
        known = {one.id: one for one in self.failed.get((str(run), cohort), ())}
        if str(run) in self.broken:
            known[ALL] = Failure(id=ALL, reason=self.broken[str(run)])
        return known

    def keep(self) -> None:
        """Write what failed, for whoever measures the maps later."""
        told = {
            "broken": self.broken,
            "failed": [
                [run, cohort, one.id, one.reason]
                for (run, cohort), some in self.failed.items()
                for one in some
            ],
        }
        part = self.place.out / f".{FAILURES}.part"
        part.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        part.replace(self.place.out / FAILURES)

    def recall(self) -> None:
        """Read what failed when the maps were made."""
        there = self.place.out / FAILURES
        if not there.is_file():
            return
        told = json.loads(there.read_text(encoding="utf-8"))
        self.broken |= told["broken"]
        for run, cohort, name, reason in told["failed"]:
            self.failed.setdefault((run, cohort), []).append(Failure(id=name, reason=reason))


def attempt(
    work: Callable[[], Result], outcome: Outcome, run: Run
) -> tuple[Result | None, str | None]:
    """Return what a piece of work gives, or why it failed: one method must not stop the others.

    What is no refusal is a defect: its traceback is kept, for its author, in ``errors/<run>.txt``.
    """
    try:
        return work(), None
    except Refused as refusal:
        return None, str(refusal)
    except Exception as error:
        log = outcome.place.out / "errors" / f"{run}.txt"
        log.parent.mkdir(exist_ok=True)
        log.write_text(traceback.format_exc(), encoding="utf-8")
        return None, f"{type(error).__name__}: {error}; see {log.relative_to(outcome.place.out)}"
