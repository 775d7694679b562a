"""What an experiment fits, unless its folder holds it already."""

from dataclasses import replace
from pathlib import Path

from hale.core.errors import Refused
from hale.io.model import is_model
from hale.pipeline.experiment import BASE, MODEL, PRETRAINED, Recipes
from hale.pipeline.fit import fit
from hale.pipeline.job import Options
from hale.pipeline.learn import work_folder
from hale.pipeline.lists import Lists
from hale.pipeline.model import Model, load_model
from hale.pipeline.pretrain import pretrain
from hale.pipeline.pretrained import load_pretrained
from hale.recipe import FOLDERS, Recipe, StageRecipe


def fitted(recipes: Recipes, place: Path, lists: Lists, options: Options) -> Model:
    """Return the model of a fold: that in its folder, or a new one with all that it builds on."""
    data = lists.healthy
    if recipes.pretrained is not None:
        there = place / PRETRAINED
        if is_model(there):
            refuse_other(there, load_pretrained(there).recipe, recipes.pretrained)
        else:
            pretrain(recipes.pretrained, data, there, going_on(there, options))
    if recipes.base is not None:
        _model(recipes.base, data, place / BASE, options)
    return _model(recipes.model, data, place / MODEL, options, lists)


def _model(
    recipe: Recipe, data: Path, folder: Path, options: Options, lists: Lists | None = None
) -> Model:
    """Return the model in a folder, or fit it."""
    if is_model(folder):
        model = load_model(folder, device=options.device, precision=options.precision)
        refuse_other(folder, model.recipe, recipe)
        return model
    learnt = lists.learnt if lists else None
    return fit(recipe, data, folder, going_on(folder, options), learnt)


def going_on(folder: Path, options: Options) -> Options:
    """Return the options of a training that goes on from its last checkpoint, if it has one."""
    begun = any(work_folder(folder).glob("*.safetensors"))
    return replace(options, resume="latest" if begun else None)


def refuse_other(folder: Path, there: Recipe | StageRecipe, wanted: Recipe | StageRecipe) -> None:
    """Refuse what was fitted by another recipe; where it builds on something does not matter.

    Raises:
        Refused: Names the first table that differs.
    """
    have, want = there.resolved(), wanted.resolved()
    for key in sorted({*have, *want} - {*FOLDERS}):
        if have.get(key) != want.get(key):
            why = f"was fitted with another [{key}]"
            raise Refused(str(folder), why, "give another --out, or take it away")
