"""Models from weights that others have published: one reader per format, one way on from there."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from hale.core.errors import Refused
from hale.core.method import State
from hale.core.run import Precision
from hale.core.scan import Space
from hale.io.nifti import file_hash
from hale.pipeline.model import Model, save_model
from hale.pipeline.versions import versions
from hale.prep.chain import space_of
from hale.prep.settings import Mode
from hale.prep.template import template_hash
from hale.recipe import Recipe

Reader = Callable[[Sequence[Path], Recipe, Space], State]
"""From files of weights to the state of the recipe's detector; it refuses a file that is not its
own by naming the first array that does not fit, and executes nothing that a file holds."""

READERS: Final[dict[str, tuple[str, int]]] = {
    "ifl": ("hale.pipeline.imports_ifl:read", 2),
    "strega": ("hale.pipeline.imports_strega:read", 1),
}
"""By method, and how many files it takes."""


def import_weights(files: Sequence[Path], recipe: Recipe, out: Path) -> Model:
    """Write an uncalibrated model folder from published weights, and return the model.

    Args:
        files: As their authors published them; as many as the reader takes, in its order.
        recipe: Of the architecture that the weights are of; its method has a reader.
        out: Where the model goes.

    Raises:
        Refused: A file is not what the recipe describes, or the recipe leaves its grid to scans.
    """
    if recipe.method_name not in READERS:
        why = f"weights of {recipe.method_name!r} cannot be imported"
        raise Refused(str(files[0]), why, f"there are readers for {', '.join(READERS)}")
    count = READERS[recipe.method_name][1]
    if len(files) != count:
        why = f"weights of {recipe.method_name} are {count} files, not {len(files)}"
        remedy = f"use `hale import {recipe.method_name}`, or a recipe of these weights"
        raise Refused(str(files[0]), why, remedy)
    for file in files:
        if not file.is_file():
            raise Refused(str(file), "there is no such file", "download it first")
    if recipe.prep.mode is not Mode.FULL:
        why = "takes its grid from scans, and here are none"
        raise Refused(f"prep.mode = '{recipe.prep.mode}'", why, "use 'full'")
    space = space_of(recipe.prep)
    detector = recipe.method.restore(_reader(recipe.method_name)(files, recipe, space), space)
    record = {
        "data": ", ".join(file.name for file in files),
        "terms": recipe.cohort.terms or "those of the published weights",
        "template": template_hash(recipe.prep.template_of_reference),
    }
    model = Model(
        recipe=recipe,
        space=space,
        detector=detector,
        calibration=None,
        provenance={
            **versions(),
            "device": "cpu",
            "precision": Precision.FULL,
            "imported": [{"file": file.name, "sha256": file_hash(file)} for file in files],
            "fit": record,
        },
    )
    return save_model(model, out)


def _reader(method: str) -> Reader:
    module, _, attribute = READERS[method][0].partition(":")
    return cast("Reader", getattr(import_module(module), attribute))
