"""How a job is run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from hale.core.run import Precision
from hale.core.scan import Space
from hale.data.folder import Reading
from hale.io.cache import Cache
from hale.pipeline.prepare import Progress, Workshop, quiet, silent
from hale.pipeline.workers import Crew
from hale.prep.settings import Preparation


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a job is run; none of it is meant to change the result, but precision and budget do."""

    device: str = "auto"
    precision: Precision = Precision.AUTO
    devices: int = 0
    """Processes of a fit on each machine; 0: as many as have been started."""
    nodes: int = 0
    """Machines; 0: likewise."""
    compiled: bool = False
    """Whether networks are compiled."""
    budget_minutes: float | None = None
    resume: Literal["latest"] | int | None = None
    """``latest``, a step, or None for a fresh start."""
    anew: bool = False
    """Whether a fresh start may discard the checkpoints of an earlier run."""
    checkpoint_minutes: float = 5.0
    crew: Crew = field(default_factory=Crew)
    cache: Cache = field(default_factory=Cache)
    progress: Progress = silent
    tell: Callable[[str], None] = quiet
    """Told what a user should know before the work begins."""
    reading: Reading = field(default_factory=Reading)

    def workshop(self, settings: Preparation, space: Space) -> Workshop:
        """Return where scans are prepared for a model of ``space``."""
        return Workshop(
            settings=settings,
            space=space,
            cache=self.cache,
            crew=self.crew,
            progress=self.progress,
        )
