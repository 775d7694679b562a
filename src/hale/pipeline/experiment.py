"""A published experiment: recipes, whom they are tested on, and what was published of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Len, Lt

from hale.core.errors import Refused
from hale.core.scan import Contrast
from hale.prep.settings import MNI152
from hale.recipe import (
    FOLDERS,
    Recipe,
    StageRecipe,
    build_recipe,
    build_stage,
    bundled,
    bundled_or_path,
    checked,
    plain,
    read_table,
    settled,
)

KIND = "published"
"""Folder of the bundled ones."""


class Patients(StrEnum):
    """Data sets of patients, as the lists of Behrendt et al. name them."""

    BRATS = "Brats21"
    MSLUB = "MSLUB"
    ATLAS = "ATLAS_v2"
    WMH = "WMH"


class Policy(StrEnum):
    """How the one threshold of a data set is chosen."""

    BEST_VAL = "best_val"
    """The published search for the best Dice on the data set's labelled validation list."""
    BEST_VAL_EXACT = "best_val_exact"
    """The best Dice there is on that list."""
    HEALTHY_FPR = "healthy_fpr"
    """A share of the brain's voxels of healthy validation scans: sees no lesion."""
    ORACLE = "oracle"
    """Best for each test volume by its own lesion: an upper bound, nobody's result."""


class Spread(NamedTuple):
    """Mean and standard deviation over folds, in per cent."""

    mean: float
    deviation: float | None = None

    def __str__(self) -> str:
        """Return it as tables print it; n/a where it is undefined."""
        if isnan(self.mean):
            return "n/a"
        deviation = "" if self.deviation is None else f" ± {self.deviation:.2f}"
        return f"{self.mean:.2f}{deviation}"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was published of a data set: per volume, then over volumes, then over folds."""

    dice: Annotated[tuple[float, ...], Len(0, 2)] = ()
    """Mean and, if known, standard deviation, in per cent; empty: not known. At `BEST_VAL`."""
    auprc: Annotated[tuple[float, ...], Len(0, 2)] = ()
    """Over all voxels of the grid, likewise."""

    def of(self, figure: str) -> Spread | None:
        """Return one of them."""
        numbers = {"dice": self.dice, "auprc": self.auprc}[figure]
        return Spread(*numbers) if numbers else None

    def __str__(self) -> str:
        """Return what is known of them."""
        known = {"Dice": self.of("dice"), "AUPRC": self.of("auprc")}
        return ", ".join(f"{name} {spread}" for name, spread in known.items() if spread)


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """Patients whose lesions a method learns from."""

    data: Patients
    rows: Annotated[tuple[int, int], Len(2, 2)]
    """First row of their validation list, from 0, and the one after the last."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What a file of `hale reproduce` says."""

    title: str
    """What the publication calls it."""
    reference: str
    """Where it is published."""
    command: str = ""
    """With which the public code starts it, if one is documented."""
    contrast: Contrast
    """Of all scans."""
    folds: Annotated[tuple[Annotated[int, Ge(0)], ...], Len(1)]
    """Of IXI that were published."""
    patients: Annotated[tuple[Patients, ...], Len(1)]
    """Whom it is tested on."""
    recipe: str
    """Of the method: a bundled recipe's name, or a file."""
    pretrain: str = ""
    """Recipe of the encoder that it, or its base, starts from; empty: from scratch."""
    base: str = ""
    """Recipe of the model that it builds on."""
    prep: str
    """Recipe whose preparation all of them take, with this contrast and a template of yours."""
    method: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the method that differ from the recipe's."""
    post: Mapping[str, Any] = field(default_factory=dict)
    """Likewise of the score and the post-processing."""
    cases: Learnt | None = None
    thresholds: Annotated[tuple[Policy, ...], Len(1)] = (
        Policy.BEST_VAL,
        Policy.HEALTHY_FPR,
        Policy.ORACLE,
    )
    """In the order of the summary; published Dice stands beside `BEST_VAL`."""
    rate: Annotated[float, Gt(0), Lt(1)] = 0.01
    """Share of healthy voxels that ``healthy_fpr`` lets be marked."""
    smallest_mm3: Annotated[float, Ge(0)] = 0.0
    """Components of a mask below it are dropped; 0: none is."""
    published: Mapping[Patients, Figures] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What else is known of the published figures, a sentence each."""

    def __post_init__(self) -> None:
        """Refuse an oracle in place of a result, and figures of whom it is not tested on."""
        if self.thresholds[0] is Policy.ORACLE:
            raise ValueError("thresholds: an oracle is nobody's result; name another one first")
        for name in self.published:
            if name not in self.patients:
                raise ValueError(f"published: {name} is none of the patients")

    def resolved(self) -> dict[str, Any]:
        """Return the experiment with every default written out, as plain TOML types."""
        table: dict[str, Any] = plain(self)
        return table


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """What an experiment fits, in order."""

    pretrained: StageRecipe | None
    base: Recipe | None
    model: Recipe


PRETRAINED, BASE, MODEL = "pretrained", "base", "model"
"""Folders of a fold that they are fitted in."""


def experiments() -> dict[str, Path]:
    """Return the bundled experiments, by name."""
    return bundled(KIND)


def read_experiment(name: str, overrides: Sequence[str] = ()) -> Experiment:
    """Read and check an experiment.

    Args:
        name: A bundled one's, or a TOML file.
        overrides: ``key=value`` settings that win over the file's.

    Raises:
        Refused: No such experiment; an unknown key, or a value that cannot be.
    """
    path = Path(name)
    path = path if path.is_file() else experiments().get(path.stem, path)
    if not path.is_file():
        raise Refused(name, "no such experiment", "`hale reproduce` lists the bundled ones")
    experiment: Experiment = checked(Experiment, settled(read_table(path), overrides), str(path))
    return experiment


def recipes_of(experiment: Experiment, place: Path, template: Path | None) -> Recipes:
    """Return the recipes of an experiment, checked.

    Args:
        experiment: Which.
        place: Folder of the fold that they are fitted in.
        template: The user's, brain-extracted, of the experiment's contrast; None: MNI152.

    Raises:
        Refused: A setting that its recipe does not have.
    """
    prep = read_table(bundled_or_path(experiment.prep)).get("prep", {})
    prep |= {
        "slots": [[str(experiment.contrast)]],
        "template": MNI152 if template is None else str(template.resolve()),
    }
    encoder = str(place / PRETRAINED) if experiment.pretrain else ""

    def built(name: str, own: Mapping[str, Any], **folders: str) -> Recipe:
        table = read_table(bundled_or_path(name))
        table |= {"prep": prep, **dict.fromkeys(FOLDERS, ""), **folders}
        table |= {key: {**table.get(key, {}), **settings} for key, settings in own.items()}
        return build_recipe(table, where=name)

    own = {"method": experiment.method, "post": experiment.post}
    pretrained = _stage(experiment.pretrain, prep)
    if not experiment.base:
        model = built(experiment.recipe, own, pretrained=encoder)
        return Recipes(pretrained=pretrained, base=None, model=model)
    base = built(experiment.base, {}, pretrained=encoder)
    model = built(experiment.recipe, own, base=str(place / BASE))
    return Recipes(pretrained=pretrained, base=base, model=model)


def _stage(name: str, prep: Mapping[str, Any]) -> StageRecipe | None:
    """Return the recipe of a pretraining, if there is one."""
    if not name:
        return None
    return build_stage({**read_table(bundled_or_path(name)), "prep": prep}, where=name)
