"""`hale bench`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hale.cli.arguments import (
    DEFAULT_CACHE,
    BudgetOption,
    CacheOption,
    DeviceOption,
    JsonOption,
    PrecisionOption,
    RamOption,
    WorkersOption,
    crew_of,
    warn,
)
from hale.cli.output import print_json, say
from hale.cli.progress import Bars
from hale.core.errors import Refused
from hale.core.run import Device, Precision

if TYPE_CHECKING:
    from hale.bench.place import Place

FINISHED_WITH_FAILURES = 3


def command(
    suite: Annotated[
        str | None, typer.Argument(help="A bundled suite's name, or a TOML file.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder that the suite's folders of scans lie in.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of models, maps and results; goes on if it is there."),
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="Models fitted before, a folder named as each method.")
    ] = None,
    maps: Annotated[
        Path | None, typer.Option(help="Folder that maps by other software lie in.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a key of the suite, e.g. draws=500. Repeatable."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and its cost.")
    ] = False,
    only_figures: Annotated[
        bool, typer.Option("--figures", help="Measure the maps that are there; fit, score nothing.")
    ] = False,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    budget: BudgetOption = None,
    workers: WorkersOption = 0,
    max_ram: RamOption = None,
    cache: CacheOption = DEFAULT_CACHE,
    json: JsonOption = False,
) -> None:
    """Compare methods on the same scans: fit or reuse, score, measure, test, and show.

    Without a suite, list the bundled ones. A suite names healthy scans to learn from, cohorts to be
    tested on, and methods: recipes, single-scan methods, or folders of maps by other software. What
    is in OUT is not done again, so that a run that was stopped goes on by the same command. Before
    anything is fitted, the suite is checked for the ways to fool oneself: people on both sides,
    thresholds chosen on the test set, masks that are none.

    The result is OUT/leaderboard: index.html, leaderboard.md, leaderboard.json. What fails is a row
    with its reason, and the exit status is 3 then.

    Examples:
      hale bench

      hale bench phantom --out bench

      hale bench soop-flair --data scans/ --out bench --dry-run

      hale bench soop-flair --data scans/ --models models/ --out bench
    """
    from hale.bench.suite_file import read_suite

    if suite is None:
        _list(json=json)
        return
    chosen = read_suite(suite, setting or ())
    if out is None:
        raise Refused("--out", "is missing", "name a folder for models, maps and results")
    from hale.bench.board import board_of, is_whole, write_board
    from hale.bench.phantom import data_of
    from hale.bench.place import Place
    from hale.bench.run import as_it_is, rehearse, run
    from hale.io.cache import Cache
    from hale.pipeline.job import Options

    place = Place(
        data=data_of(chosen, data, out),
        out=out.resolve(),
        models=None if models is None else models.resolve(),
        maps=None if maps is None else maps.resolve(),
    )
    with Bars() as bars:
        options = Options(
            device=device,
            precision=precision,
            budget_minutes=budget,
            crew=crew_of(workers, max_ram),
            cache=Cache(cache.expanduser()),
            progress=bars,
            tell=warn,
        )
        if dry_run:
            say("\n".join(rehearse(chosen, place, options)))
            return
        outcome = (as_it_is if only_figures else run)(chosen, place, options)
        board = board_of(outcome, options)
    write_board(board, outcome)
    if json:
        print_json(board)
    else:
        _tell(place)
    if not is_whole(board):
        raise typer.Exit(FINISHED_WITH_FAILURES)


def _tell(place: "Place") -> None:
    """Print the leaderboard, and where the page is."""
    say((place.board / "leaderboard.md").read_text(encoding="utf-8").rstrip())
    say(f"open {place.board / 'index.html'}")


def _list(*, json: bool) -> None:
    """Print the bundled suites."""
    from hale.bench.suite_file import read_suite, suites

    titles = {name: read_suite(name).title for name in suites()}
    if json:
        print_json(titles)
    else:
        say("\n".join(f"{name}: {title}" for name, title in titles.items()))
