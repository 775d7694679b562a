"""The main job on embedded data, from phantom brains to reports."""

from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from hale.calibration import flagged_range
from hale.core.scan import Split
from hale.data.bids import read_bids
from hale.data.cohort import of_split
from hale.data.phantom import write_cohort
from hale.io.cache import Cache
from hale.metrics.evaluation import Evaluation, Kind
from hale.pipeline.cohort import Job, run_cohort
from hale.pipeline.evaluate import evaluate
from hale.pipeline.fit import fit
from hale.pipeline.job import Options
from hale.pipeline.prepare import Progress, silent
from hale.pipeline.workers import Crew
from hale.recipe import bundled, read_recipe


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo found, and where it put it."""

    evaluation: Evaluation
    lesions: dict[str, str]
    """Id -> what was planted."""
    chance: tuple[int, int]
    """How many of the healthy scans chance may flag."""
    paths: dict[str, Path]

    def table(self) -> Table:
        """Return one row a scan."""
        low, high = self.chance
        title = f"unseen phantoms (healthy scans flagged: chance explains {low} to {high})"
        table = Table("scan", "planted", "AUPRC", "dice_at_alpha", "flagged", title=title)
        for row in self.evaluation.cases:
            ill = row.kind is Kind.LESION
            table.add_row(
                row.id,
                self.lesions[row.id],
                f"{row.auprc:.3f}" if ill else "",
                f"{row.dice_at_alpha:.3f}" if ill else "",
                "yes" if row.flagged else "no",
            )
        return table


def run_demo(out: Path, *, crew: Crew | None = None, progress: Progress = silent) -> DemoResult:
    """Make phantoms, fit and calibrate the atlas, detect in unseen ones, evaluate.

    Args:
        out: An empty folder, or none yet.
        crew: Who prepares the scans; None: this process.
        progress: Told what is done.
    """
    phantoms, model, results = out / "phantoms", out / "model", out / "results"
    write_cohort(phantoms)
    cache = Cache(out / "cache")
    recipe = read_recipe(bundled()["atlas-default"])
    options = Options(crew=crew or Crew(), cache=cache, progress=progress)
    fitted = fit(recipe, phantoms, model, options)
    unseen = of_split(read_bids(phantoms, recipe.prep.slots), Split.TEST)
    job = Job(out=results, model_folder=model, cache=cache)
    run_cohort(job, unseen, crew=crew, progress=progress)
    evaluation = evaluate(results, phantoms)
    healthy = sum(row.kind is Kind.HEALTHY for row in evaluation.cases)
    calibration = fitted.calibration
    if calibration is None:
        msg = "a fit ends calibrated"
        raise AssertionError(msg)
    worst = max(evaluation.cases, key=lambda row: (row.flagged, row.lesion_ml))
    return DemoResult(
        evaluation=evaluation,
        lesions=_planted(phantoms),
        chance=flagged_range(recipe.calibration.alpha, calibration.n_scans, healthy),
        paths={
            "model": model,
            "maps": results,
            "table": results / "cohort.tsv",
            "report": results / worst.id / "report.html",
        },
    )


def _planted(phantoms: Path) -> dict[str, str]:
    """Return what each phantom's row says of its lesion."""
    lines = (phantoms / "participants.tsv").read_text(encoding="utf-8").splitlines()
    names = lines[0].split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]
    return {row["participant_id"]: row["lesion"] for row in rows}
