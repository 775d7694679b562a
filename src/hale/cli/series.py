"""`hale series`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hale.cli.arguments import JsonOption
from hale.cli.output import print_json, print_table

if TYPE_CHECKING:
    from hale.io.dicom_series import Series


def command(
    folder: Annotated[Path, typer.Argument(help="DICOM files, at any depth.")],
    json: JsonOption = False,
) -> None:
    """Show the series in a folder of DICOM files, the contrast of each, and what is wrong with it.

    Only headers are read. No name of a patient is shown.

    Example:
      hale series exam/
    """
    from rich.table import Table

    from hale.io.dicom_series import find_series

    rows = [_row(one) for one in find_series(folder)]
    if json:
        print_json(rows)
        return
    table = Table("series", "description", "contrast", "slices", "voxel, mm", "remarks", box=None)
    for row in rows:
        spacing = " x ".join(f"{mm:.3g}" for mm in row["spacing_mm"] or ())
        remarks = "; ".join(row["problems"]) or f"by {row['why']}"
        shown = (row["series"], row["description"], row["contrast"] or "-", str(row["slices"]))
        table.add_row(*shown, spacing or "-", remarks)
    print_table(table)


def _row(one: "Series") -> dict[str, Any]:
    return {
        "series": one.key,
        "uid": one.uid,
        "description": one.description,
        "modality": one.modality,
        "contrast": None if one.contrast is None else str(one.contrast),
        "why": one.why,
        "slices": one.count,
        "files": len(one.files),
        "rows_columns": list(one.shape),
        "spacing_mm": None if one.spacing is None else [round(mm, 3) for mm in one.spacing],
        "problems": list(one.problems),
    }
