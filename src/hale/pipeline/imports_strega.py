"""The public StRegA weights: one safetensors file."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from hale.core.method import State
from hale.core.scan import Space
from hale.io.weights import read_weights
from hale.methods.strega import StReGA
from hale.recipe import Recipe

PREFIX = "model."
"""Of the names, where a training framework wrote the file."""


def read(files: Sequence[Path], recipe: Recipe, space: Space) -> State:
    """Return the weights for the network of ``recipe``; 18 arrays for the public ones.

    Raises:
        Refused: Names the first array that is missing, unknown, or of another shape or type.
    """
    (file,) = files
    method = cast("StReGA", recipe.method)
    return read_weights(file, method.shapes(space), prefix=PREFIX)
