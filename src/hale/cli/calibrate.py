"""`hale calibrate`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hale.cli.arguments import (
    DEFAULT_CACHE,
    CacheOption,
    DeviceOption,
    EntityOption,
    FoldOption,
    JsonOption,
    OverwriteOption,
    PrecisionOption,
    PublishedOption,
    RamOption,
    SettingOption,
    StrictOption,
    WorkersOption,
    crew_of,
    reading_of,
    refuse_full_folder,
    warn,
)
from hale.cli.output import print_json, say
from hale.cli.progress import Bars
from hale.core.run import Device, Precision


def command(
    model: Annotated[Path, typer.Argument(help="A model's folder.")],
    data: Annotated[Path, typer.Option(help="Folder of your own healthy scans.")],
    out: Annotated[Path, typer.Option(help="The new model's folder, to be made.")],
    alpha: Annotated[
        float | None,
        typer.Option(help="Promised share of healthy scans flagged.", min=0.0, max=1.0),
    ] = None,
    setting: SettingOption = None,
    entity: EntityOption = None,
    fold: FoldOption = None,
    published_lists: PublishedOption = False,
    strict_splits: StrictOption = False,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    workers: WorkersOption = 0,
    max_ram: RamOption = None,
    cache: CacheOption = DEFAULT_CACHE,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
) -> None:
    """Make a model valid for your site, from your own healthy scans.

    The detector stays as it is; normative mean and spread, p-values and the promise are learnt
    anew. --set changes what comes after the network: [post], [calibration], and settings of the
    method that change no weights, such as method.score of variational ones. At alpha = 0.1
    that takes 9 people to calibrate and 3 to standardise, better 20 and 20. Without standardise
    and calibrate in participants.tsv, people without a split are divided.

    Example:
      hale calibrate models/atlas-t1 --data our-controls/ --out models/atlas-t1-here

      hale calibrate models/vae --data healthy/ --out models/vae-ssim --set post.score=ssim
    """
    from hale.calibration import usable_alpha
    from hale.io.cache import Cache
    from hale.pipeline.calibrate import recalibrate, with_settings
    from hale.pipeline.job import Options
    from hale.pipeline.model import load_model

    loaded = with_settings(load_model(model, device=device, precision=precision), setting or ())
    if alpha is not None:
        settings = replace(loaded.recipe.calibration, alpha=usable_alpha(alpha))
        loaded = replace(loaded, recipe=replace(loaded.recipe, calibration=settings))
    refuse_full_folder(out, overwrite=overwrite, inputs=[data, model])
    with Bars() as bars:
        options = Options(
            crew=crew_of(workers, max_ram),
            cache=Cache(cache.expanduser()),
            progress=bars,
            tell=warn,
            reading=reading_of(entity, fold, published_lists, strict_splits),
        )
        result = recalibrate(loaded, data, out, options)
    if json:
        print_json({"model": str(out), "sha256": result.sha256, **result.provenance})
        return
    n = result.calibration.n_scans if result.calibration else 0
    say(f"model {out} ({result.sha256[:12]}), calibrated on {n} healthy people")
