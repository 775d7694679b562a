"""What a method may see while it learns: decided here and nowhere else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hale.core.errors import Refused
from hale.core.method import BuildsOn, Supervision, Training
from hale.core.scan import Case, Space
from hale.data.cohort import Entry
from hale.pipeline.base import refuse_other_space
from hale.pipeline.cases import NOBODY, Patients, read_cases
from hale.pipeline.job import Options
from hale.pipeline.model import Model, load_model
from hale.pipeline.pretrained import Pretrained, load_pretrained
from hale.pipeline.seen import BELOW, refuse_base_overlap, refuse_overlap
from hale.prep.chain import Prepared
from hale.recipe import Recipe, StageRecipe


@dataclass(frozen=True, kw_only=True, eq=False)
class Beside:
    """What a method may see beside healthy scans, not yet prepared."""

    patients: Patients = NOBODY
    base: Model | None = None
    """On the CPU; the run decides where it works."""
    pretrained: Pretrained | None = None

    @property
    def below(self) -> dict[str, Model | Pretrained]:
        """Return what was learnt before, by the key of the recipe that names it."""
        parts = {"base": self.base, "pretrained": self.pretrained}
        return {key: part for key, part in parts.items() if part is not None}

    def record(self, recipe: Recipe) -> dict[str, Any]:
        """Return what is to be known of what the model builds on; nobody needs the folders now."""
        return {
            key: {
                "source": getattr(recipe, key),
                "sha256": part.sha256,
                "recipe": part.recipe.resolved(),
                "fit": part.provenance.get("fit", {}),
                **{name: part.provenance[name] for name in BELOW if name in part.provenance},
            }
            for key, part in self.below.items()
        }


def asked_beside(recipe: Recipe, cases: Path | Patients | None, options: Options) -> Beside:
    """Return the cases, the base and the pretrained encoder that a recipe's method is granted.

    Args:
        recipe: Of the method.
        cases: A folder of patients, or whom a list names, if any are given.
        options: How folders are read.

    Raises:
        Refused: One that the method does not take, or lacks; no model at the base's place, or one
            that the method does not work with; no encoder at its own.
    """
    if isinstance(recipe.method, BuildsOn) and not recipe.base:
        why = "builds on a fitted model, and the recipe names none"
        raise Refused(f"method {recipe.method_name}", why, "give --set base=FOLDER")
    patients = read_cases(cases, recipe, options)
    return Beside(
        patients=patients,
        base=_base(recipe),
        pretrained=load_pretrained(Path(recipe.pretrained)) if recipe.pretrained else None,
    )


def _base(recipe: Recipe) -> Model | None:
    """Return the model that a recipe names as its base, which its method works with."""
    if not isinstance(recipe.method, BuildsOn):
        return None
    base = load_model(Path(recipe.base))
    recipe.method.base_of(base.detector)
    return base


def refuse_unfit_beside(
    beside: Beside, recipe: Recipe, space: Space, cohort: Sequence[Entry]
) -> None:
    """Refuse to build on what sees scans otherwise, or has learnt from whoever is to be apart.

    Raises:
        Refused: Names the first of them.
    """
    refuse_overlap(beside.patients.entries, cohort)
    for key, part in beside.below.items():
        what = f"{key} {getattr(recipe, key)}"
        refuse_other_space(what, recipe.prep, space, part.recipe.prep, part.space)
        refuse_base_overlap(part.provenance, what, cohort)


def granted(
    recipe: Recipe | StageRecipe,
    prepared: Sequence[Prepared],
    entries: Sequence[Entry],
    space: Space,
) -> Training:
    """Return what the method may see of healthy scans.

    The people to hold out are spread evenly over the cohort; all visits of one are held out.
    """
    if recipe.method.supervision is Supervision.NONE:
        return Training(space=space)
    person = {entry.id: entry.person for entry in entries}
    held_out = _held_out(recipe, person, [p.scan.id for p in prepared])
    return Training(
        space=space,
        healthy=[p.scan for p in prepared if p.scan.id not in held_out],
        held_out=[p.scan for p in prepared if p.scan.id in held_out],
    )


def with_cases(
    training: Training, recipe: Recipe, cases: Sequence[Case], patients: Patients
) -> Training:
    """Return what the method may see with the cases, of which as large a share is held out."""
    if not cases:
        return training
    person = {entry.id: entry.person for entry in patients.entries}
    held_out = _held_out(recipe, person, [case.scan.id for case in cases])
    return replace(
        training,
        cases=[case for case in cases if case.scan.id not in held_out],
        held_out_cases=[case for case in cases if case.scan.id in held_out],
    )


def _held_out(
    recipe: Recipe | StageRecipe, person: Mapping[str, str], ids: Sequence[str]
) -> set[str]:
    """Return the ids of the people to hold out: their share, never all of them."""
    people = list(dict.fromkeys(person[name] for name in ids))
    count = min(round(recipe.cohort.held_out * len(people)), len(people) - 1)
    apart = {people[(2 * n + 1) * len(people) // (2 * count)] for n in range(count)}
    return {name for name in ids if person[name] in apart}
