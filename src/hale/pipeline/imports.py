"""Models from weights that others have published: one reader per format, one way on from there."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from hale.core.errors import Refused
from hale.core.method import Precision, State
from hale.core.scan import Space
from hale.io.nifti import file_hash
from hale.pipeline.model import Model, save_model, versions
from hale.prep.chain import space_of
from hale.prep.settings import Mode
from hale.prep.template import template_hash
from hale.recipe import Recipe

Reader = Callable[[Path, Recipe, Space], State]
"""From a file of weights to the state of the recipe's detector; it refuses a file that is not its
own by naming the first array that does not fit, and executes nothing that the file holds."""

READERS: Final[dict[str, str]] = {
    "strega": "hale.pipeline.imports_strega:read",
}
"""By method."""


def import_weights(file: Path, recipe: Recipe, out: Path) -> Model:
    """Write an uncalibrated model folder from published weights, and return the model.

    Args:
        file: As its authors published it.
        recipe: Of the architecture that the weights are of; its method has a reader.
        out: Where the model goes.

    Raises:
        Refused: The file is not what the recipe describes, or the recipe leaves its grid to scans.
    """
    if recipe.method_name not in READERS:
        why = f"weights of {recipe.method_name!r} cannot be imported"
        raise Refused(str(file), why, f"there are readers for {', '.join(READERS)}")
    if not file.is_file():
        raise Refused(str(file), "there is no such file", "download it first")
    if recipe.prep.mode is not Mode.FULL:
        why = "takes its grid from scans, and here are none"
        raise Refused(f"prep.mode = '{recipe.prep.mode}'", why, "use 'full'")
    space = space_of(recipe.prep)
    detector = recipe.method.restore(_reader(recipe.method_name)(file, recipe, space), space)
    record = {
        "data": file.name,
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
            "imported": {"file": file.name, "sha256": file_hash(file)},
            "fit": record,
        },
    )
    return save_model(model, out)


def _reader(method: str) -> Reader:
    module, _, attribute = READERS[method].partition(":")
    return cast("Reader", getattr(import_module(module), attribute))
