"""How far a run is: a bar on a terminal, a log line per tenth elsewhere."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Report = Callable[[int, float], None]
"""Called after each step with the steps that are done and the share of the run behind."""

_logger = logging.getLogger(__name__)


@contextmanager
def reporting(total: int, *, start: float = 0.0, quiet: bool = False) -> Iterator[Report]:
    """Give something to report progress to.

    Args:
        total: Steps of the whole run.
        start: Share of it that was behind already.
        quiet: Say nothing: not the first of several processes.
    """
    console = Console(stderr=True)
    if quiet:
        yield lambda _done, _share: None
    elif console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task("fit", total=1.0, steps=f"of {total}")
            bar.update(task, completed=start)

            def show(done: int, share: float) -> None:
                bar.update(task, completed=share, steps=f"{done}/{total}")

            yield show
    else:
        yield _lines(total, start)


def _bar(console: Console) -> Progress:
    steps = TextColumn("{task.fields[steps]} steps")
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        steps,
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
    )


def _lines(total: int, start: float) -> Report:
    """Return a report that logs each time that another tenth is behind."""
    tenth = int(start * 10)

    def line(done: int, share: float) -> None:
        nonlocal tenth
        if int(share * 10) > tenth:
            tenth = int(share * 10)
            _logger.info("%d of %d steps, %.0f %% of the run", done, total, 100 * share)

    return line
