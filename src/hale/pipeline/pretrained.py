"""A pretrained encoder: saved to and loaded from a folder like a model's, which scores nothing."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from hale import __version__
from hale.core.errors import Refused
from hale.core.method import State
from hale.core.scan import Space
from hale.io.model import ModelFiles, read_model, write_model
from hale.pipeline.card import pretrained_card
from hale.pipeline.model import space_of_table, space_table
from hale.recipe import StageRecipe, build_stage


@dataclass(frozen=True, kw_only=True, eq=False)
class Pretrained:
    """Arrays that a method may start from, and where they came from."""

    recipe: StageRecipe
    space: Space
    state: State
    provenance: Mapping[str, Any]
    """Plain JSON, as that of a model."""
    sha256: str = ""
    """Of the folder's files; empty before it is saved."""


def save_pretrained(pretrained: Pretrained, folder: Path) -> Pretrained:
    """Write the folder and return what is in it with its hash.

    Raises:
        Refused: The place cannot be written, or the disk is full.
    """
    files = ModelFiles(
        recipe=tomli_w.dumps(pretrained.recipe.resolved()),
        state=pretrained.state,
        space=space_table(pretrained.space),
        provenance=pretrained.provenance,
        card=pretrained_card(pretrained.recipe, pretrained.provenance, name=folder.name),
        calibration=None,
    )
    return replace(pretrained, sha256=write_model(folder, files, version=__version__))


def load_pretrained(folder: Path) -> Pretrained:
    """Read the folder of a pretrained encoder.

    Raises:
        Refused: There is none, or it is incomplete, damaged, altered or a model.
    """
    what, remedy = f"pretrained {folder}", "give the folder of a `hale pretrain`, as it wrote it"
    if not folder.is_dir():
        raise Refused(what, "there is no such folder", remedy)
    try:
        files, sha256 = read_model(folder)
        recipe = build_stage(tomllib.loads(files.recipe))
        space = space_of_table(files.space)
    except Refused as error:
        raise Refused(what, error.why, remedy) from None
    except (KeyError, ValueError, TypeError) as error:
        raise Refused(what, f"its files do not fit together ({error})", remedy) from None
    return Pretrained(
        recipe=recipe,
        space=space,
        state=files.state,
        provenance=files.provenance,
        sha256=sha256,
    )
