"""`hale slices`."""

from pathlib import Path
from typing import Annotated

import typer

from hale.cli.arguments import JsonOption, OverwriteOption, refuse_full_folder, warn
from hale.cli.output import print_json, say


def command(
    data: Annotated[Path, typer.Argument(help="Folder of brain-extracted exams, at any depth.")],
    out: Annotated[Path, typer.Option(help="Folder for the slices, to be made.")],
    every: Annotated[
        bool, typer.Option("--every", help="Each slice with brain, not the one with most.")
    ] = False,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
) -> None:
    """Cut BraTS-like volumes into 256 x 256 arrays (.npy), a slice for each contrast.

    An exam is the files of a folder whose names are the same but for their end:
    _t1, _t1ce, _t2, _flair (or -t1n, -t1c, -t2w, -t2f), as .nii or .nii.gz. The
    whole end counts: t1 is never t1ce. Files with seg in the name are left alone,
    and nothing in DATA is changed.

    The slice is the axial one with most brain (voxels not 0 in any contrast),
    one number for all contrasts of an exam. Values are float32 from 0 to 1, the
    1st and 99th percentile of the brain; 0 itself is kept for what is not brain.
    The top row is the front of the head, the left column its left.

    OUT holds <id>/<id>_t1.npy and so on, and slices.tsv: what was written, from
    which file, which slice, the intensities that became 0 and 1, and where a pixel
    lies in the scan.

    Examples:
      hale slices BraTS2021/ --out slices/

      hale detect slices/p1/p1_flair.npy --method convae_scan-small --out result/
    """
    from hale.pipeline.slices import TABLE, write_slices

    refuse_full_folder(out, overwrite=overwrite, inputs=[data])
    rows = write_slices(data, out, every=every, tell=warn)
    if json:
        print_json([vars(row) for row in rows])
        return
    exams = len({row.id for row in rows})
    say(f"{len(rows)} slices of {exams} exams; {out / TABLE}")
