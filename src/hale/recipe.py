"""A recipe: everything that decides a result, in one TOML file."""

import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, cast, get_type_hints

from annotated_types import Ge, Lt
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from hale.calibration import Calibrating
from hale.core.errors import Refused
from hale.core.method import BuildsOn, Method, Stage, TakesPretrained
from hale.methods import METHODS, describe, find
from hale.post.score import refuse_score
from hale.post.settings import REFERENCES, SIMILARITY, PostProcessing, Score
from hale.prep.settings import Normalisation, Preparation
from hale.train.stages import STAGES, find_stage


@dataclass(frozen=True, kw_only=True)
class CohortSettings:
    """Which scans a fit uses; the `[cohort]` table."""

    held_out: Annotated[float, Ge(0), Lt(1)] = 0.1
    """Share of the fit subjects that the method may watch for early stopping."""
    terms: str = ""
    """Licence or agreement of the training data, for the model card; empty: what the data set's
    ``dataset_description.json`` states."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Which method, with which hyper-parameters, on which preparation."""

    method: Method
    method_name: str
    cohort: CohortSettings = field(default_factory=CohortSettings)
    prep: Preparation = field(default_factory=Preparation)
    post: PostProcessing = field(default_factory=PostProcessing)
    calibration: Calibrating = field(default_factory=Calibrating)
    seed: int = 0
    pretrained: str = ""
    """Folder of a pretrained encoder that the method starts from; empty: none."""
    base: str = ""
    """Folder of a fitted model that the method builds on; empty: none."""

    @property
    def title(self) -> str:
        """Return what results call the method: with the score in place of its own, ``vae+mhd``."""
        own = self.post.score is Score.OWN
        return self.method_name if own else f"{self.method_name}+{self.post.score}"

    @property
    def reference(self) -> str:
        """Return the papers of the method and of the score in place of its own."""
        own: str = describe(self.method_name)["reference"]
        score = REFERENCES.get(self.post.score)
        return own if score is None else f"{own}; score: {score}"

    def resolved(self) -> dict[str, Any]:
        """Return the recipe with every default written out, as plain TOML types."""
        tables: dict[str, Any] = {"seed": self.seed}
        tables |= {key: getattr(self, key) for key in FOLDERS if getattr(self, key)}
        tables["cohort"] = plain(self.cohort)
        tables["prep"] = plain(self.prep)
        tables["method"] = {"name": self.method_name, **plain(self.method)}
        tables["post"] = plain(self.post)
        tables["calibration"] = plain(self.calibration)
        return tables


@dataclass(frozen=True, kw_only=True)
class StageRecipe:
    """Which pretraining stage, with which hyper-parameters, on which preparation."""

    method: Stage
    method_name: str
    cohort: CohortSettings = field(default_factory=CohortSettings)
    prep: Preparation = field(default_factory=Preparation)
    seed: int = 0

    def resolved(self) -> dict[str, Any]:
        """Return the recipe with every default written out, as plain TOML types."""
        tables: dict[str, Any] = {"seed": self.seed}
        tables["cohort"] = plain(self.cohort)
        tables["prep"] = plain(self.prep)
        tables["method"] = {"name": self.method_name, **plain(self.method)}
        return tables


SEED = Annotated[int, Ge(0), Lt(2**63)]
FOLDERS = ("pretrained", "base")
"""Keys that name the folder of something fitted before; a path from where the command is given."""
SECTIONS: dict[str, type] = {
    "cohort": CohortSettings,
    "prep": Preparation,
    "post": PostProcessing,
    "calibration": Calibrating,
}
STAGE_SECTIONS = ("cohort", "prep")


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        path: A TOML file.
        overrides: ``section.key=value`` settings that win over the file's; values are TOML, or
            bare strings.

    Raises:
        Refused: Names the file and the unknown key or the value that cannot be.
    """
    return build_recipe(read_table(path), overrides=overrides, where=str(path))


def read_stage(path: Path, overrides: Sequence[str] = ()) -> StageRecipe:
    """Read and check the recipe of a pretraining stage, as `read_recipe` does a method's."""
    return build_stage(read_table(path), overrides=overrides, where=str(path))


def read_any(path: Path, overrides: Sequence[str] = ()) -> Recipe | StageRecipe:
    """Read and check a recipe of either kind."""
    table = settled(read_table(path), overrides)
    name, _ = _named(table, {**METHODS, **STAGES}, str(path))
    return (build_stage if name in STAGES else build_recipe)(table, where=str(path))


def read_table(path: Path) -> dict[str, Any]:
    """Return what a file says, unchecked."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(str(path), "no such recipe", "`hale recipe` lists the bundled ones") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(str(path), f"cannot be read ({error})", "give a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise Refused(str(path), f"is not TOML ({error})", "mend that line") from None


def build_recipe(
    table: Mapping[str, Any], *, overrides: Sequence[str] = (), where: str = "recipe"
) -> Recipe:
    """Check a recipe given as nested dictionaries.

    Raises:
        Refused: Names the unknown key or the value that cannot be.
    """
    return _built(settled(table, overrides), where)


def build_stage(
    table: Mapping[str, Any], *, overrides: Sequence[str] = (), where: str = "recipe"
) -> StageRecipe:
    """Check the recipe of a pretraining stage, as `build_recipe` does a method's."""
    given = settled(table, overrides)
    name, settings = _named(given, STAGES, where)
    _refuse_unknown(given, {*STAGE_SECTIONS, "method", "seed"}, where)
    return StageRecipe(
        method=checked(find_stage(name), settings, f"{where}: [method]"),
        method_name=name,
        seed=checked(SEED, given.get("seed", 0), f"{where}: seed"),
        **{key: _section(given, key, where) for key in STAGE_SECTIONS},
    )


