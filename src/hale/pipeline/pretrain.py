"""From the recipe of a stage and a cohort of healthy scans to a pretrained encoder's folder."""

import shutil
import time
from pathlib import Path
from typing import Any

from hale.core.method import Training
from hale.core.scan import Space
from hale.pipeline.job import Options
from hale.pipeline.learn import (
    clear_work,
    healthy_entries,
    prepared_healthy,
    refuse_few_to_learn_from,
    refuse_nothing_to_resume,
    run_of,
    team_of,
    told_of,
    work_folder,
    workshop_of,
)
from hale.pipeline.pretrained import Pretrained, save_pretrained
from hale.pipeline.versions import versions
from hale.recipe import StageRecipe


def pretrain(recipe: StageRecipe, data: Path, out: Path, options: Options) -> Pretrained:
    """Teach what a method may start from; write its folder.

    Of several processes that share the work, only the first writes; the others return what they
    have learnt, without a hash.

    Args:
        recipe: Of the stage.
        data: Healthy scans, read and divided as for a fit; those to fit on are learnt from.
        out: Where it goes. Checkpoints lie beside it, in ``<out>.fitting``.
        options: Device, budget, cache, ...

    Raises:
        Refused: Too few scans, nothing to resume, a full disk.
    """
    team, options = team_of(options)

    def given() -> tuple[Space, Training, dict[str, Any]]:
        refuse_nothing_to_resume(out, options)
        entries = healthy_entries(recipe, data, options)
        workshop = workshop_of(recipe, entries, options)
        refuse_few_to_learn_from(entries)
        clear_work(out, options)
        return workshop.space, *prepared_healthy(recipe, data, entries, workshop)

    space, training, record = team.in_turn(given)
    begin = time.perf_counter()
    run = run_of(recipe, training, (), out, options, team)
    state = recipe.method.fit(training, run)
    record |= {
        "published_lists": options.reading.published,
        "seconds": round(time.perf_counter() - begin, 1),
        **told_of(run),
    }
    place = {"device": run.device.split(":")[0], "precision": run.precision}
    pretrained = Pretrained(
        recipe=recipe,
        space=space,
        state=state,
        provenance={**versions(), **place, "fit": record},
    )
    team.part()
    if not team.is_first:
        return pretrained
    saved = save_pretrained(pretrained, out)
    if record.get("finished", True):
        shutil.rmtree(work_folder(out), ignore_errors=True)
    return saved
