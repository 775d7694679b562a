"""A fitted model: everything that `detect` needs, saved to and loaded from its folder."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from hale import __version__
from hale.calibration import Calibration, from_arrays
from hale.core.anomaly import AnomalyMap
from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.method import Decides, Detector, Placed, Seeded
from hale.core.run import Precision
from hale.core.scan import Contrast, Scan, Space
from hale.io.model import ModelFiles, read_model, write_model
from hale.pipeline.base import restored
from hale.pipeline.card import card
from hale.post.chain import processed
from hale.post.normative import NormativeResidual
from hale.post.score import scored
from hale.prep.settings import Mode
from hale.prep.template import template_hash
from hale.recipe import Recipe, build_recipe


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A detector, where it lives, what its scores mean, and where it came from."""

    recipe: Recipe
    space: Space
    detector: Detector
    calibration: Calibration | None
    provenance: Mapping[str, Any]
    """Plain JSON: who was in the fit, steps, seconds, versions, device, precision."""
    residual: NormativeResidual | None = None
    """What healthy scans leave over; only the score ``normative`` needs it."""
    sha256: str = ""
    """Of the folder's files; empty before it is saved."""
    name: str = ""
    """The folder's name."""

    @property
    def precision(self) -> Precision:
        """Return the precision that the calibration was made in."""
        return Precision(self.provenance.get("precision", Precision.FULL))


def save_model(model: Model, folder: Path) -> Model:
    """Write the model's folder and return the model with its hash.

    Raises:
        Refused: The place cannot be written, or the disk is full.
    """
    calibration = model.calibration
    provenance = dict(model.provenance)
    if calibration is not None:
        provenance["domain"] = dict(calibration.domain)
    files = ModelFiles(
        recipe=tomli_w.dumps(model.recipe.resolved()),
        state={name: np.asarray(array) for name, array in model.detector.state().items()},
        space=space_table(model.space),
        provenance=provenance,
        card=card(model.recipe, model.space, calibration, provenance, name=folder.name),
        calibration=None if calibration is None else calibration.arrays() | _residual_arrays(model),
    )
    sha256 = write_model(folder, files, version=__version__)
    return replace(model, sha256=sha256, name=folder.name, provenance=provenance)


def load_model(
    folder: Path, *, device: str = "cpu", precision: Precision = Precision.AUTO
) -> Model:
    """Read a model's folder.

    Args:
        folder: As `save_model` wrote it.
        device: Where its network is to run: ``auto``, ``cpu`` or ``cuda``.
        precision: ``AUTO`` is that of its calibration.

    Raises:
        Refused: No model, newer, incomplete, damaged, altered, or of a method that is not here.
    """
    files, sha256 = read_model(folder)
    recipe = build_recipe(tomllib.loads(files.recipe), where=str(folder / "recipe.toml"))
    _refuse_other_template(recipe, files.provenance)
    try:
        space = space_of_table(files.space)
        detector = restored(recipe, files.state, space, files.provenance.get("base", {}))
        calibration = (
            None
            if files.calibration is None
            else from_arrays(files.calibration, recipe.calibration, files.provenance["domain"])
        )
        residual = _residual(files.calibration or {})
        made_in = Precision(files.provenance.get("precision", Precision.FULL))
    except (KeyError, ValueError, TypeError) as error:
        why = f"its files do not fit together ({error})"
        raise Refused(str(folder), why, "fit it again") from None
    if isinstance(detector, Placed):
        from hale.train.device import resolve_device

        device = resolve_device(device)
    wanted = made_in if precision is Precision.AUTO else precision
    return Model(
        recipe=recipe,
        space=space,
        detector=placed(detector, device, wanted, seed=recipe.seed),
        calibration=calibration,
        provenance=files.provenance,
        residual=residual,
        sha256=sha256,
        name=folder.name,
    )


def space_table(space: Space) -> dict[str, Any]:
    """Return a space as plain JSON."""
    return {
        "slots": [[str(contrast) for contrast in slot] for slot in space.slots],
        "shape": list(space.grid.shape),
        "affine": space.grid.affine.tolist(),
    }


def space_of_table(table: Mapping[str, Any]) -> Space:
    """Undo `space_table`; a `KeyError`, `ValueError` or `TypeError` if it is of none."""
    return Space(
        slots=tuple(tuple(Contrast(c) for c in slot) for slot in table["slots"]),
        grid=Grid(shape=tuple(table["shape"]), affine=np.array(table["affine"], float)),
    )


def _residual_arrays(model: Model) -> dict[str, np.ndarray]:
    """Return what the model folder keeps of healthy scans' residual, beside the calibration."""
    if model.residual is None:
        return {}
    return {f"residual.{name}": array for name, array in vars(model.residual).items()}


def _residual(arrays: Mapping[str, np.ndarray]) -> NormativeResidual | None:
    """Return the residual whose `_residual_arrays` were kept."""
    if "residual.mean" not in arrays:
        return None
    return NormativeResidual(mean=arrays["residual.mean"], spread=arrays["residual.spread"])


def _refuse_other_template(recipe: Recipe, provenance: Mapping[str, Any]) -> None:
    """Refuse a template that is not the one that the fit registered to.

    Raises:
        Refused: It is not where the recipe says, or has another content.
    """
    where = recipe.prep.template_of_reference
    fitted = provenance.get("fit", {}).get("template")
    if recipe.prep.mode is Mode.FULL and fitted not in (None, template_hash(where)):
        why = "is not the template that the model was fitted with"
        raise Refused(where, why, "put that file there, or fit the model again")


def placed(detector: Detector, device: str, precision: Precision, *, seed: int) -> Detector:
    """Return the detector on ``device`` in ``precision``, with ``seed``, as far as it has them."""
    known: dict[str, Any] = {"seed": seed} if isinstance(detector, Seeded) else {}
    if isinstance(detector, Placed):
        known |= {"device": device, "precision": precision}
    if not known:
        return detector
    moved: Detector = replace(detector, **known)  # type: ignore[type-var]
    return moved


def has_decided(model: Model) -> bool:
    """Say whether the detector's map is its own decision, which cannot be calibrated."""
    return isinstance(model.detector, Decides) and model.detector.has_decided


def runs_in(model: Model) -> Precision:
    """Return the precision that the detector computes in now."""
    detector = model.detector
    return detector.precision if isinstance(detector, Placed) else Precision.FULL


def summary(model: Model) -> dict[str, Any]:
    """Return what stands in every result: method, what it learnt from, recipe, hash, ..."""
    return {
        "method": model.recipe.title,
        "learnt_from": str(model.recipe.method.supervision),
        "model": model.name,
        "model_sha256": model.sha256,
        "recipe": model.recipe.resolved(),
        "seed": model.recipe.seed,
        "calibration": None if model.calibration is None else asdict(model.calibration.settings),
    }


def score(model: Model, scan: Scan) -> AnomalyMap:
    """Return the map of a prepared scan by the recipe's score, after its post-processing.

    Raises:
        Refused: The detector cannot be scored so, or the model is not calibrated for it.
    """
    anomaly = scored(model.detector, scan, model.recipe.post, model.residual)
    return processed(anomaly, model.space.grid, model.recipe.post)
