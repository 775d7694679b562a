"""`hale fit`."""

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
    out: Annotated[Path, typer.Option(help="The model's folder, to be made.")],
    cases: Annotated[
        Path | None,
        typer.Option(help="Patients with lesion masks, for methods that learn from them."),
    ] = None,
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
    """Learn from healthy scans, standardise and calibrate; write a model folder.

    The folder DATA holds the contrasts that the recipe takes (prep.slots: T1w, T2w, FLAIR, PDw,
    T1w-ce), as sub-*/anat/*_T1w.nii.gz and so on, and participants.tsv with a column split (fit,
    standardise, calibrate, test). Without splits, people are divided 60 : 15 : 25. Scans are raw:
    brain extraction, bias correction and registration are done here, and kept in the cache.

    Methods that learn from lesion masks take a second folder, --cases, laid out alike, with a mask
    of each scan (sub-01_desc-lesion_mask.nii.gz, or sub-01_seg.nii.gz): those whose split is fit,
    or without splits all. Nobody may be among them and standardise, calibrate or test.

    Examples:
      hale fit atlas-default --data ixi/ --out models/atlas-t1

      hale fit recipes/dae-default.toml --data ixi/ --out models/dae --budget 30

      hale fit dae-default --data ixi/ --out models/dae --budget 60 --resume

      hale fit sadm-cases-flair-slice --data slices/ --cases patients/ --out models/sadm
    """
    from hale.io.cache import Cache
    from hale.io.model import is_model
    from hale.pipeline.fit import fit
    from hale.pipeline.job import Options
    from hale.recipe import FOLDERS, bundled_or_path, read_recipe

    chosen = read_recipe(bundled_or_path(recipe), setting or ())
    step = step_of(resume)
    going_on = step is not None and is_model(out)  # the model that a budget cut short
    inputs = [data, *([cases] if cases else [])]
    inputs += [Path(name) for key in FOLDERS if (name := getattr(chosen, key))]
    refuse_full_folder(out, overwrite=overwrite or going_on, inputs=inputs)
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
        model = fit(chosen, data, out, options, cases)
    if not model.sha256:  # the first of several processes saves it, and speaks
        return
    if json:
        print_json({"model": str(out), "sha256": model.sha256, **model.provenance})
        return
    record = model.provenance["fit"]
    for name, reason in {**record["failed"], **record.get("cases", {}).get("failed", {})}.items():
        say(f"left out {name}: {reason}")
    calibration = model.calibration
    if calibration is not None:
        low, high = calibration.rate_interval()
        say(
            f"calibrated on {calibration.n_scans} healthy scans: at alpha"
            f" {calibration.settings.alpha:g}, {100 * low:.0f} to {100 * high:.0f} % of healthy"
            " scans like them will be flagged (95 %)"
        )
    say(f"model {out} ({model.sha256[:12]}); read {out / 'card.md'}")
