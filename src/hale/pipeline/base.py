"""What was learnt before, that a model builds on: it must have seen scans as the model will."""

from collections.abc import Mapping
from typing import Any

from hale.core.errors import Refused
from hale.core.method import BASE, BuildsOn, Detector, State
from hale.core.scan import Space, wanted
from hale.prep.settings import Preparation
from hale.recipe import Recipe, build_recipe, plain


def refuse_other_space(
    what: str, prep: Preparation, space: Space, other: Preparation, other_space: Space
) -> None:
    """Refuse to build on what sees scans on another grid, or prepared in another way.

    Args:
        what: What to call it.
        prep: Of the model that is to be built.
        space: Likewise.
        other: Of what it is to be built on.
        other_space: Likewise.

    Raises:
        Refused: Names the first difference.
    """
    remedy = "prepare both alike, or take another"
    ours, theirs = plain(prep), plain(other)
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            why = f"its prep.{key} is {theirs.get(key)}, this recipe's is {ours.get(key)}"
            raise Refused(what, why, remedy)
    if space.slots != other_space.slots:
        why = f"takes {wanted(other_space.slots)}, this recipe {wanted(space.slots)}"
        raise Refused(what, why, remedy)
    if not space.grid.is_the_same_as(other_space.grid):
        why = f"lies on a grid of {other_space.grid.shape}, these scans on {space.grid.shape}"
        raise Refused(what, f"{why} (or elsewhere in space)", remedy)


def restored(recipe: Recipe, state: State, space: Space, base: Mapping[str, Any]) -> Detector:
    """Return the detector whose state was saved, on its base if its method builds on one.

    Args:
        recipe: Of the model.
        state: Its arrays, the base's among them (`BASE`).
        space: Of both.
        base: What the model's provenance says of its base; empty: there is none.
    """
    method = recipe.method
    if not isinstance(method, BuildsOn):
        return method.restore(state, space)
    below = build_recipe(base["recipe"], where="the base's recipe")
    arrays = {n.removeprefix(BASE): array for n, array in state.items() if n.startswith(BASE)}
    own = {name: array for name, array in state.items() if not name.startswith(BASE)}
    return method.restore_on(below.method.restore(arrays, space), own, space)
