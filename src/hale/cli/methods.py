"""`hale methods`."""

from typing import Annotated, Any

import typer

from hale.cli.arguments import JsonOption
from hale.cli.output import print_json, print_table, say


def command(
    name: Annotated[str | None, typer.Argument(help="Show one with its settings.")] = None,
    json: JsonOption = False,
) -> None:
    """List the methods, or show one with its paper and its settings.

    Examples:
      hale methods

      hale methods dae
    """
    from rich.table import Table

    from hale.methods import METHODS, describe

    rows = [describe(key) for key in ([name] if name is not None else METHODS)]
    if json:
        print_json(rows)
        return
    if name is not None:
        _one(rows[0])
        return
    table = Table("method", "what it does", "learns from", box=None)
    for row in rows:
        table.add_row(row["name"], row["summary"], row["supervision"])
    print_table(table)


def _one(row: dict[str, Any]) -> None:
    say(f"{row['name']}: {row['summary']}\nlearns from {row['supervision']}")
    say(f"{row['reference']}\n")
    for field in row["fields"]:
        say(f"  {field['name']} = {field['default']!r}  ({field['type']})")
