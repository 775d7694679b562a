"""The commands put together, and what becomes of an error."""

import errno
import sys
import traceback
from collections.abc import Sequence
from tempfile import NamedTemporaryFile

import typer
from rich.console import Console
from rich.text import Text

from hale.cli import (
    bench,
    calibrate,
    demo,
    detect,
    evaluate,
    fit,
    imports,
    methods,
    phantom,
    prepare,
    pretrain,
    recipe,
    reproduce,
    series,
    serve,
    slices,
)
from hale.core.errors import Refused, RefusedElsewhere

REFUSED, DEFECT, STOPPED = 2, 1, 130
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What the system says of a disk that takes no more."""

HELP = """
Unsupervised anomaly detection in brain MRI: a raw scan in, calibrated findings out.

Start with [bold]hale demo[/]: it makes a small cohort, fits, calibrates, detects and reports.

With your own healthy scans (a BIDS-like folder):

  hale fit atlas-default --data HEALTHY/ --out models/atlas

  hale detect SCAN.nii.gz --model models/atlas --out OUT/

Research use only; not a medical device. Exit status: 0 done, 1 a defect of ours, 2 input or usage
refused, 3 a cohort finished with failures.
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
for module in (
    demo,
    prepare,
    pretrain,
    fit,
    calibrate,
    detect,
    evaluate,
    bench,
    methods,
    recipe,
    reproduce,
    phantom,
    series,
    slices,
    serve,
):
    app.command(module.__name__.rpartition(".")[2])(module.command)
app.add_typer(imports.app)

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Of click, or of the copy of click that newer typer carries."""


def version(*, value: bool) -> bool:
    """Print the version and stop, if that was asked."""
    if value:
        from hale import __version__

        typer.echo(f"hale {__version__}")
        raise typer.Exit
    return value


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
    try:
        status = app(list(arguments), standalone_mode=False)
    except Refused as error:
        is_said = isinstance(error, RefusedElsewhere)
        return REFUSED if is_said else _told("refused", str(error), status=REFUSED)
    except UsageError as error:
        return _told("refused", _usage(error), status=REFUSED)
    except OSError as error:
        if error.errno not in FULL:
            return _told("defect", _reported(error), status=DEFECT)
        why = f"{error.filename or 'a file'}: cannot be written ({error.strerror}); free space"
        return _told("refused", why, status=REFUSED)
    except (KeyboardInterrupt, typer.Abort):
        status = STOPPED
    except Exception as error:  # the last line of defence: reported, never hidden
        return _told("defect", _reported(error), status=DEFECT)
    if status == STOPPED:  # typer makes this of Ctrl-C
        kept = "what was finished is kept, and the same command goes on from there"
        return _told("stopped", kept, status=STOPPED)
    return int(status or 0)


def _told(kind: str, line: str, *, status: int) -> int:
    """Print one line on standard error; return the status."""
    line = " ".join(line.split())
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    errors.print(Text.assemble((kind, "bold red"), " ", line))
    return status


def _usage(error: Exception) -> str:
    """Return what was wrong with the command line, and where its help is."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "hale"
    message = getattr(error, "format_message", lambda: str(error))()
    return f"{message.rstrip('.')}; see `{command} --help`"


def _reported(error: Exception) -> str:
    """Keep the traceback in a file and return what to do with it."""
    with NamedTemporaryFile("w", prefix="hale-defect-", suffix=".txt", delete=False) as file:
        file.write(f"{sys.argv}\n{traceback.format_exc()}")
    return f"{type(error).__name__}: this is our fault, please report it with {file.name}"
