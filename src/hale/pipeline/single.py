"""Methods that learn from the scan itself need no model folder: map and ranks, no p-values."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hale.core.errors import Refused
from hale.core.method import Placed, Supervision
from hale.core.run import Precision
from hale.core.scan import Contrast, RawScan
from hale.io.cache import key_of
from hale.methods import METHODS
from hale.pipeline.model import Model, placed
from hale.pipeline.versions import versions
from hale.prep.chain import space_of
from hale.prep.settings import Mode, Normalisation
from hale.prep.template import template_hash
from hale.recipe import Recipe, build_recipe, bundled, bundled_or_path, read_recipe


def names_a_method(method: str) -> bool:
    """Say whether a method or its preset is meant, to run where the scan lies, and not a recipe."""
    return not Path(method).exists() and (method in METHODS or _in_place(method) is not None)


def single_scan_recipe(method: str, contrast: Contrast | None, overrides: Sequence[str]) -> Recipe:
    """Return the recipe of a single-scan method.

    Args:
        method: Its name, to run where the scan lies; or a recipe's name or path. A bundled recipe
            of ``prep.mode = "native"`` is a preset: it takes any contrast, and a method's name
            stands for its ``default``.
        contrast: Of the scan; None with a recipe, which says its own.
        overrides: ``section.key=value`` settings.

    Raises:
        Refused: There is no such method or recipe, or it learns from a cohort.
    """
    if names_a_method(method):
        table = _in_place(method) or {"method": {"name": method}, "prep": {"mode": Mode.NATIVE}}
        table["prep"]["slots"] = [[contrast or Contrast.T1W]]
        if contrast is Contrast.CT:
            table["prep"]["normalise"] = Normalisation.WINDOW
        recipe = build_recipe(table, overrides=overrides)
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


def _in_place(method: str) -> dict[str, Any] | None:
    """Return the table of a bundled recipe that runs where the scan lies; None: there is none."""
    recipes = bundled()
    path = recipes.get(f"{method}-default") if method in METHODS else recipes.get(method)
    table = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
    return table if table.get("prep", {}).get("mode") == Mode.NATIVE else None


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
