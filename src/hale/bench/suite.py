"""A suite: which methods on which scans, how often, and what is compared. One TOML file."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from annotated_types import Ge, Gt, Len

from hale.core.errors import Refused
from hale.core.method import Supervision
from hale.core.scan import Contrast, Split
from hale.recipe import plain

FIGURES = (
    "auprc",
    "auprc_own",
    "auprc_grid",
    "auroc",
    "auroc_own",
    "best_dice_oracle",
    "best_dice_own_oracle",
    "dice_at_alpha",
    "dice_at_fpr01",
)
"""Of a case, by which methods may be compared: the higher the better."""


class Kind(StrEnum):
    """What the scans of a cohort are."""

    PATIENTS = "patients"
    """Each has a reference mask; one that is empty says nothing."""
    HEALTHY = "healthy"
    """None has a lesion: what is found is a false alarm."""
    SYNTHETIC = "synthetic"
    """Healthy scans with planted lesions of known size and contrast."""


class Part(StrEnum):
    """Which scans of a folder are meant, by their split."""

    ALL = "all"
    FIT = "fit"
    STANDARDISE = "standardise"
    CALIBRATE = "calibrate"
    TEST = "test"
    NONE = "none"
    """Those without one: patients of published validation lists."""

    def take(self, split: Split | None) -> bool:
        """Say whether a scan of a split is meant."""
        return self is Part.ALL or self == (split or Part.NONE)


class Subjects(StrEnum):
    """Which people of a folder are meant, by the last number in their names."""

    ALL = "all"
    EVEN = "even"
    ODD = "odd"

    def take(self, person: str) -> bool:
        """Say whether a person is meant.

        Raises:
            Refused: The name has no number to go by.
        """
        if self is Subjects.ALL:
            return True
        last = "".join(c if c.isdigit() else " " for c in person).split()
        if not last:
            raise Refused(person, f"has no number, so it is not {self}", "take subjects = 'all'")
        return (int(last[-1]) % 2 == 0) is (self is Subjects.EVEN)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Lesions of a synthetic cohort: every volume with every contrast, a scan for each lesion."""

    volumes_ml: Annotated[tuple[Annotated[float, Gt(0)], ...], Len(1)] = (0.5, 4.0, 15.0)
    contrasts_sd: Annotated[tuple[float, ...], Len(1)] = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)
    """In standard deviations of the local tissue."""
    shapes: str = ""
    """Folder of lesion masks; empty: spheres."""
    cells_per_scan: Annotated[int, Ge(0)] = 0
    """How many cells of the table each scan hosts: the next ones in turn, all sizes of a contrast
    before the next contrast. 0: all of them."""
    seed: Annotated[int, Ge(0)] = 0


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Scans that methods are tested on."""

    name: str
    title: str = ""
    """What the table calls it; empty: its name."""
    data: str
    """Folder, below that of ``--data``."""
    kind: Kind
    contrast: Contrast
    disease: str = ""
    split: Part = Part.ALL
    subjects: Subjects = Subjects.ALL
    validation: str = ""
    """Another cohort, of other patients, whose lesions choose the labelled threshold."""
    beside: str = ""
    """A healthy cohort: its false alarms, and ill against healthy scans."""
    extracted: bool = False
    """Whether the scans show the brain alone, 0 around it: where lesions may be planted."""
    lesions: Planted | None = None
    """Of a synthetic cohort."""
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse a threshold from the scans that it is tested on, and lesions that nobody plants.

        Raises:
            ValueError: Says which.
        """
        if self.validation == self.name:
            raise ValueError("validation: the test set itself would choose its threshold")
        if self.validation and self.kind is Kind.HEALTHY:
            raise ValueError("validation: a healthy cohort has no lesions to find")
        if (self.kind is Kind.SYNTHETIC) != (self.lesions is not None):
            raise ValueError("lesions: is for kind = 'synthetic', and it needs it")


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A method that takes part: fitted from a recipe, run on each scan alone, or maps that are."""

    name: Annotated[str, Len(1)]
    title: str = ""
    """What the table calls it; empty: its name."""
    recipe: str = ""
    """A bundled recipe's name, or a file: fitted on the healthy scans of the suite."""
    single: str = ""
    """A method that learns from the scan itself, or such a recipe: run uncalibrated, not fitted."""
    maps: str = ""
    """Folder of anomaly maps by other software, below that of ``--maps``: ``<id>.nii.gz`` or
    ``<id>/anomaly.nii.gz``, one folder for all cohorts or one named after each."""
    settings: tuple[str, ...] = ()
    """``section.key=value``, each wins over the recipe's value."""
    budget_minutes: Annotated[float, Gt(0)] | None = None
    """Of the fit, and of the pretraining apart; None: the recipe's end."""
    settings_tried: Annotated[int, Ge(1)] | None = None
    """How many were compared on other people's lesions before these were taken; None: not told."""
    pretrain: str = ""
    """Recipe of the encoder that it starts from."""
    base: str = ""
    """Name of the entrant whose model it builds on."""
    cohorts: tuple[str, ...] = ()
    """Only these; empty: all. What it leaves out is a row that says so."""
    supervision: Supervision = Supervision.HEALTHY
    """Of maps alone; a recipe's method says its own."""
    reference: str = ""
    """Of maps alone."""

    def __post_init__(self) -> None:
        """Refuse an entrant that is nothing, or several things at once.

        Raises:
            ValueError: Says which.
        """
        given = [kind for kind in ("recipe", "single", "maps") if getattr(self, kind)]
        if len(given) != 1:
            raise ValueError(f"needs one of recipe, single or maps, has {given or 'none'}")
        if not self.recipe and (self.pretrain or self.base or self.budget_minutes):
            raise ValueError("pretrain, base and budget_minutes are for a recipe that is fitted")


