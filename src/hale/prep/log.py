"""What the stages of a preparation have to say."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hale.core.quality import ContrastSeen


def quiet(stage: str) -> None:
    """Say nothing."""


@dataclass
class Log:
    """Notes, wall time and figures of one preparation, filled as it goes."""

    notes: list[str]
    begun: Callable[[str], None] = quiet
    """Told each stage as it begins."""
    seconds: dict[str, float] = field(default_factory=dict)
    checks: dict[str, float] = field(default_factory=dict)
    contrasts: list[ContrastSeen] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        self.begun(name)
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
