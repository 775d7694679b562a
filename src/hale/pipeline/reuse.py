"""What an experiment fits, unless its folder holds it already."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hale.core.errors import Refused
from hale.io.model import is_model
from hale.pipeline.cases import Patients
from hale.pipeline.experiment import BASE, MODEL, PRETRAINED, Recipes
from hale.pipeline.fit import fit
from hale.pipeline.job import Options
from hale.pipeline.learn import work_folder
from hale.pipeline.lists import Lists
from hale.pipeline.model import Model, load_model
from hale.pipeline.pretrain import pretrain
from hale.pipeline.pretrained import Pretrained, load_pretrained
from hale.recipe import FOLDERS, Recipe, StageRecipe


def fitted(recipes: Recipes, place: Path, lists: Lists, options: Options) -> Model:
    """Return the model of a fold: that in its folder, or a new one with all that it builds on.

    What a budget cut short goes on from its checkpoint, if there is more time now; what builds on
    it is fitted again.

    Raises:
        Refused: What is there was fitted by another recipe or on other people; as a fit.
    """
    below: dict[str, str] = {}
    if recipes.pretrained is not None:
        encoder = _encoder(recipes.pretrained, place / PRETRAINED, lists, options)
        below = {PRETRAINED: encoder.sha256}
    if recipes.base is not None:
        base = _model(recipes.base, place / BASE, lists, None, options, below)
        below = {BASE: base.sha256}
    return _model(recipes.model, place / MODEL, lists, lists.learnt, options, below)


def as_is(recipe: Recipe, folder: Path, lists: Lists, options: Options) -> Model:
    """Return the model in a folder, however far its fit went.

    Raises:
        Refused: It was fitted by another recipe or on other people.
    """
    model = load_model(folder, device=options.device, precision=options.precision)
    refuse_other(folder, model, recipe, lists)
    return model


def goes_on(provenance: Mapping[str, Any], budget_minutes: float | None) -> bool:
    """Say whether a training was cut short by a smaller budget than there is now."""
    made = provenance.get("fit", {})
    if made.get("finished", True):
        return False
    return budget_minutes is None or budget_minutes > (made.get("budget_minutes") or 0)


def _encoder(recipe: StageRecipe, folder: Path, lists: Lists, options: Options) -> Pretrained:
    """Return the encoder in a folder, or pretrain it."""
    if is_model(folder):
        there = load_pretrained(folder)
        refuse_other(folder, there, recipe, lists)
        if not goes_on(there.provenance, options.budget_minutes):
            return there
    return pretrain(recipe, lists.healthy, folder, going_on(folder, options))


def _model(
    recipe: Recipe,
    folder: Path,
    lists: Lists,
    learnt: Patients | None,
    options: Options,
    below: Mapping[str, str],
) -> Model:
    """Return the model in a folder, or fit it; ``below``: hashes of what it builds on."""
    options_here = going_on(folder, options)
    if is_model(folder):
        model = as_is(recipe, folder, lists, options)
        changed = any(model.provenance[key]["sha256"] != sha for key, sha in below.items())
        if not changed and not goes_on(model.provenance, options.budget_minutes):
            return model
        if changed:
            options.tell(f"{folder}: fitted again, as what it builds on has changed")
            options_here = replace(options, resume=None, anew=True)
    return fit(recipe, lists.healthy, folder, options_here, learnt)


def going_on(folder: Path, options: Options) -> Options:
    """Return the options of a training that goes on from its last checkpoint, if it has one."""
    begun = any(work_folder(folder).glob("*.safetensors"))
    return replace(options, resume="latest" if begun else None)


def refuse_other(
    folder: Path, there: Model | Pretrained, wanted: Recipe | StageRecipe, lists: Lists
) -> None:
    """Refuse what is not what would be fitted; where that builds on something does not matter.

    Raises:
        Refused: Names the first table of the recipe that differs, or says that people do.
    """
    remedy = "give another --out, or take it away"
    have, want = there.recipe.resolved(), wanted.resolved()
    for key in sorted({*have, *want} - {*FOLDERS}):
        if have.get(key) != want.get(key):
            raise Refused(str(folder), f"was fitted with another [{key}]", remedy)
    people = there.provenance["fit"]["people"]
    if people and people != sorted({entry.person for entry in lists.fit}):
        raise Refused(str(folder), "was fitted on other people than these lists name", remedy)