@dataclass(frozen=True, kw_only=True)
class Phantoms:
    """How many phantom brains a suite without data makes, by split; see `hale.data.phantom`."""

    fit: Annotated[int, Ge(0)] = 12
    standardise: Annotated[int, Ge(0)] = 6
    calibrate: Annotated[int, Ge(0)] = 10
    healthy: Annotated[int, Ge(0)] = 3
    """To test on, without a lesion."""
    lesions: Annotated[int, Ge(0)] = 6
    """To test on, with one."""
    seed: Annotated[int, Ge(0)] = 0


@dataclass(frozen=True, kw_only=True)
class Suite:
    """What `hale bench` runs."""

    name: str = ""
    """The file's name."""
    title: str
    notes: tuple[str, ...] = ()
    """What readers of the table must know, a sentence each."""
    healthy: str = ""
    """Folder, below that of ``--data``, of the healthy scans that methods learn from and are
    calibrated on; empty if none does."""
    cases: str = ""
    """Likewise of the patients that methods with lesion masks learn from."""
    phantoms: Phantoms | None = None
    """Made below ``healthy`` if given, instead of data."""
    settings: tuple[str, ...] = ()
    """``section.key=value`` for every recipe; an entrant's own win. Those of ``cohort`` and
    ``prep`` are for pretraining too."""
    seeds: Annotated[tuple[Annotated[int, Ge(0)], ...], Len(1)] = (0,)
    folds: Annotated[int, Ge(1)] = 1
    """Ways of dividing the healthy people, or folds of published lists."""
    figure: str = "auprc"
    """By which methods are compared, case by case."""
    baseline: Annotated[str, Len(1)] = "intensity"
    """Entrant that the others are compared with."""
    draws: Annotated[int, Ge(100)] = 2000
    """Of the bootstrap over patients."""
    seed: Annotated[int, Ge(0)] = 0
    """Of bootstrap and permutations."""
    cohorts: Annotated[tuple[Cohort, ...], Len(1)]
    methods: Annotated[tuple[Entrant, ...], Len(1)]

    def resolved(self) -> dict[str, Any]:
        """Return the suite with every default written out, as plain TOML types."""
        table: dict[str, Any] = plain(self)
        return table
