"""`hale demo`."""

from pathlib import Path
from typing import Annotated

import typer

from hale.cli.arguments import OverwriteOption, WorkersOption, crew_of, refuse_full_folder
from hale.cli.output import print_table, say
from hale.cli.progress import Bars


def command(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    workers: WorkersOption = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Run the main job on phantom brains: make them, fit, calibrate, detect, evaluate.

    Takes a few minutes and nothing from outside.

    Example:
      hale demo --out demo/
    """
    import shutil

    from hale.pipeline.demo import run_demo

    refuse_full_folder(out, overwrite=overwrite)
    shutil.rmtree(out, ignore_errors=True)
    with Bars() as bars:
        result = run_demo(out, crew=crew_of(workers), progress=bars)
    print_table(result.table())
    for name, path in result.paths.items():
        say(f"{name}: {path}")
