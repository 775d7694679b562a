"""The run: the training loop as a generator, on Lightning Fabric. The method drives it."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from hale.core.errors import Refused
from hale.core.method import Device, Precision
from hale.nets.blocks import to_channels_last
from hale.train.checkpoint import Checkpoints, Resume
from hale.train.device import repeatable, resolve_device, resolve_precision
from hale.train.draws import Draw
from hale.train.progress import reporting

LOG_LINES = 1000
"""About how many losses a run records."""


@dataclass(eq=False)
class FabricRun:
    """A run on one process, or on as many as ``devices`` x ``nodes``. It serves one fit.

    Raises:
        Refused: The device is not there, or the budget is none.
    """

    _: KW_ONLY
    seed: int = 0
    device: str = Device.AUTO
    """As asked for; then what torch calls it."""
    precision: Precision = Precision.AUTO
    """As asked for; then what it has been resolved to."""
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
    devices: int = 1
    nodes: int = 1
    clock: Callable[[], float] = time.monotonic
    """Seconds since whenever."""
    steps_done: int = field(default=0, init=False)
    """Over the whole run, interruptions included."""
    finished: bool = field(default=False, init=False)
    """Whether all steps were done; False if the budget cut the run."""

    def __post_init__(self) -> None:
        """Resolve device and precision, and join the other processes."""
        if self.budget_minutes is not None and not self.budget_minutes > 0:
            given = f"a budget of {self.budget_minutes:g} minutes"
            raise Refused(given, "leaves no time to learn", "give more than 0, or none")
        accelerator = resolve_device(self.device)
        self.precision = resolve_precision(self.precision, accelerator)
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        self._fabric = Fabric(
            accelerator=accelerator.value,
            devices=self.devices,
            num_nodes=self.nodes,
            precision="bf16-mixed" if self.precision is Precision.BF16 else "32-true",
        )
        if self.devices * self.nodes > 1:
            self._fabric.launch()
        self.device = str(self._fabric.device)
        self._nets: dict[Any, Any] = {}
        self._number = 0
        self._seconds = 0.0

    def setup(self, net: nn.Module, optimiser: Optimizer) -> tuple[Any, Any]:
        """Return both placed on the device, wrapped for precision and data parallelism."""
        net = to_channels_last(net, self._fabric.device)
        wrapped, taught = self._fabric.setup(net, optimiser)
        self._nets[taught] = wrapped
        return wrapped, taught

    def steps(self, total: int, **state: Any) -> Iterator["FabricStep"]:
        """Yield the steps still to do; ``state`` (things with a ``state_dict``) is checkpointed."""
        self._restore(state)
        spent, began = self._seconds, self.clock()
        saved_at, saved_number = began, self.steps_done
        rank = self._fabric.global_rank
        start = self._progress(self.steps_done, total)
        quiet = rank > 0
        with repeatable(self.precision), reporting(total, start=start, quiet=quiet) as report:
            for number in range(self.steps_done, total):
                progress = self._progress(number, total)
                if progress >= 1:  # out of time
                    break
                self._number = number
                torch.manual_seed(mixed(self.seed, number, rank, 0))  # dropout and the like
                yield FabricStep(self, number, progress, is_logged=number % every(total) == 0)
                self.steps_done = number + 1
                self._seconds = self._agreed(spent + self.clock() - began)
                report(self.steps_done, self._progress(self.steps_done, total))
                if self._is_due(self.clock() - saved_at):
                    self._save(state)
                    saved_at, saved_number = self.clock(), self.steps_done
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
            raise Refused(f"step {self._number}", why, "lower method.lr, or fit in precision 32")
        optimiser.step()

    def log(self, **figures: float) -> None:
        """Record figures of the current step in ``log.jsonl``."""
        if self.folder is None or self._fabric.global_rank > 0:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        line = {"step": self._number, "seconds": round(self._seconds, 1), **figures}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    @property
    def rank(self) -> int:
        """Return which of the processes this is, from 0."""
        return self._fabric.global_rank

    @property
    def processes(self) -> int:
        """Return how many processes share each step."""
        return self._fabric.world_size

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
        """Return the first process's time, so that all stop at the same step."""
        if self.budget_minutes is None or self.processes == 1:
            return seconds
        return float(self._fabric.broadcast(seconds))

    def _is_due(self, seconds: float) -> bool:
        if self.save_steps is not None:
            return self.steps_done % self.save_steps == 0
        return seconds >= self.save_seconds

    def _checkpoints(self, folder: Path) -> Checkpoints:
        return Checkpoints(folder=folder, fingerprint=self.fingerprint, keep=self.keep)

    def _save(self, state: dict[str, Any]) -> None:
        if self.folder is None or self.rank > 0:
            return
        dicts = {name: thing.state_dict() for name, thing in state.items()}
        counters = {"steps_done": self.steps_done, "seconds": self._seconds}
        self._checkpoints(self.folder).save(self.steps_done, {"state": dicts, "run": counters})

    def _restore(self, state: dict[str, Any]) -> None:
        """Go on from the wanted checkpoint, if there is one."""
        if self.folder is None:
            return
        saved = self._checkpoints(self.folder).load(self.resume)
        self.steps_done = saved["run"]["steps_done"] if saved else 0
        if self.rank == 0:
            forget_log(self.folder / "log.jsonl", self.steps_done)
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
        refuse_unequal_shares(size, self.run.processes)
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


def refuse_unequal_shares(size: int, processes: int) -> None:
    """Refuse a batch whose mean gradient would not be the mean of its shares' gradients.

    Raises:
        Refused: ``processes`` does not divide ``size``.
    """
    if size % processes:
        why = f"{processes} processes cannot share it equally"
        remedy = f"set method.batch to a multiple of {processes}, or start other processes"
        raise Refused(f"a batch of {size}", why, remedy)


def mixed(*numbers: int) -> int:
    """Return one seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def every(total: int) -> int:
    """Return after how many steps a loss is recorded."""
    return max(1, total // LOG_LINES)


def forget_log(log: Path, step: int) -> None:
    """Drop the lines of ``step`` and later, which are to be done again."""
    if log.exists():
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] < step]
        log.write_text("".join(kept), encoding="utf-8")


def lay_out_like_parameters(optimiser: Optimizer) -> None:
    """Give loaded moments the memory layout of their parameters, as if they had grown there."""
    for parameter, moments in optimiser.state.items():
        for name, value in moments.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter).copy_(value)