def settled(table: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a copy of ``table`` with the overrides in place."""
    copy = deepcopy(dict(table))
    for override in overrides:
        _override(copy, override)
    return copy


def _refuse_unknown(table: Mapping[str, Any], known: set[str], where: str) -> None:
    """Refuse a key that is none of ``known``, and what is no table where one belongs."""
    for key, values in table.items():
        if key not in known:
            raise Refused(where, f"unknown key {key!r}", f"there are {', '.join(sorted(known))}")
        if key not in ("seed", *FOLDERS) and not isinstance(values, Mapping):
            raise Refused(
                f"{where}: {key}", "is no table", f"set {key}.KEY, or [{key}] in the file"
            )


def _named(
    table: Mapping[str, Any], registry: Mapping[str, str], where: str
) -> tuple[str, dict[str, Any]]:
    """Return the name in ``[method]``, which is one of ``registry``, and the keys beside it."""
    method = table.get("method")
    settings = dict(method) if isinstance(method, Mapping) else {}
    name = settings.pop("name", None)
    if isinstance(name, str) and name in registry:
        return name, settings
    if name in list(STAGES):  # it may be anything, a list too
        raise Refused(where, f"{name} is a pretraining stage, no method", "run `hale pretrain`")
    if name in list(METHODS):
        raise Refused(where, f"{name} is a method, no pretraining stage", "run `hale fit`")
    kind = "pretraining stage" if registry is STAGES else "method"
    why = f"names no {kind}" if name is None else f"there is no {kind} {name!r}"
    raise Refused(where, why, f"set method.name to one of {', '.join(registry)}")


def _section(table: Mapping[str, Any], key: str, where: str) -> Any:
    """Return the settings of one table."""
    return checked(SECTIONS[key], table.get(key, {}), f"{where}: [{key}]")


def _built(table: Mapping[str, Any], where: str) -> Recipe:
    """Check a recipe whose overrides are in place."""
    _refuse_unknown(table, {*SECTIONS, "method", "seed", *FOLDERS}, where)
    name, settings = _named(table, METHODS, where)
    sections = {key: _section(table, key, where) for key in SECTIONS}
    method = checked(find(name), settings, f"{where}: [method]")
    detector = get_type_hints(type(method).restore)["return"]
    refuse_score(sections["post"].score, detector, name)
    _refuse_unscaled(sections["post"].score, sections["prep"].normalise)
    folders = {key: checked(str, table.get(key, ""), f"{where}: {key}") for key in FOLDERS}
    if folders["base"] and not isinstance(method, BuildsOn):
        raise Refused(f"{where}: base", f"{name} builds on no fitted model", "leave it out")
    takes = isinstance(method, TakesPretrained) and method.takes_pretrained
    if folders["pretrained"] and not takes:
        why = f"{name} starts from no pretrained encoder"
        raise Refused(f"{where}: pretrained", why, "leave it out")
    return Recipe(
        method=method,
        method_name=name,
        seed=checked(SEED, table.get("seed", 0), f"{where}: seed"),
        **folders,
        **sections,
    )


def _refuse_unscaled(score: Score, normalise: Normalisation) -> None:
    """Refuse a score that takes intensities for 0 to 1 where they are not."""
    if score in SIMILARITY and normalise in (Normalisation.ROBUST_Z, Normalisation.NONE):
        why = f"takes intensities of 0 to 1, prep.normalise = '{normalise}' gives others"
        raise Refused(f"post.score = '{score}'", why, "take prep.normalise = 'percentile'")


def plain(value: Any) -> Any:
    """Return ``value`` as TOML types: dictionaries, lists, strings, numbers; None is left out."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


KEYS = "`hale recipe FILE` shows the keys and their types"


def checked(cls: Any, values: Any, where: str, remedy: str = KEYS) -> Any:
    """Return ``values`` as an instance of ``cls``; the first thing that does not fit is named."""
    if is_dataclass(cls):
        cls = with_config(ConfigDict(extra="forbid", allow_inf_nan=False))(cast("type", cls))
    try:
        return TypeAdapter(cls).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        why = first["msg"].removeprefix("Value error, ")
        raise Refused(where, f"{key}: {why[0].lower()}{why[1:]}".lstrip(": "), remedy) from None


def _override(table: dict[str, Any], setting: str) -> None:
    """Put ``section.key=value`` into ``table``."""
    path, equals, text = setting.partition("=")
    *sections, key = path.strip().split(".")
    if not equals or not key:
        raise Refused(f"--set {setting}", "is not section.key=value", "e.g. --set method.lr=1e-3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise Refused(f"--set {setting}", f"{section!r} is no table", "name a table's key")
    table[key] = value


def bundled(kind: str = "") -> dict[str, Path]:
    """Return the recipes that come with `hale`, by name; with ``kind``, those of that folder."""
    here = Path(__file__).parent
    roots = (here / "recipes", here.parents[1] / "recipes")  # installed, or in the source tree
    folders = [root / kind for root in roots]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}


def bundled_or_path(recipe: str) -> Path:
    """Return the file of a recipe given by path or by the name of a bundled one."""
    path = Path(recipe)
    return path if path.exists() else bundled().get(path.stem, path)
