"""Options that several commands share, and one that typer cannot express."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hale.core.errors import Refused
from hale.core.run import Device, Precision
from hale.core.scan import Contrast

if TYPE_CHECKING:
    from hale.data.folder import Reading
    from hale.pipeline.workers import Crew

RESUME = "--resume"
LATEST = "latest"

CacheOption = Annotated[
    Path,
    typer.Option("--cache", envvar="HALE_CACHE", help="Where prepared stages are kept."),
]
DeviceOption = Annotated[Device, typer.Option(help="Where networks run.")]
PrecisionOption = Annotated[
    Precision, typer.Option(help="Arithmetic of networks; auto takes bf16 where it is fast.")
]
WorkersOption = Annotated[
    int, typer.Option(help="Processes that prepare scans; 0: one per core.", min=0)
]
SettingOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a setting, e.g. --set method.lr=1e-3. Repeatable."),
]
SeriesOption = Annotated[
    list[str] | None,
    typer.Option(
        help="DICOM series of a contrast by number or words, e.g. FLAIR=5. Repeatable.",
        metavar="CONTRAST=SERIES",
    ),
]
EntityOption = Annotated[
    list[str] | None,
    typer.Option(help="BIDS entity that settles a choice, e.g. acq-mprage. Repeatable."),
]
FoldOption = Annotated[
    int | None, typer.Option(help="Fold of published split lists; 0 if not given.", min=0)
]
PublishedOption = Annotated[
    bool,
    typer.Option("--published-lists", help="Keep published lists as they are, leaks included."),
]
StrictOption = Annotated[
    bool, typer.Option("--strict-splits", help="Refuse published lists that repeat a person.")
]
RamOption = Annotated[
    float | None,
    typer.Option("--max-ram", help="GiB that all processes may take together.", min=0.1),
]
BudgetOption = Annotated[
    float | None, typer.Option(help="Stop training after so many minutes, cleanly.", min=0.01)
]
ResumeOption = Annotated[
    str | None,
    typer.Option(
        help="Go on from the newest checkpoint, or from that of a step.", metavar="[STEP]"
    ),
]
DevicesOption = Annotated[
    int,
    typer.Option(
        help="Processes that share the training on each machine, one a GPU; 0: as many as torchrun"
        " or Slurm has started, else 1.",
        min=0,
    ),
]
NodesOption = Annotated[int, typer.Option(help="Machines that share it; 0: likewise.", min=0)]
CompileOption = Annotated[bool, typer.Option("--compile", help="Compile networks (torch.compile).")]
CheckpointOption = Annotated[float, typer.Option(help="Time between checkpoints.", min=0.0)]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is in --out.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

DEFAULT_CACHE = Path("~/.cache/hale")


def with_optional_values(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``--resume`` given its value where it stands alone."""
    given = list(arguments)
    for index, argument in enumerate(given):
        following = given[index + 1 : index + 2]
        if argument == RESUME and not (following and following[0].isdigit()):
            given[index] = f"{RESUME}={LATEST}"
    return given


def step_of(resume: str | None) -> Literal["latest"] | int | None:
    """Return which checkpoint to go on from, from the option ``--resume``."""
    if resume is None:
        return None
    if resume == LATEST:
        return "latest"
    if not resume.isdigit():
        raise Refused(f"--resume {resume}", "is no step", "leave it empty, or give a number")
    return int(resume)


def warn(sentence: str) -> None:
    """Print a warning on standard error."""
    typer.echo(f"warning: {sentence}", err=True)


def reading_of(
    entities: Sequence[str] | None, fold: int | None, published: bool, strict: bool = False
) -> "Reading":
    """Return how a data set's folder is read, from the options that every command shares."""
    from hale.data.folder import Reading

    return Reading(entities=entities or (), fold=fold, published=published, strict=strict)


def chosen_series(options: Iterable[str] | None) -> dict[Contrast, str]:
    """Return the series of each contrast, from options such as ``FLAIR=5``."""
    chosen: dict[Contrast, str] = {}
    for option in options or ():
        contrast, equals, series = option.partition("=")
        if not equals or contrast not in set(Contrast) or not series:
            remedy = f"write CONTRAST=NUMBER, with one of {', '.join(Contrast)}"
            raise Refused(f"--series {option}", "is not CONTRAST=SERIES", remedy)
        chosen[Contrast(contrast)] = series
    return chosen


def refuse_full_folder(out: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse an output folder that holds something, or that cannot be made; make nothing.

    Args:
        out: To be made, or replaced with ``overwrite``.
        overwrite: Whether what it holds may go.
        inputs: What must not lie within it: replacing it would delete them.
    """
    refuse_to_replace(out, inputs)
    try:
        if out.exists() and not out.is_dir():
            raise Refused(str(out), "is a file", "give another --out")
        if out.exists() and any(out.iterdir()) and not overwrite:
            raise Refused(str(out), "is not empty", "give another --out, or --overwrite")
        refuse_read_only(out)
    except OSError as error:
        why = f"cannot be written ({error.strerror or error})"
        raise Refused(str(out), why, "give another --out") from None


def refuse_read_only(out: Path) -> None:
    """Raise an `OSError` if no folder can be made at ``out``."""
    nearest = next(folder for folder in out.resolve().parents if folder.exists())
    with TemporaryDirectory(dir=nearest, prefix=".hale-"):
        pass


def refuse_to_replace(out: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output folder that is the current one, or that an input lies in."""
    place = out.resolve()
    if Path.cwd().is_relative_to(place):
        why = "is the current folder, or one that holds it"
        raise Refused(f"--out {out}", why, "name a new folder")
    for path in inputs:
        if path.resolve().is_relative_to(place):
            raise Refused(f"--out {out}", f"holds the input {path}", "name a new folder")


def crew_of(workers: int, max_ram: float | None = None) -> "Crew":
    """Return who does the work: ``workers`` processes, one per core if 0."""
    from hale.pipeline.workers import Crew, default_workers

    return Crew(workers=workers or default_workers(), max_ram_gib=max_ram)
