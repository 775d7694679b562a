"""The contract: a method learns from a training set, the detector it returns scores any scan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from hale.core.anomaly import AnomalyMap
from hale.core.errors import Refused
from hale.core.run import Precision, Run
from hale.core.scan import Case, Scan, Space
from hale.core.types import Image

State = Mapping[str, np.ndarray]
"""What was learnt, as named arrays: what safetensors can store."""


class Supervision(StrEnum):
    """What a method is allowed to see while it learns."""

    NONE = "the scan itself"
    HEALTHY = "healthy scans"
    LESION_MASKS = "healthy scans and lesion masks"


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a method learns from. The pipeline fills only what its supervision grants."""

    space: Space
    healthy: Sequence[Scan] = ()
    held_out: Sequence[Scan] = ()
    """Healthy scans for early stopping."""
    cases: Sequence[Case] = ()
    """Patients with their lesions, to learn from."""
    held_out_cases: Sequence[Case] = ()
    """Others, for early stopping."""
    pretrained: State | None = None
    """Arrays of an encoder that another run taught, if the recipe names one."""
    base: "Detector | None" = None
    """A fitted detector to build on, if the recipe names one."""


@runtime_checkable
class Detector(Protocol):
    """Something that has learnt what healthy looks like."""

    def score(self, scan: Scan) -> AnomalyMap:
        """Return the anomaly map of ``scan``. Pure: same scan, same map, whatever came before."""
        ...

    def state(self) -> State:
        """Return what was learnt."""
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """Optional: a detector that can show what it holds for healthy."""

    def reconstruct(self, scan: Scan, *, draw: int = 0, level: int | None = None) -> Image:
        """Return the pseudo-healthy image; ``draw`` and ``level`` seed and set stochastic ones."""
        ...


@runtime_checkable
class Placed(Protocol):
    """Optional: a detector whose arithmetic depends on where it runs.

    It is a frozen dataclass; ``dataclasses.replace(detector, device=..., precision=...)`` gives the
    same detector elsewhere. `Method.fit` returns it as the run was, `Method.restore` on the CPU in
    full precision. Score in the precision of the calibration: another one moves the null.
    """

    @property
    def device(self) -> str:
        """Return what torch calls it: ``cpu`` or ``cuda:0``."""
        ...

    @property
    def precision(self) -> Precision:
        """Return ``FULL`` or ``BF16``."""
        ...


@runtime_checkable
class Seeded(Protocol):
    """Optional: a detector that draws, or learns from the scan itself, while it scores.

    It is a frozen dataclass; ``dataclasses.replace(detector, seed=...)`` gives the same detector
    with other draws. Whatever it draws derives from (seed, ``scan.content``) alone.
    """

    @property
    def seed(self) -> int:
        """Return the seed of the run; the recipe's, once a pipeline has placed the detector."""
        ...


@runtime_checkable
class Estimates(Protocol):
    """Optional: a detector that takes its time, and can say how much before it begins."""

    def estimate(self, scan: Scan) -> float:
        """Return about how many seconds `Detector.score` takes at most, on this machine."""
        ...


@runtime_checkable
class Remarks(Protocol):
    """Optional: a detector that has something to say of a scan beside its map."""

    def remarks(self, scan: Scan) -> tuple[str, ...]:
        """Return what a reader of the map must know, a sentence each."""
        ...


@runtime_checkable
class Decides(Protocol):
    """Optional: a detector whose map may be a decision of its own, 0 where it finds nothing."""

    @property
    def has_decided(self) -> bool:
        """Say whether it is: such a map has no healthy distribution to calibrate."""
        ...


@runtime_checkable
class Method(Protocol):
    """Hyper-parameters, and how to learn with them. Implement it as a frozen dataclass."""

    supervision: ClassVar[Supervision]

    def fit(self, training: Training, run: Run) -> Detector:
        """Learn."""
        ...

    def restore(self, state: State, space: Space) -> Detector:
        """Rebuild the detector whose ``state`` was saved; refuse a state that is not its own."""
        ...


BASE = "base."
"""What the names of a base's arrays begin with in the state of a detector that builds on it."""


@runtime_checkable
class BuildsOn(Protocol):
    """Optional: a method whose detector works with one that was fitted before, `Training.base`.

    The base is part of its state (`BASE`), so that a saved model needs no other folder; and its
    detector is placed and seeded with it. `Method.restore` refuses: it has no base.
    """

    def base_of(self, base: Detector | None) -> Detector:
        """Return ``base``, which the method works with.

        Raises:
            Refused: It does not, or there is none.
        """
        ...

    def restore_on(self, base: Detector, state: State, space: Space) -> Detector:
        """Rebuild the detector on ``base``; ``state`` is its own without the base's arrays."""
        ...


@runtime_checkable
class TakesPretrained(Protocol):
    """Optional: a method that starts from an encoder if it is granted one, `Training.pretrained`.

    It fills the encoder of its network with it, all of it, and refuses one that does not fit.
    """

    takes_pretrained: ClassVar[bool]
    """Whether it does."""


@runtime_checkable
class Stage(Protocol):
    """A pretraining: learns like a method, but what a method starts from, and scores nothing.

    Implement it as a frozen dataclass.
    """

    supervision: ClassVar[Supervision]

    def fit(self, training: Training, run: Run) -> State:
        """Learn; return the arrays that are kept."""
        ...


@runtime_checkable
class Rescores(Protocol):
    """Optional: a method of which some settings change no weights, only what a detector scores.

    Restored with others of them, a state is that of the fit they would have had.
    """

    scoring: ClassVar[frozenset[str]]
    """Their names."""


def refuse_foreign_state(
    state: State,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    remedy: str = "restore it with the recipe that it was fitted with",
) -> None:
    """Refuse a state that is not of the arrays named in ``shapes``, all of them and no other.

    Raises:
        Refused: Names the first array that is missing, unknown or of another shape.
    """
    for name in sorted(shapes.keys() | state.keys()):
        what = f"model array {name!r}"
        if name not in state:
            raise Refused(what, "is missing", remedy)
        if name not in shapes:
            raise Refused(what, "is none of this method's", remedy)
        if (have := state[name].shape) != (want := shapes[name]):
            raise Refused(what, f"is {have}, this recipe's is {want}", remedy)
