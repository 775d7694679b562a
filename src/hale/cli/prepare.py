"""`hale prepare`."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from hale.cli.arguments import (
    DEFAULT_CACHE,
    CacheOption,
    EntityOption,
    FoldOption,
    JsonOption,
    PublishedOption,
    RamOption,
    SettingOption,
    StrictOption,
    WorkersOption,
    crew_of,
    reading_of,
    refuse_to_replace,
    warn,
)
from hale.cli.output import print_json, say
from hale.cli.progress import Bars
from hale.core.errors import Refused
from hale.core.scan import Split

FINISHED_WITH_FAILURES = 3


def command(
    data: Annotated[Path, typer.Argument(help="Folder of exams: BIDS, flat, or a published one.")],
    out: Annotated[Path, typer.Option(help="Folder for the prepared exams; gone on with.")],
    recipe: Annotated[
        str, typer.Option(help="Whose [prep] table is followed: a TOML file, or a bundled name.")
    ] = "atlas-default",
    setting: SettingOption = None,
    split: Annotated[Split | None, typer.Option(help="Only this split.")] = None,
    entity: EntityOption = None,
    fold: FoldOption = None,
    published_lists: PublishedOption = False,
    strict_splits: StrictOption = False,
    insist: Annotated[
        bool, typer.Option("--insist", help="Keep exams that quality control refuses too.")
    ] = False,
    workers: WorkersOption = 0,
    max_ram: RamOption = None,
    cache: CacheOption = DEFAULT_CACHE,
    json: JsonOption = False,
) -> None:
    """Extract, correct, register and normalise a cohort; keep the result and look at its quality.

    OUT then holds a folder an exam (its contrasts and brain mask on the model grid, as NIfTI, and
    prepared.json), quality.tsv, contact.html to look through in a minute, the doubtful first, and
    failed.csv with reasons. The same command goes on where it was stopped; other exams are added
    with the same settings. The last line says how to fit on them.

    Examples:
      hale prepare ixi/ --out prepared/

      hale prepare DATA_DIR/ --recipe prep-behrendt --set prep.template=sri24_t1.nii --out prepared/
    """
    from hale.data.cohort import of_split, refuse_repeated_ids
    from hale.data.folder import read_folder
    from hale.io.cache import Cache
    from hale.pipeline.shelf import Shelf, fill, shelf_space
    from hale.recipe import bundled_or_path, read_recipe

    prep = read_recipe(bundled_or_path(recipe), setting or ()).prep
    reading = reading_of(entity, fold, published_lists, strict_splits)
    entries, warnings = read_folder(data, prep.slots, reading)
    for sentence in warnings:
        warn(sentence)
    if split is not None:
        entries = of_split(entries, split)
    if not entries:
        raise Refused(f"--split {split}", "no exam has it", "leave it out, or see the table")
    refuse_repeated_ids(entries)
    refuse_to_replace(out, [data])
    shelf = Shelf(
        out=out,
        settings=prep,
        space=shelf_space(prep, next((e for e in entries if e.refusal is None), entries[0])),
        cache=Cache(cache.expanduser()),
        insist=insist,
    )
    with Bars() as bars:
        filled = fill(shelf, entries, crew=crew_of(workers, max_ram), progress=bars)
    if json:
        print_json({"exams": list(filled.records), "failed": len(filled.failures)})
    else:
        for failure in filled.failures:
            say(f"failed {failure.id}: {failure.reason}")
        say(filled.summary)
        say(str(out / "contact.html"))
        say(shlex.join(["hale", "fit", recipe, "--data", str(out), *_as_they_are(setting or ())]))
    if filled.failures:
        raise typer.Exit(FINISHED_WITH_FAILURES)


def _as_they_are(settings: Iterable[str]) -> list[str]:
    """Return the options that take prepared exams for what they are: in place, and normalised."""
    every = [*settings, "prep.mode=given", "prep.normalise=none"]
    return [word for setting in every for word in ("--set", setting)]
