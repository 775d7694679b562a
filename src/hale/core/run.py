"""What a fit is given to work with: device, precision, and the steps of a training loop."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


class Device(StrEnum):
    """Where tensors live."""

    AUTO = "auto"
    """The first accelerator if there is one."""
    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """Which arithmetic networks are run in."""

    AUTO = "auto"
    """``BF16`` on an accelerator and on a processor that computes in bfloat16, else ``FULL``."""
    FULL = "32"
    BF16 = "bf16-mixed"
    """Convolutions and matrix products in bfloat16, weights and sums in float32."""


@runtime_checkable
class Step(Protocol):
    """One optimiser step of a run. Everything random in it derives from (seed, number) alone.

    The global generator of torch is seeded before each step too, so dropout obeys the same rule.
    """

    number: int
    """0, 1, 2, ... over the whole run, interruptions included."""
    progress: float
    """Share of the run that is behind: of the steps, or of the time budget if that is further."""
    generator: Any
    """For noise (``torch.randn(..., generator=step.generator)``); on the CPU, whatever the device.

    Each process of a parallel run has its own. `hale.train.draws.batch_of` gives, from it, one that
    is the same in all: what is drawn for the whole batch from that one, each process taking its
    share, does not depend on how many processes there are.
    """

    def draw(self, count: int, *, size: int, of: int | None = None) -> Any:
        """Return this process's share of ``size`` indices below ``count``, drawn at random.

        ``of`` is the number of an earlier step whose first draw is to be repeated. A ``size`` that
        the processes cannot share equally is refused: the mean of their gradients would not be
        that of the batch.
        """
        ...

    def descend(
        self, loss: Any, optimiser: Any = None, *, clip: float | None = None, name: str = "loss"
    ) -> None:
        """Backpropagate ``loss``, clip the gradient, step the optimiser, log the loss as ``name``.

        ``optimiser`` is one that `Run.setup` returned; a run with a single one needs no telling.
        ``clip`` is the largest norm of the gradient; 0: not limited; None: the run's.
        """
        ...


@runtime_checkable
class Run(Protocol):
    """What a fit is given to work with: device, precision, seed, budget, a place for checkpoints.

    The same visible loop runs on a CPU, a GPU or many nodes::

        torch.manual_seed(run.seed)  # initial weights
        net, adam = run.setup(net, adam)
        for step in run.steps(20_000, net=net, adam=adam):
            x = slices[step.draw(len(slices), size=32)]
            step.descend(loss(net(x), x))

    Several networks are set up one by one, each with its optimiser, and checkpointed together;
    a step descends one of them: ``step.descend(loss, adam)``. While one learns, call the others
    bare, as they were before `setup`: the wrapper is for the one whose gradient is wanted.
    """

    device: str
    """What torch calls it: ``cpu`` or ``cuda:0``."""
    precision: Precision
    """``FULL`` or ``BF16``: ``AUTO`` has been resolved."""
    seed: int
    folder: Path | None

    def setup(self, net: Any, optimiser: Any) -> tuple[Any, Any]:
        """Return both placed on the device, wrapped for precision and data parallelism.

        Call it once for each network, before `steps`.
        """
        ...

    def steps(self, total: int, **state: Any) -> Iterator[Step]:
        """Yield the steps still to do; ``state`` (things with a ``state_dict``) is checkpointed.

        A fit loops over it once, to the end; what happens inside the loop's body is undone by an
        interruption and done again, the same, after it.
        """
        ...

    def log(self, **figures: float) -> None:
        """Record figures of the current step."""
        ...
