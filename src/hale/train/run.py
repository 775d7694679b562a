"""The run: the training loop as a generator, on Lightning Fabric. The method drives it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer

from hale.core.errors import Refused
from hale.core.run import Device, Precision
from hale.nets.blocks import to_channels_last
from hale.train.checkpoint import Checkpoints, Resume
from hale.train.compiling import compiled
from hale.train.device import repeatable
from hale.train.draws import Draw
from hale.train.log import every, forget, record
from hale.train.progress import reporting
from hale.train.team import Team, joined


@dataclass(eq=False)
class FabricRun:
    """A run on one process, or on all of a team. It serves one fit.

    Raises:
        Refused: The device is not there, or the budget is none.
    """

    _: KW_ONLY
    seed: int = 0
    device: str = Device.AUTO
    """As asked for; then what torch calls it. That of the team, if there is one."""
    precision: Precision = Precision.AUTO
    """As asked for; then what it has been resolved to. Likewise."""
    team: Team | None = None
    """The processes that share the run; None: those that were started, if this is one of several.
    """
    folder: Path | None = None
    """Where checkpoints and ``log.jsonl`` go; None: nowhere."""
    budget_minutes: float | None = None
    """Of the whole run, interruptions not counted; None: no limit, and time decides nothing."""
    fingerprint: str = ""
    """Of the recipe; a checkpoint of another one is refused."""
    resume: Resume = None
    keep: int = 3
    """Newest checkpoints that stay."""
    save_seconds: float = 300.0
    """Time between checkpoints, s; there is one at the end too."""
    save_steps: int | None = None
    """Steps between checkpoints; if given, time is not looked at."""
    clip_norm: float = 1.0
    """Largest norm of the gradient, where a step names none; 0: not limited."""
    compiled: bool = False
    """Whether networks are compiled: sooner or not, the same but for rounding."""
    clock: Callable[[], float] = time.monotonic
    """Seconds since whenever."""
    steps_done: int = field(default=0, init=False)
    """Over the whole run, interruptions included."""
    finished: bool = field(default=False, init=False)
    """Whether all steps were done; False if the budget cut the run."""

    def __post_init__(self) -> None:
        """Join the other processes."""
        if self.budget_minutes is not None and not self.budget_minutes > 0:
            given = f"a budget of {self.budget_minutes:g} minutes"
            raise Refused(given, "leaves no time to learn", "give more than 0, or none")
        self.team = self._team = self.team or joined(self.device, self.precision)
        self._fabric = self._team.fabric
        self.device, self.precision = self._team.device, self._team.precision
        self._nets: dict[Any, Any] = {}
        self._number = 0
        self._seconds = 0.0

    def setup(self, net: nn.Module, optimiser: Optimizer) -> tuple[Any, Any]:
        """Return both placed on the device, wrapped for precision and data parallelism."""
        net = to_channels_last(net, self._fabric.device)
        given = compiled(net) if self.compiled else net
        wrapped, taught = self._fabric.setup(given, optimiser)
        self._nets[taught] = wrapped
        return wrapped, taught

    def steps(self, total: int, **state: Any) -> Iterator["FabricStep"]:
        """Yield the steps still to do; ``state`` (things with a ``state_dict``) is checkpointed."""
        self._restore(state)
        spent, began = self._seconds, self.clock()
        saved_at, saved_number = spent, self.steps_done
        start = self._progress(self.steps_done, total)
        quiet = not self._team.is_first
        with repeatable(self.precision), reporting(total, start=start, quiet=quiet) as report:
            for number in range(self.steps_done, total):
                progress = self._progress(number, total)
                if progress >= 1:  # out of time
                    break
                self._number = number
                torch.manual_seed(mixed(self.seed, number, self.rank, 0))  # dropout and the like
                yield FabricStep(self, number, progress, is_logged=number % every(total) == 0)
                self.steps_done = number + 1
                self._seconds = self._agreed(spent + self.clock() - began)
                report(self.steps_done, self._progress(self.steps_done, total))
                if self._is_due(self._seconds - saved_at):
                    self._save(state)
                    saved_at, saved_number = self._seconds, self.steps_done
        self.finished = self.steps_done >= total
        if saved_number < self.steps_done:
            self._save(state)

    def descend(
        self, loss: Float[Tensor, ""], optimiser: Any = None, *, clip: float | None = None
    ) -> None:
        """Backpropagate, clip the gradient, step the optimiser; for the step in progress.

        Raises:
            Refused: The gradient is not finite.
            ValueError: Several optimisers were set up, and none is named.
        """
        if optimiser is None:
            optimiser = self._only()
        optimiser.zero_grad()
        self._fabric.backward(loss)
        norm = self._fabric.clip_gradients(
            self._nets[optimiser],
            optimiser,
            max_norm=(self.clip_norm if clip is None else clip) or inf,
            error_if_nonfinite=False,
        )
        if norm is not None and not torch.isfinite(norm):
            why = f"the gradient is not finite (loss {float(loss.detach()):.3g})"
            remedy = "lower method.lr, or fit in precision 32"
            raise self._team.common(Refused(f"step {self._number}", why, remedy))
        optimiser.step()

    def log(self, **figures: float) -> None:
        """Record figures of the current step in ``log.jsonl``."""
        if self.folder is None or not self._team.is_first:
            return
        when = {"step": self._number, "seconds": round(self._seconds, 1)}
        record(self.folder / "log.jsonl", {**when, **figures})

    @property
    def rank(self) -> int:
        """Return which of the processes this is, from 0."""
        return self._team.rank

    @property
    def processes(self) -> int:
        """Return how many processes share each step."""
        return self._team.size

    def refuse_unequal_shares(self, size: int) -> None:
        """Refuse a batch whose mean gradient would not be the mean of its shares' gradients.

        Raises:
            Refused: The number of processes does not divide ``size``.
        """
        if size % self.processes:
            why = f"{self.processes} processes cannot share it equally"
            remedy = f"set method.batch to a multiple of {self.processes}, or start other processes"
            raise self._team.common(Refused(f"a batch of {size}", why, remedy))

    def _only(self) -> Any:
        if len(self._nets) != 1:
            raise ValueError(f"which of the {len(self._nets)} optimisers is to step?")
        (optimiser,) = self._nets
        return optimiser

    def _progress(self, number: int, total: int) -> float:
        if self.budget_minutes is None:
            return number / total
        return max(number / total, self._seconds / (60 * self.budget_minutes))

    def _agreed(self, seconds: float) -> float:
        """Return the first process's time, so that all save, and stop, after the same step."""
        saves_by_time = self.folder is not None and self.save_steps is None
        has_clock = self.budget_minutes is not None or saves_by_time
        return self._team.told(seconds) if has_clock else seconds

    def _is_due(self, seconds: float) -> bool:
        if self.save_steps is not None:
            return self.steps_done % self.save_steps == 0
        return seconds >= self.save_seconds

    def _checkpoints(self, folder: Path) -> Checkpoints:
        return Checkpoints(folder=folder, fingerprint=self.fingerprint, keep=self.keep)

    def _save(self, state: dict[str, Any]) -> None:
        if self.folder is None:
            return
        checkpoints = self._checkpoints(self.folder)

        def saved() -> None:
            dicts = {name: thing.state_dict() for name, thing in state.items()}
            counters = {"steps_done": self.steps_done, "seconds": self._seconds}
            checkpoints.save(self.steps_done, {"state": dicts, "run": counters})

        self._team.alone(saved)

    def _restore(self, state: dict[str, Any]) -> None:
        """Go on from the wanted checkpoint, if there is one."""
        if self.folder is None:
            return
        checkpoints = self._checkpoints(self.folder)
        saved = self._team.in_turn(lambda: checkpoints.load(self.resume))
        self.steps_done = saved["run"]["steps_done"] if saved else 0
        if len(found := set(self._team.all_say(self.steps_done))) > 1:
            why = f"the processes find different checkpoints there (steps {sorted(found)})"
            remedy = "give a folder that all machines share"
            raise self._team.common(Refused(str(self.folder), why, remedy))
        if self._team.is_first:
            forget(self.folder / "log.jsonl", self.steps_done)
        if saved:
            self._seconds = saved["run"]["seconds"]
            for name, thing in state.items():
                thing.load_state_dict(saved["state"][name])
            for optimiser in self._nets:
                lay_out_like_parameters(optimiser)


