"""What commands print on standard output."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table


def say(line: str) -> None:
    """Print a line."""
    typer.echo(line)


def tell(line: str) -> None:
    """Print a line on standard error, beside the results."""
    typer.echo(line, err=True)


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print plain values as JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(table: Table) -> None:
    """Print a table, as wide as it needs."""
    Console(width=None).print(table)
