"""`hale reproduce`."""

from pathlib import Path
from typing import Annotated

import typer

from hale.cli.arguments import (
    DEFAULT_CACHE,
    BudgetOption,
    CacheOption,
    CheckpointOption,
    DeviceOption,
    JsonOption,
    PrecisionOption,
    PublishedOption,
    RamOption,
    SettingOption,
    WorkersOption,
    crew_of,
    warn,
)
from hale.cli.output import print_json, say
from hale.cli.progress import Bars
from hale.core.errors import Refused
from hale.core.run import Device, Precision


def command(
    experiment: Annotated[
        str | None, typer.Argument(help="A bundled experiment's name, or a TOML file.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="DATA_DIR of Behrendt et al., with splits, Train and Test.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of models and results; used again if it is there.")
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option(help="SRI24 of the contrast, brain-extracted; MNI152 if not given."),
    ] = None,
    fold: Annotated[
        list[int] | None, typer.Option(help="Of IXI; all that were published if not given.", min=0)
    ] = None,
    published_lists: PublishedOption = False,
    setting: SettingOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    budget: BudgetOption = None,
    checkpoint_minutes: CheckpointOption = 5.0,
    workers: WorkersOption = 0,
    max_ram: RamOption = None,
    cache: CacheOption = DEFAULT_CACHE,
    json: JsonOption = False,
) -> None:
    """Run a published experiment on its own lists; put the figures beside the published ones.

    Without an experiment, list the bundled ones. One trains what its row needs (an encoder, a
    base, the model; each up to --budget), scores the data set's validation and test volumes,
    chooses thresholds on the validation list alone, and writes cases.tsv (a row a volume),
    summary.json and summary.md. What is in OUT already is not done again, so that a run that was
    stopped goes on by the same command.

    Examples:
      hale reproduce

      hale reproduce pddpm-2025-t2 --data DATA_DIR/ --template sri24_t2.nii.gz --out out --dry-run

      hale reproduce cddpm-2025-t1 --data DATA_DIR/ --template sri24_t1.nii.gz --out out --fold 0
    """
    from hale.io.cache import Cache
    from hale.pipeline.experiment import experiments, read_experiment
    from hale.pipeline.job import Options
    from hale.pipeline.reproduce import Request, plan, reproduce
    from hale.pipeline.reproduction import summary_of, text_of

    if experiment is None:
        known = {name: read_experiment(name) for name in experiments()}
        titles = {name: f"{each.title} ({each.reference})" for name, each in known.items()}
        if json:
            print_json(titles)
        else:
            say("\n".join(f"{name}: {title}" for name, title in titles.items()))
        return
    chosen = read_experiment(experiment, setting or ())
    if data is None:
        raise Refused("--data", "is missing", "give the DATA_DIR of Behrendt et al.")
    if out is None:
        raise Refused("--out", "is missing", "name a folder for models and results")
    request = Request(
        experiment=chosen,
        data=data,
        out=out.resolve(),
        template=template,
        folds=tuple(fold or ()),
        published_lists=published_lists,
    )
    if dry_run:
        say("\n".join(plan(request, budget)))
        return
    with Bars() as bars:
        options = Options(
            device=device,
            precision=precision,
            budget_minutes=budget,
            checkpoint_minutes=checkpoint_minutes,
            crew=crew_of(workers, max_ram),
            cache=Cache(cache.expanduser()),
            progress=bars,
            tell=warn,
        )
        result = reproduce(request, options)
    if json:
        print_json(summary_of(result))
    else:
        say(text_of(result).rstrip())
