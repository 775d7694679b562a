"""What an experiment fits, unless its folder holds it already."""

from dataclasses import replace
from pathlib import Path

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

    Raises:
        Refused: What is there was fitted by another recipe or on other people; as a fit.
    """
    if recipes.pretrained is not None:
        there = place / PRETRAINED
        if is_model(there):
            refuse_other(there, load_pretrained(there), recipes.pretrained, lists)
        else:
            pretrain(recipes.pretrained, lists.healthy, there, going_on(there, options))
    if recipes.base is not None:
        _model(recipes.base, place / BASE, lists, None, options)
    return _model(recipes.model, place / MODEL, lists, lists.learnt, options)


def _model(
    recipe: Recipe, folder: Path, lists: Lists, learnt: Patients | None, options: Options
) -> Model:
    """Return the model in a folder, or fit it."""
    if not is_model(folder):
        return fit(recipe, lists.healthy, folder, going_on(folder, options), learnt)
    model = load_model(folder, device=options.device, precision=options.precision)
    refuse_other(folder, model, recipe, lists)
    return model


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
