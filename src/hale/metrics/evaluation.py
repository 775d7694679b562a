"""From the arrays of many cases to one row each, and to figures of the whole with intervals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

import numpy as np

from hale.core.anomaly import top_mean
from hale.core.types import Labels, Map, Mask
from hale.metrics import lesion, scan, voxel
from hale.metrics.bootstrap import Interval, Statistic, bootstrap, bootstrap_mean
from hale.metrics.lesion import Counts, SizeBin
from hale.metrics.surface import hausdorff95
from hale.metrics.voxel import NAN, Curve

FPR = 0.01
"""Voxel-wise p at or below which `dice_at_fpr01` marks a voxel."""


class Kind(StrEnum):
    """What is known of a scan."""

    LESION = "lesion"
    """It has a reference mask with a lesion in it."""
    HEALTHY = "healthy"
    """It is said to be healthy."""
    EMPTY = "empty mask"
    """Its reference mask is empty, and nobody said that it is healthy."""


class Region(StrEnum):
    """Which voxels were ranked."""

    BRAIN = "brain"
    GRID = "grid"


@dataclass(frozen=True, kw_only=True, eq=False)
class Maps:
    """What a method wrote for one scan. All on one grid."""

    anomaly: Map
    """Higher = more abnormal."""
    brain: Mask | None
    """None: the whole grid is ranked."""
    within: Mask | None = None
    """Where every method is ranked, whatever brain it found: voxels that its own brain leaves out
    come last. None: its own brain decides."""
    pvalue: Map | None
    mask: Labels | None
    voxel_ml: float
    spacing: tuple[float, float, float]
    """Edges of a voxel along i, j and k, mm."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Figures of one case; NaN where undefined."""

    id: str
    patient: str
    kind: Kind
    region: Region
    lesion_ml: float
    outside_ml: float
    """Part of the lesion that the brain mask leaves out: ranked last, so it counts as missed."""
    auprc: float
    """In the region."""
    auprc_grid: float
    """Over all voxels, those outside the brain last; for tables that do so. So `auroc_grid`."""
    auroc: float
    auroc_grid: float
    best_dice_oracle: float
    """At the best threshold for this very scan, as the next three."""
    precision_oracle: float
    recall_oracle: float
    specificity_oracle: float
    dice_at_alpha: float
    """Of the mask."""
    precision_at_alpha: float
    recall_at_alpha: float
    specificity_at_alpha: float
    """Share of normal voxels of the region that the mask leaves alone; of healthy scans too."""
    hd95_mm: float
    """Hausdorff distance of the mask, 95th percentile; NaN where it is empty."""
    dice_at_fpr01: float
    """Of the voxels with p <= 0.01."""
    precision_at_fpr01: float
    recall_at_fpr01: float
    fpr01: float
    """Share of normal voxels of the region with p <= 0.01."""
    l1_ratio: float
    lesions: float
    lesions_detected: float
    components: float
    """Of the mask."""
    false_components: float
    flagged: float
    """1 if the mask is not empty, 0 if it is."""
    score: float
    """Mean of the top 1 % of the region."""
    counts: Counts | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How well a folder of maps does."""

    cases: tuple[Row, ...]
    summary: Mapping[str, Interval]
    """Figures over cases, by name; the bootstrap draws patients."""
    unmatched: tuple[str, ...] = ()
    """Ids with a map but neither a reference mask nor a word that they are healthy: not scored."""
    empty: tuple[str, ...] = ()
    """Ids whose reference mask is empty without a word that they are healthy."""


MEANS = (
    "auprc",
    "auprc_grid",
    "auroc",
    "auroc_grid",
    "best_dice_oracle",
    "precision_oracle",
    "recall_oracle",
    "specificity_oracle",
    "dice_at_alpha",
    "precision_at_alpha",
    "recall_at_alpha",
    "specificity_at_alpha",
    "hd95_mm",
    "dice_at_fpr01",
    "precision_at_fpr01",
    "recall_at_fpr01",
    "l1_ratio",
)
"""Columns whose mean over the scans with a lesion is a figure of the whole."""


def score_case(id_: str, patient: str, kind: Kind, maps: Maps, truth: Mask) -> Row:
    """Return the figures of one case; ``truth`` is all False where there is no lesion."""
    region, scores = region_of(maps, truth), scores_of(maps)
    ranked = voxel.curve(scores[region], truth[region])
    whole = ranked if maps.brain is None else voxel.curve(scores, truth)
    counts = None
    if maps.mask is not None:
        counts = lesion.count(maps.mask, truth, voxel_ml=maps.voxel_ml)
    found = None if maps.mask is None else maps.mask > 0
    low_p = None if maps.pvalue is None else maps.pvalue <= FPR
    seen = truth if maps.brain is None else truth & maps.brain
    return Row(
        id=id_,
        patient=patient,
        kind=kind,
        region=Region.GRID if maps.brain is None else Region.BRAIN,
        lesion_ml=float(truth.sum()) * maps.voxel_ml,
        outside_ml=float(truth.sum() - seen.sum()) * maps.voxel_ml,
        auprc=ranked.average_precision,
        auprc_grid=whole.average_precision,
        auroc=ranked.auroc,
        auroc_grid=whole.auroc,
        **_at_best(ranked),
        dice_at_alpha=_of_mask(voxel.dice, found, truth),
        precision_at_alpha=_of_mask(voxel.precision, found, truth),
        recall_at_alpha=_of_mask(voxel.recall, found, truth),
        specificity_at_alpha=1 - _false_positive_rate(found, truth, region),
        hd95_mm=_of_mask(partial(hausdorff95, spacing=maps.spacing), found, truth),
        dice_at_fpr01=_of_mask(voxel.dice, low_p, truth),
        precision_at_fpr01=_of_mask(voxel.precision, low_p, truth),
        recall_at_fpr01=_of_mask(voxel.recall, low_p, truth),
        fpr01=_false_positive_rate(low_p, truth, region),
        l1_ratio=voxel.l1_ratio(maps.anomaly[region], truth[region]),
        lesions=float(len(counts.detected)) if counts else NAN,
        lesions_detected=float(sum(counts.detected)) if counts else NAN,
        components=float(counts.components) if counts else NAN,
        false_components=float(counts.false) if counts else NAN,
        flagged=NAN if found is None else float(found.any()),
        score=top_mean(maps.anomaly[slice(None) if maps.brain is None else maps.brain].ravel()),
        counts=counts,
    )


def region_of(maps: Maps, truth: Mask) -> Mask:
    """Return the voxels that are ranked: the brain and what of the lesion it leaves out.

    A brain that is too small would leave out the very voxels that a map must rank below a lesion:
    where several methods are compared, `Maps.within` says where all are.
    """
    if maps.brain is None:
        return np.ones_like(truth)
    region: Mask = maps.brain | truth
    if maps.within is not None:
        region = region | maps.within
    return region


def scores_of(maps: Maps) -> Map:
    """Return the anomaly map with the lowest number there is at all voxels outside the brain.

    Maps hold 0 there, which would rank above every voxel of the brain whose z is negative.
    """
    if maps.brain is None:
        return maps.anomaly
    return np.where(maps.brain, maps.anomaly, np.finfo(np.float32).min)


def summarise(rows: Sequence[Row], *, draws: int = 2000, seed: int = 0) -> dict[str, Interval]:
    """Return the figures of a set of cases with 95 % intervals over patients.

    Means over the scans with a lesion, except: ``lesion_*`` pool all their lesions,
    ``false_components`` is over all scans that have a mask, ``healthy_*`` over healthy scans,
    ``scan_*`` compare scans with a lesion to healthy ones.
    """
    ill = [row for row in rows if row.kind is Kind.LESION]
    healthy = [row for row in rows if row.kind is Kind.HEALTHY]
    means = [(name, name, ill) for name in MEANS]
    means += [("false_components", "false_components", list(rows))]
    for name in ("flagged", "fpr01", "specificity_at_alpha", "false_components"):
        means.append((f"healthy_{name}", name, healthy))
    summary = {}
    for title, name, chosen in means:
        values = [getattr(row, name) for row in chosen]
        people = [row.patient for row in chosen]
        summary[title] = bootstrap_mean(values, people, draws=draws, seed=seed)
    counted = [row for row in ill if row.counts is not None]
    resample = partial(bootstrap, draws=draws, seed=seed)
    people = [row.patient for row in counted]
    for title, statistic in _lesion_figures([row.counts for row in counted if row.counts]).items():
        summary[title] = resample(statistic, people)
    people = [row.patient for row in ill + healthy]
    scores = np.array([row.score for row in ill + healthy])
    is_ill = np.array([row.kind is Kind.LESION for row in ill + healthy])
    summary["scan_auroc"] = resample(lambda at: scan.auroc(scores[at], is_ill[at]), people)
    summary["scan_ap"] = resample(lambda at: scan.average_precision(scores[at], is_ill[at]), people)
    return summary


def _of_mask(figure: Callable[[Mask, Mask], float], found: Mask | None, truth: Mask) -> float:
    """Return a figure of a mask; NaN without a mask, and where there is no lesion to find."""
    return figure(found, truth) if found is not None and truth.any() else NAN


def _false_positive_rate(found: Mask | None, truth: Mask, region: Mask) -> float:
    return NAN if found is None else voxel.false_positive_rate(found[region], truth[region])


def _at_best(ranked: Curve) -> dict[str, float]:
    """Return the figures at the threshold of the highest Dice; NaN without a lesion."""
    dice, precision, recall, specificity = NAN, NAN, NAN, NAN
    if ranked.lesion:
        best = int(ranked.dice.argmax())
        true, false = int(ranked.true[best]), int(ranked.false[best])
        dice, precision, recall = ranked.best_dice, true / (true + false), true / ranked.lesion
        specificity = 1 - false / ranked.normal if ranked.normal else NAN
    return {
        "best_dice_oracle": dice,
        "precision_oracle": precision,
        "recall_oracle": recall,
        "specificity_oracle": specificity,
    }


def _lesion_figures(counts: Sequence[Counts]) -> dict[str, Statistic]:
    """Return the statistics of pooled lesions, as sums over scans: fast to resample."""
    components = np.array([one.components for one in counts])
    true = components - [one.false for one in counts]
    sizes = [None, *SizeBin]
    lesions = {size: np.array([_of_size(one, size)[0] for one in counts]) for size in sizes}
    hits = {size: np.array([_of_size(one, size)[1] for one in counts]) for size in sizes}

    def precision(at: np.ndarray) -> float:
        return _share(true[at], components[at])

    def recall(at: np.ndarray, size: SizeBin | None = None) -> float:
        return _share(hits[size][at], lesions[size][at])

    def f1(at: np.ndarray) -> float:
        p, r = np.nan_to_num([precision(at), recall(at)])
        return float(2 * p * r / (p + r)) if p + r else 0.0

    figures: dict[str, Statistic] = {
        "lesion_recall": recall,
        "lesion_precision": precision,
        "lesion_f1": f1,
    }
    for size in SizeBin:
        figures[f"lesion_recall_{size.name.lower()}"] = partial(recall, size=size)
    return figures


def _of_size(one: Counts, size: SizeBin | None) -> tuple[int, int]:
    """Return how many lesions of a size there are, and how many are detected."""
    of_size = [size is None or SizeBin.of(volume) is size for volume in one.volumes_ml]
    return sum(of_size), sum(hit for hit, here in zip(one.detected, of_size, strict=True) if here)


def _share(parts: np.ndarray, wholes: np.ndarray) -> float:
    return float(parts.sum() / wholes.sum()) if wholes.any() else NAN
