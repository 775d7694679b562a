"""The public weights of implicit field learning: two files, of a network and of its codes."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from hale.core.errors import Refused
from hale.core.method import State
from hale.core.scan import Space
from hale.methods.ifl import IFL
from hale.recipe import Recipe
from hale.train.classes import Palette
from hale.train.public_field import public_state

AXES = "SPL"
"""What the coordinates that the published network takes count."""


def read(files: Sequence[Path], recipe: Recipe, space: Space) -> State:
    """Return the weights, the mean of the codes and the published classes.

    Args:
        files: The checkpoints of the network and of the codes of its training brains, ``.pth``.
        recipe: Of the published network, of one contrast.
        space: Of the recipe.

    Raises:
        Refused: A file is not the published one, or the recipe describes another network, be it one
            of the same shapes.
    """
    weights, codes = files
    method = cast("IFL", recipe.method)
    for name, have, want in (
        ("axes", str(method.axes), AXES),
        ("palette", str(method.palette), str(Palette.PUBLISHED)),
    ):
        if have != want:
            why = f"method.{name} of the recipe is {have!r}, that of the weights {want!r}"
            raise Refused(str(weights), why, "take ifl-released")
    if len(space.slots) != 1:
        why = f"the weights are of one contrast, the recipe of {len(space.slots)}"
        raise Refused(str(weights), why, "take ifl-released")
    return public_state(weights, codes)
