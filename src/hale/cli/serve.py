"""`hale serve`."""

from pathlib import Path
from typing import Annotated

import typer

from hale.cli.arguments import DeviceOption
from hale.cli.output import say
from hale.core.errors import Refused
from hale.core.run import Device


def command(
    folder: Annotated[
        Path, typer.Argument(help="Results: those that are there, and those to come.")
    ] = Path("station"),
    models: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of models, at any depth. Repeatable.", metavar="FOLDER"),
    ] = None,
    scans: Annotated[
        Path | None, typer.Option(help="Folder of scans to pick from.", metavar="FOLDER")
    ] = None,
    port: Annotated[
        int, typer.Option(help="To listen on, of this machine alone; 0: any.", min=0, max=65535)
    ] = 8737,
    keep_identifiers: Annotated[
        bool,
        typer.Option(
            "--keep-identifiers",
            help="Show and write names of patients and files; else they are left out.",
        ),
    ] = False,
    max_upload: Annotated[
        float, typer.Option(help="GiB that one upload may have.", min=0.001)
    ] = 4.0,
    device: DeviceOption = Device.AUTO,
    cache: Annotated[
        Path | None,
        typer.Option(help="Where prepared stages are kept; else within FOLDER.", metavar="FOLDER"),
    ] = None,
) -> None:
    """Open the reader's station: see, question and correct results in the browser.

    It prints an address that opens once per browser; nobody else gets in, and
    nothing is loaded from or sent to the network. Everything is in FOLDER: any
    results of `hale detect` that lie there can be opened, and what the station
    computes are the same files. Stop it with Ctrl-C, at any time: jobs go on when
    it is started again.

    Drop scans on the page: NIfTI, one or several contrasts; DICOM, as files or
    zipped; a slice as .npy or PNG. Methods that learn from the scan itself are
    always offered; models from `hale fit` lie below --models.

    From another computer: `ssh -L 8737:127.0.0.1:8737 HOST`, the same port on both
    sides, then open the address there.

    Examples:
      hale serve results/ --models models/

      hale serve results/ --models models/ --scans data/healthy/

      hale serve reading-room/ --models models/ --port 0 --keep-identifiers
    """
    for place in (*(models or ()), *([scans] if scans else ())):
        if not place.is_dir():
            raise Refused(str(place), "is no folder", "check the path")
    from hale.serve.server import serve
    from hale.serve.station import GIB, Station

    station = Station(
        folder=folder.resolve(),
        models=tuple(place.resolve() for place in models or ()),
        scans=None if scans is None else scans.resolve(),
        cache=None if cache is None else cache.expanduser().resolve(),
        keep_identifiers=keep_identifiers,
        max_upload=int(max_upload * GIB),
        device=str(device),
    )
    serve(station, port, say)
