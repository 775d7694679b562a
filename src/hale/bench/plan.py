"""What a suite asks for: which models, which maps; what of it is there, and what it costs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hale.bench.place import Place, Run
from hale.bench.planting import spots_in
from hale.bench.suite import Cohort, Entrant, Kind, Suite
from hale.core.errors import Refused
from hale.core.method import Supervision
from hale.core.scan import Slots
from hale.data.cohort import Entry
from hale.io.model import is_model, read_model
from hale.pipeline.calibrate import SECONDS_SCAN
from hale.pipeline.single import names_a_method, single_scan_recipe
from hale.pipeline.write import RESULT
from hale.recipe import (
    STAGE_SECTIONS,
    Recipe,
    StageRecipe,
    bundled_or_path,
    read_recipe,
    read_stage,
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One method with one seed on one fold, and the cohorts that it is tested on."""

    run: Run
    entrant: Entrant
    recipe: Recipe | None
    """None: maps by other software."""
    stage: StageRecipe | None
    """Of the encoder that it starts from."""
    model: Path | None
    """Where its model is, or will be; None: it has none."""
    reused: bool
    """Whether that model was fitted before, elsewhere."""
    cohorts: tuple[Cohort, ...]

    @property
    def supervision(self) -> Supervision:
        """Return what the method learns from."""
        return self.entrant.supervision if self.recipe is None else self.recipe.method.supervision

    @property
    def is_fitted_here(self) -> bool:
        """Say whether the benchmark fits, or at least calibrates, its model."""
        return self.model is not None and not self.reused

    def slots(self, cohort: Cohort) -> Slots:
        """Return the channels that it takes of a cohort's scans."""
        return ((cohort.contrast,),) if self.recipe is None else self.recipe.prep.slots


def jobs(suite: Suite, place: Place) -> list[Job]:
    """Return what a suite asks for, what others build on first.

    Raises:
        Refused: An unknown recipe, setting or method; a base in a circle; folders of models or maps
            that are not given.
    """
    entrants = _bases_first(suite.methods)
    return [
        _job(suite, place, entrant, run) for entrant in entrants for run in _runs(suite, entrant)
    ]


def _runs(suite: Suite, entrant: Entrant) -> Iterator[Run]:
    """Yield the runs of a method: one of the first seed where nothing is calibrated, or learnt."""
    learns = False
    if entrant.recipe:
        settings = [*suite.settings, *entrant.settings]
        recipe = read_recipe(bundled_or_path(entrant.recipe), settings)
        learns = recipe.method.supervision is not Supervision.NONE
    for seed in suite.seeds if learns else suite.seeds[:1]:
        for fold in range(suite.folds if entrant.recipe else 1):
            yield Run(method=entrant.name, seed=seed, fold=fold)


def _job(suite: Suite, place: Place, entrant: Entrant, run: Run) -> Job:
    cohorts = tuple(c for c in suite.cohorts if not entrant.cohorts or c.name in entrant.cohorts)
    recipe, stage = recipes_of(suite, place, entrant, run)
    model, reused = None, False
    if entrant.recipe:
        there = _fitted_before(place, run, suite)
        model, reused = there or place.model(run), there is not None
    if entrant.maps and place.maps is None:
        what = f"method {entrant.name}"
        why = f"is maps by other software, in a folder {entrant.maps}"
        raise Refused(what, why, "give the folder above it as --maps FOLDER")
    return Job(
        run=run,
        entrant=entrant,
        recipe=recipe,
        stage=stage,
        model=model,
        reused=reused,
        cohorts=cohorts,
    )


def recipes_of(
    suite: Suite, place: Place, entrant: Entrant, run: Run
) -> tuple[Recipe | None, StageRecipe | None]:
    """Return the recipe of a run, and that of the encoder that it starts from."""
    if entrant.maps:
        return None, None
    if entrant.single:
        contrasts = {cohort.contrast for cohort in suite.cohorts}
        if len(contrasts) > 1 and names_a_method(entrant.single):
            why = f"would run on {', '.join(sorted(contrasts))}"
            raise Refused(f"method {entrant.name}", why, "make a suite for each contrast")
        settings = [*suite.settings, *entrant.settings]
        return single_scan_recipe(entrant.single, contrasts.pop(), settings), None
    settings = [*suite.settings, *entrant.settings, f"seed={run.seed}"]
    if entrant.base:
        below = replace(run, method=entrant.base)
        settings.append(f"base={_fitted_before(place, below, suite) or place.model(below)}")
    if entrant.pretrain:
        settings.append(f"pretrained={place.encoder(run)}")
        shared = [one for one in suite.settings if one.partition(".")[0] in STAGE_SECTIONS]
        asked = [*shared, f"seed={run.seed}"]
        stage = read_stage(bundled_or_path(entrant.pretrain), asked)
        return read_recipe(bundled_or_path(entrant.recipe), settings), stage
    return read_recipe(bundled_or_path(entrant.recipe), settings), None


