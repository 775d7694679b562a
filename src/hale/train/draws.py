"""What is drawn at random for a batch that several processes share."""

from dataclasses import dataclass

from torch import Generator


class Draw(Generator):
    """A process's own generator, which draws other numbers than those of the other processes.

    It knows another one, ``shared``, which draws the same in all of them.
    """

    shared: Generator
    rank: int
    processes: int

    def __new__(cls, *_: int) -> "Draw":
        """Make a generator on the CPU."""
        return super().__new__(cls)

    def __init__(self, own: int, shared: int, rank: int, processes: int) -> None:
        self.manual_seed(own)
        self.shared = Generator().manual_seed(shared)
        self.rank, self.processes = rank, processes


@dataclass(frozen=True)
class Batch:
    """All slices of a step, and which of them are this process's."""

    draw: Generator
    """The same in all processes."""
    size: int
    mine: slice


def batch_of(draw: Generator, count: int) -> Batch:
    """Return the batch of which this process has ``count`` slices.

    What is drawn for all of it does not depend on how many processes share it, so that each slice
    is taught the same by one as by many::

        batch = batch_of(draw, len(x))
        t = torch.randint(1000, (batch.size,), generator=batch.draw)[batch.mine]

    A generator that is not of a run, as on held-out slices, draws for one process.
    """
    if not isinstance(draw, Draw):
        return Batch(draw, count, slice(None))
    return Batch(draw.shared, count * draw.processes, slice(draw.rank, None, draw.processes))
