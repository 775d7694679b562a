"""`hale recipe`."""

from typing import Annotated

import typer

from hale.cli.arguments import JsonOption
from hale.cli.output import print_json, say


def command(
    recipe: Annotated[
        str | None, typer.Argument(help="A TOML file or a bundled recipe; none: list them.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting. Repeatable.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check a recipe and print it with every default written out.

    Examples:
      hale recipe

      hale recipe atlas-default > mine.toml

      hale recipe mine.toml --set calibration.alpha=0.05
    """
    import tomli_w

    from hale.recipe import bundled, bundled_or_path, read_any

    if recipe is None:
        names = sorted(bundled())
        if json:
            print_json(names)
        else:
            say("\n".join(names))
        return
    resolved = read_any(bundled_or_path(recipe), setting or ()).resolved()
    if json:
        print_json(resolved)
    else:
        say(tomli_w.dumps(resolved).rstrip())
