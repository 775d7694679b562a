"""`hale phantom`."""

from pathlib import Path
from typing import Annotated

import typer

from hale.cli.arguments import OverwriteOption, refuse_full_folder
from hale.cli.output import say


def command(
    out: Annotated[Path, typer.Option(help="Folder for the cohort, to be made.")],
    fit: Annotated[int, typer.Option(help="Healthy scans to learn from.", min=2)] = 12,
    standardise: Annotated[int, typer.Option(help="Healthy scans to standardise.", min=3)] = 6,
    calibrate: Annotated[int, typer.Option(help="Healthy scans to calibrate.", min=1)] = 10,
    healthy: Annotated[int, typer.Option(help="Healthy test scans.", min=0)] = 3,
    lesions: Annotated[int, typer.Option(help="Test scans with a lesion.", min=0)] = 6,
    seed: Annotated[int, typer.Option(help="Same seed, same cohort.")] = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Make a cohort of phantom brains to try things on, some with known lesions.

    Each is the MNI152 template deformed, with its own contrast, bias field and noise.

    Example:
      hale phantom --out phantoms/ --fit 12 --lesions 6
    """
    import shutil

    from hale.data.phantom import write_cohort

    refuse_full_folder(out, overwrite=overwrite)
    shutil.rmtree(out, ignore_errors=True)
    write_cohort(
        out,
        fit=fit,
        standardise=standardise,
        calibrate=calibrate,
        healthy=healthy,
        lesions=lesions,
        seed=seed,
    )
    say(f"{fit + standardise + calibrate + healthy + lesions} scans in {out}")