def _fitted_before(place: Place, run: Run, suite: Suite) -> Path | None:
    """Return the folder of a model that is given, if there is one of this run."""
    if place.models is None:
        return None
    names = [str(run)]
    if run.seed == suite.seeds[0] and run.fold == 0:
        names.append(run.method)
    return next((place.models / name for name in names if is_model(place.models / name)), None)


def _bases_first(methods: Sequence[Entrant]) -> list[Entrant]:
    """Return the methods in an order in which each comes after what it builds on."""
    left, ordered = list(methods), list[Entrant]()
    while left:
        done = {method.name for method in ordered}
        ready = [method for method in left if not method.base or method.base in done]
        if not ready:
            raise Refused(f"method {left[0].name}", "builds on itself", "name another base")
        ordered += ready[:1]
        left.remove(ready[0])
    return ordered


def described(
    suite: Suite, place: Place, todo: Sequence[Job], hosts: dict[str, list[Entry]]
) -> list[str]:
    """Return the plan and its cost, a line each, for people; nothing is done.

    Args:
        suite: Which.
        place: Where its data and results are.
        todo: Its jobs.
        hosts: The scans of each cohort, planted or not.
    """
    lines = [suite.title]
    seconds, unknown = 0.0, 0
    for job in todo:
        minutes, line = _fit_line(job)
        lines.append(line)
        seconds += 60 * minutes
        for cohort in job.cohorts:
            total = scans_in(cohort, hosts[cohort.name])
            done, each = _scored(place.maps_of(job.run, cohort.name))
            each = _seconds_calibrated(job) if each is None else each
            left = max(0, total - done)
            cost = "its time is not known yet"
            if job.recipe is None:
                cost, left = "maps are given", 0
            elif each is not None or left == 0:
                cost = f"about {_minutes((each or 0.0) * left)}"
                seconds += (each or 0.0) * left
            else:
                unknown += left
            lines.append(f"  {cohort.name}: {total} scans, {done} scored already; {cost}")
    lines.append(f"in all about {_minutes(seconds)} of one process, as far as times are known")
    if unknown:
        lines.append(f"and {unknown} maps of methods that have scored nothing here yet")
    return lines


def scans_in(cohort: Cohort, hosts: Sequence[Entry]) -> int:
    """Return how many cases a cohort has."""
    if cohort.kind is not Kind.SYNTHETIC or cohort.lesions is None:
        return len(hosts)
    return sum(len(spots_in(cohort.lesions, number)) for number in range(len(hosts)))


def _fit_line(job: Job) -> tuple[float, str]:
    """Return the minutes that a fit may take, as far as a budget says, and a line about it."""
    name, budget = str(job.run), job.entrant.budget_minutes
    if job.recipe is None:
        return 0.0, f"{name}: maps in {job.entrant.maps}"
    if job.model is None:
        return 0.0, f"{name}: {job.recipe.title}, on each scan by itself"
    if is_model(job.model):
        how = "reused" if job.reused else "fitted already"
        return 0.0, f"{name}: {job.recipe.title}, {how} ({job.model})"
    parts = 2 if job.stage is not None else 1
    steps = getattr(job.recipe.method, "steps", None)
    length = f"{steps} steps" if steps else "to its end"
    told = f"at most {parts * budget:g} minutes" if budget else f"{length}, no budget"
    return parts * (budget or 0.0), f"{name}: fit {job.recipe.title}, {told}; then calibrate"


def _scored(folder: Path) -> tuple[int, float | None]:
    """Return how many scans have maps, and the mean seconds that one took."""
    took = []
    for result in folder.glob(f"*/{RESULT}"):
        told = json.loads(result.read_text(encoding="utf-8"))
        took.append(sum(told["seconds"].values()))
    return len(took), sum(took) / len(took) if took else None


def _seconds_calibrated(job: Job) -> float | None:
    """Return the seconds that a scan took when its model was calibrated; None: nobody says."""
    if job.model is None or not is_model(job.model):
        return None
    told: float | None = read_model(job.model)[0].provenance.get("calibrate", {}).get(SECONDS_SCAN)
    return told


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} s"
