"""Methods that learn from the scan itself need no model folder: map and ranks, no p-values."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hale.core.errors import Refused
from hale.core.method import Placed, Precision, Supervision
from hale.core.scan import Contrast, RawScan
from hale.io.cache import key_of
from hale.methods import METHODS
from hale.pipeline.model import Model, placed, versions
from hale.prep.chain import space_of
from hale.prep.settings import Mode, Normalisation
from hale.prep.template import template_hash
from hale.recipe import Recipe, build_recipe, bundled_or_path, read_recipe


def names_a_method(method: str) -> bool:
    """Say whether a method is meant, to run where the scan lies, and not a recipe."""
    return method in METHODS and not Path(method).exists()


def single_scan_recipe(method: str, contrast: Contrast | None, overrides: Sequence[str]) -> Recipe:
    """Return the recipe of a single-scan method.

    Args:
        method: Its name, to run where the scan lies; or a recipe's name or path.
        contrast: Of the scan; None with a recipe, which says its own.
        overrides: ``section.key=value`` settings.

    Raises:
        Refused: There is no such method or recipe, or it learns from a cohort.
    """
    if names_a_method(method):
        prep: dict[str, Any] = {"mode": Mode.NATIVE, "slots": [[contrast or Contrast.T1W]]}
        if contrast is Contrast.CT:
            prep["normalise"] = Normalisation.WINDOW
        recipe = build_recipe({"method": {"name": method}, "prep": prep}, overrides=overrides)
    else:
        path = bundled_or_path(method)
        if not path.exists():
            remedy = "see `hale methods` for methods, `hale recipe` for recipes"
            raise Refused(f"--method {method}", "is neither a method nor a recipe", remedy)
        recipe = read_recipe(path, overrides)
    if recipe.method.supervision is not Supervision.NONE:
        why = f"learns from {recipe.method.supervision}, not from one"
        raise Refused(f"--method {method}", why, "fit it first (`hale fit`), then give --model")
    return recipe


def single_scan_model(
    recipe: Recipe, raw: RawScan, *, device: str = "cpu", precision: Precision = Precision.AUTO
) -> Model:
    """Return a model for one scan, uncalibrated."""
    space = space_of(recipe.prep, raw)
    detector = recipe.method.restore({}, space)
    if isinstance(detector, Placed):
        from hale.train.device import resolve_device, resolve_precision

        device = resolve_device(device)
        precision = resolve_precision(precision, device)
    return Model(
        recipe=recipe,
        space=space,
        detector=placed(detector, device, precision, seed=recipe.seed),
        calibration=None,
        provenance=versions(),
        sha256=recipe_hash(recipe),
        name=recipe.method_name,
    )


def recipe_hash(recipe: Recipe) -> str:
    """Return what results of a single-scan method are known by, as others are by their model."""
    full = recipe.prep.mode is Mode.FULL
    template = template_hash(recipe.prep.template_of_reference) if full else ""
    return key_of(recipe.resolved(), template)
