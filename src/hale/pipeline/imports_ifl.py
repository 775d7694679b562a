"""The public weights of implicit field learning: two files, of a network and of its codes."""

from pathlib import Path

from hale.core.errors import Refused
from hale.core.method import Precision
from hale.io.nifti import file_hash
from hale.pipeline.model import Model, save_model, versions
from hale.prep.chain import space_of
from hale.prep.settings import Mode
from hale.prep.template import template_hash
from hale.recipe import Recipe


def import_ifl(weights: Path, codes: Path, recipe: Recipe, out: Path) -> Model:
    """Write an uncalibrated model folder, and return the model; nothing in the files is executed.

    Args:
        weights: The checkpoint of the network, ``.pth``.
        codes: The checkpoint of the codes of its training brains, ``.pth``.
        recipe: Of the published network, of one contrast.
        out: Where the model goes.

    Raises:
        Refused: A file is not the published one, or the recipe describes another network.
    """
    if recipe.method_name != "ifl":
        why = f"are of ifl, the recipe is of {recipe.method_name}"
        raise Refused(str(weights), why, "take ifl-released")
    if recipe.prep.mode is not Mode.FULL:
        why = "takes its grid from scans, and here are none"
        raise Refused(f"prep.mode = '{recipe.prep.mode}'", why, "use 'full'")
    from hale.train.public_field import public_state

    space = space_of(recipe.prep)
    detector = recipe.method.restore(public_state(weights, codes), space)
    record = {
        "data": f"{weights.name} (HCP T2w, as published)",
        "terms": recipe.cohort.terms or "those of the published weights",
        "template": template_hash(recipe.prep.template_of_reference),
    }
    imported = [{"file": path.name, "sha256": file_hash(path)} for path in (weights, codes)]
    place = {"device": "cpu", "precision": Precision.FULL}
    model = Model(
        recipe=recipe,
        space=space,
        detector=detector,
        calibration=None,
        provenance={**versions(), **place, "imported": imported, "fit": record},
    )
    return save_model(model, out)
