"""The commands put together, and what becomes of an error."""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

import typer
from rich.console import Console

from hale.cli import (
    calibrate,
    demo,
    detect,
    evaluate,
    fit,
    methods,
    phantom,
    recipe,
)
from hale.core.errors import Refused

HELP = """
Unsupervised anomaly detection in brain MRI: a raw scan in, calibrated findings out.

Start with [bold]hale demo[/]: it makes a small cohort, fits, calibrates, detects and reports.

With your own healthy scans (a BIDS-like folder):

  hale fit atlas-default --data HEALTHY/ --out models/atlas

  hale detect SCAN.nii.gz --model models/atlas --out OUT/

Research use only; not a medical device. Exit status: 0 done, 1 a defect of ours, 2 input or usage
refused, 3 a cohort was finished with failures.
"""

app = typer.Typer(
    name="hale",
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (demo, fit, calibrate, detect, evaluate, methods, recipe, phantom):
    app.command()(module.command)


def version(*, value: bool) -> None:
    """Print the version and stop."""
    if value:
        from hale import __version__

        typer.echo(f"hale {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _version: bool = typer.Option(
        False,
        "--version",
        callback=lambda value: version(value=value),
        is_eager=True,
        help="Show the version.",
    ),
) -> None:
    """Take the options that stand before a command."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status; every error becomes one line."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        status = app(list(arguments), standalone_mode=False)
    except Refused as error:
        errors.print("[bold red]refused[/]", str(error).replace("\n", " "), markup=True)
        return 2
    except typer.Exit as stop:
        return int(stop.exit_code)
    except KeyboardInterrupt:
        errors.print("stopped; what was finished is kept, the same command goes on from there")
        return 130
    except Exception as error:
        return _usage_or_defect(error, errors)
    return int(status or 0)


def _usage_or_defect(error: Exception, errors: Console) -> int:
    """Print a usage error as click words it; a defect in one line, its traceback in a file."""
    import click

    if isinstance(error, click.exceptions.Abort):
        errors.print("stopped")
        return 130
    if isinstance(error, click.ClickException):
        error.show()
        return 2
    with NamedTemporaryFile("w", prefix="hale-defect-", suffix=".txt", delete=False) as file:
        file.write(f"{sys.argv}\n{traceback.format_exc()}")
    kind = type(error).__name__
    where = Path(file.name)
    errors.print(f"[bold red]defect[/] {kind}: this is our fault, please report {where}")
    return 1
