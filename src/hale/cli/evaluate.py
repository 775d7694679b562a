"""`hale evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from hale.cli.arguments import JsonOption
from hale.cli.output import print_json, print_table, say


def command(
    maps: Annotated[Path, typer.Argument(help="Results of `hale detect`, or a folder of maps.")],
    truth: Annotated[Path, typer.Option(help="Folder with the reference lesion masks.")],
    out: Annotated[Path | None, typer.Option(help="Write cases.tsv and summary.json here.")] = None,
    healthy: Annotated[
        list[str] | None,
        typer.Option(help="Id or pattern of healthy scans, e.g. 'sub-IXI*'. Repeatable."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Score maps against reference masks, with 95 % intervals over patients.

    Figures named oracle choose their threshold on the scans that they score, and are upper bounds.
    dice_at_alpha and dice_at_fpr01 use thresholds that healthy scans alone have set.

    Example:
      hale evaluate results/ --truth patients/ --out scores/
    """
    from hale.pipeline.evaluate import evaluate, summary_of, table, write_evaluation

    evaluation = evaluate(maps, truth, healthy=healthy or ())
    if out is not None:
        write_evaluation(out, evaluation)
    if json:
        print_json(summary_of(evaluation))
        return
    print_table(table(evaluation))
    if evaluation.unmatched:
        say(f"not scored, no reference mask: {', '.join(evaluation.unmatched)}")
    if evaluation.empty:
        say(f"empty reference masks: {', '.join(evaluation.empty)}")
