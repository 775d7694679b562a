"""`hale import`: one command per format of published weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from hale.cli.arguments import JsonOption, OverwriteOption, SettingOption, refuse_full_folder
from hale.cli.output import print_json, say

app = typer.Typer(
    name="import",
    help="Make a model from weights that others have published.",
    no_args_is_help=True,
)

FileArgument = Annotated[Path, typer.Argument(help="The weights, as they were published.")]
OutOption = Annotated[Path, typer.Option(help="The model's folder, to be made.")]
RecipeOption = Annotated[
    str, typer.Option(help="The architecture that they are of: a bundled recipe or a TOML file.")
]


@app.command()
def strega(
    file: FileArgument,
    out: OutOption,
    recipe: RecipeOption = "strega-released",
    setting: SettingOption = None,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
) -> None:
    """Import weights of StRegA: a safetensors file.

    The model is not calibrated: it gives maps and ranks. `hale calibrate` makes it valid for your
    healthy scans. The public weights take about 10 GB of memory, and as much disk as the file.

    Examples:
      hale import strega model.safetensors --out models/strega-public

      hale calibrate models/strega-public --data our-controls/ --out models/strega-here
    """
    _imported([file], out, recipe, setting or (), overwrite=overwrite, json=json)


@app.command()
def ifl(
    weights: FileArgument,
    codes: Annotated[Path, typer.Argument(help="The codes, as they were published.")],
    out: OutOption,
    recipe: RecipeOption = "ifl-released",
    setting: SettingOption = None,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
) -> None:
    """Import weights of implicit field learning: two .pth files, of the network and of its codes.

    They are opened as tensors alone; nothing in them is executed. The model is not calibrated: it
    gives maps and ranks. The network has seen brains in 210 mm, and was published on 240 mm:
    `--set method.field_of_view_mm=210 --set prep.spacing_mm=1.3125` shows them as large as it saw;
    `--set method.mean_mm=19.7` keeps the last filter at 15 voxels.

    Examples:
      hale import ifl weights.pth codes.pth --out models/ifl-public

      hale calibrate models/ifl-public --data our-controls/ --out models/ifl-here
    """
    _imported([weights, codes], out, recipe, setting or (), overwrite=overwrite, json=json)


def _imported(
    files: Sequence[Path],
    out: Path,
    recipe: str,
    settings: Sequence[str],
    *,
    overwrite: bool,
    json: bool,
) -> None:
    """Write the model, and say what was made."""
    from hale.pipeline.imports import import_weights
    from hale.recipe import bundled_or_path, read_recipe

    chosen = read_recipe(bundled_or_path(recipe), settings)
    refuse_full_folder(out, overwrite=overwrite, inputs=files)
    model = import_weights(files, chosen, out)
    if json:
        print_json({"model": str(out), "sha256": model.sha256, **model.provenance})
        return
    say(f"model {out} ({model.sha256[:12]}), not calibrated: maps and ranks, no p-values")
