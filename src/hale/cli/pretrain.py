"""`hale pretrain`."""

from pathlib import Path
from typing import Annotated

import typer

from hale.cli.arguments import (
    DEFAULT_CACHE,
    BudgetOption,
    CacheOption,
    CheckpointOption,
    CompileOption,
    DeviceOption,
    DevicesOption,
    EntityOption,
    FoldOption,
    JsonOption,
    NodesOption,
    OverwriteOption,
    PrecisionOption,
    PublishedOption,
    RamOption,
    ResumeOption,
    SettingOption,
    StrictOption,
    WorkersOption,
    crew_of,
    reading_of,
    refuse_full_folder,
    step_of,
    warn,
)
from hale.cli.output import print_json, say
from hale.cli.progress import Bars
from hale.core.run import Device, Precision


def command(
    recipe: Annotated[str, typer.Argument(help="A TOML file, or a bundled recipe's name.")],
    data: Annotated[Path, typer.Option(help="Folder of healthy scans.")],
    out: Annotated[Path, typer.Option(help="The encoder's folder, to be made.")],
    setting: SettingOption = None,
    entity: EntityOption = None,
    fold: FoldOption = None,
    published_lists: PublishedOption = False,
    strict_splits: StrictOption = False,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    devices: DevicesOption = 0,
    nodes: NodesOption = 0,
    compiled: CompileOption = False,
    budget: BudgetOption = None,
    resume: ResumeOption = None,
    checkpoint_minutes: CheckpointOption = 5.0,
    workers: WorkersOption = 0,
    max_ram: RamOption = None,
    cache: CacheOption = DEFAULT_CACHE,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
) -> None:
    """Teach an encoder with healthy scans; write a folder that a recipe of `hale fit` names.

    The folder DATA is that of `hale fit`, read and divided in the same way: only the scans to fit
    on are learnt from. Give the fit the same folder, or one without the people of this one: it
    refuses an encoder that has seen whom it standardises, calibrates or tests on.

    Examples:
      hale pretrain spark-default --data ixi/ --out models/spark

      hale fit cddpm-default --set pretrained=models/spark --data ixi/ --out models/cddpm
    """
    from hale.io.cache import Cache
    from hale.io.model import is_model
    from hale.pipeline.job import Options
    from hale.pipeline.pretrain import pretrain
    from hale.recipe import bundled_or_path, read_stage

    chosen = read_stage(bundled_or_path(recipe), setting or ())
    step = step_of(resume)
    going_on = step is not None and is_model(out)  # the encoder that a budget cut short
    refuse_full_folder(out, overwrite=overwrite or going_on, inputs=[data])
    with Bars() as bars:
        options = Options(
            device=device,
            precision=precision,
            devices=devices,
            nodes=nodes,
            compiled=compiled,
            budget_minutes=budget,
            resume=step,
            anew=overwrite,
            checkpoint_minutes=checkpoint_minutes,
            crew=crew_of(workers, max_ram),
            cache=Cache(cache.expanduser()),
            progress=bars,
            tell=warn,
            reading=reading_of(entity, fold, published_lists, strict_splits),
        )
        pretrained = pretrain(chosen, data, out, options)
    if not pretrained.sha256:  # the first of several processes saves it, and speaks
        return
    if json:
        result = {"pretrained": str(out), "sha256": pretrained.sha256, **pretrained.provenance}
        print_json(result)
        return
    record = pretrained.provenance["fit"]
    for name, reason in record["failed"].items():
        say(f"left out {name}: {reason}")
    say(
        f"encoder {out} ({pretrained.sha256[:12]}), {record['steps_done']} steps on"
        f" {len(record['scans'])} scans; start from it with --set pretrained={out}"
    )