@dataclass(eq=False)
class FabricStep:
    """One optimiser step. Everything random in it derives from (seed, number) alone."""

    run: FabricRun
    number: int
    progress: float
    _: KW_ONLY
    is_logged: bool

    def __post_init__(self) -> None:
        """Seed the generators: one per process, and one that draws the same in all."""
        run, number = self.run, self.number
        own, shared = mixed(run.seed, number, run.rank, 1), mixed(run.seed, number, 0, 3)
        self.generator = Draw(own, shared, run.rank, run.processes)
        self._indices = self._indices_of(number)

    def draw(self, count: int, *, size: int, of: int | None = None) -> Int[Tensor, " n"]:
        """Return this process's share of ``size`` indices below ``count``, drawn at random.

        ``of`` is the number of an earlier step whose first draw is to be repeated.

        Raises:
            Refused: The processes cannot share so many equally.
        """
        self.run.refuse_unequal_shares(size)
        generator = self._indices if of is None else self._indices_of(of)
        indices = torch.randint(count, (size,), generator=generator)
        return indices[self.run.rank :: self.run.processes]

    def descend(
        self,
        loss: Float[Tensor, ""],
        optimiser: Any = None,
        *,
        clip: float | None = None,
        name: str = "loss",
    ) -> None:
        """Backpropagate ``loss``, clip the gradient, step the optimiser, log the loss as ``name``.

        ``optimiser`` is one that `FabricRun.setup` returned; a single one needs no telling.
        ``clip`` is the largest norm of the gradient; 0: not limited; None: the run's.
        """
        self.run.descend(loss, optimiser, clip=clip)
        if self.is_logged:
            self.run.log(**{name: float(loss.detach())})

    def _indices_of(self, number: int) -> torch.Generator:
        return torch.Generator().manual_seed(mixed(self.run.seed, number, 0, 2))


def mixed(*numbers: int) -> int:
    """Return one seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def lay_out_like_parameters(optimiser: Optimizer) -> None:
    """Give loaded moments the memory layout of their parameters, as if they had grown there."""
    for parameter, moments in optimiser.state.items():
        for name, value in moments.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter).copy_(value)
