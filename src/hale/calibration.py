"""Operating points from healthy scans alone: standardise, p-values, a promise per scan.

Two disjoint sets of healthy scans that the fit did not see. The set *standardise* gives the
normative mean and spread of the score at every place; the set *calibrate* gives the voxel-wise
p-values and, by split conformal prediction (Vovk et al. 2005; Angelopoulos & Bates 2023,
DOI 10.1561/2200000101), the share of healthy scans that will be flagged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil, floor
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from scipy.ndimage import label
from scipy.stats import beta, betabinom

from hale.core.anomaly import AnomalyMap
from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.types import Labels, Map, Mask
from hale.post.normative import mean_and_spread

STEP = 1 / 128
"""Width of a bin of the table of healthy z: p is exact for z rounded down to it."""
LOWEST, HIGHEST = -16.0, 240.0
"""Range of that table; beyond it p is that of its end."""
LADDER = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)
"""Values of z0 at which the components of the healthy scans are kept, for viewers."""
TWENTY_SIX = np.ones((3, 3, 3), bool)
"""Voxels that touch at a corner belong together."""


@dataclass(frozen=True, kw_only=True)
class Calibrating:
    """Settings of the calibration; the `[calibration]` table of a recipe."""

    alpha: float = 0.1
    """Promised share of healthy scans that are flagged."""
    z0: Annotated[float, Gt(0)] = 3.0
    """Standardised score that forms components. Never tuned on calibrate or test scans."""
    smooth_mm: Annotated[float, Ge(0)] = 8.0
    """Full width at half maximum that smooths the normative mean and spread, mm."""
    floor: Annotated[float, Gt(0)] = 0.5
    """Smallest spread, as a share of the brain's median spread."""

    @property
    def scans_needed(self) -> int:
        """Return the fewest healthy scans that can keep the promise: alpha >= 1 / (n + 1)."""
        return max(1, ceil(1 / self.alpha - 1e-9) - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Norm:
    """Normative mean and spread of the score at each place of the model grid."""

    mean: Map
    spread: Map

    def z(self, anomaly: AnomalyMap) -> Map:
        """Return (s - mean) / spread in the brain, 0 outside."""
        return np.where(anomaly.brain, (anomaly.values - self.mean) / self.spread, 0).astype(
            np.float32
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Component:
    """One 26-connected piece of the brain where z > z0."""

    label: int
    mass: float
    """Sum of (z - z0) x voxel volume, ml."""
    p: float
    """(1 + healthy scans with a component at least as heavy) / (n + 1)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """What healthy scans taught about the score of one model."""

    settings: Calibrating
    norm: Norm
    tail: np.ndarray
    """int64 (bin): healthy voxels with z at or above LOWEST + bin x STEP."""
    maxima: np.ndarray
    """float64 (person): heaviest component of each healthy person, ml; 0 without one."""
    ladder: Mapping[float, Sequence[np.ndarray]]
    """z0 -> the component masses of each healthy scan."""
    domain: Mapping[str, Any]
    """What the healthy scans were: spacing, age, preparation, ... ; see `hale.pipeline.domain`."""

    @property
    def n_scans(self) -> int:
        """Return the number of healthy persons behind the promise."""
        return len(self.maxima)

    def p_voxel(self, z: Map) -> Map:
        """Return (1 + #{healthy z >= z}) / (1 + N), z rounded down to a bin of 1/128."""
        bins = np.floor((z - LOWEST) / STEP).clip(0, len(self.tail) - 1).astype(np.intp)
        table = ((1 + self.tail) / (1 + self.tail[0])).astype(np.float32)
        return np.asarray(table[bins])

    def p_mass(self, mass: float) -> float:
        """Return (1 + #{i: max M_i >= mass}) / (n + 1)."""
        return (1 + int((self.maxima >= mass).sum())) / (self.n_scans + 1)

    def components(self, z: Map, brain: Mask, grid: Grid) -> tuple[Labels, list[Component]]:
        """Return all components at z0, numbered from the heaviest, and their p."""
        labels, masses = components(z, brain, grid, z0=self.settings.z0)
        found = [
            Component(label=number, mass=mass, p=self.p_mass(mass))
            for number, mass in enumerate(masses, start=1)
        ]
        return labels, found

    def rate_interval(self, share: float = 0.95) -> tuple[float, float]:
        """Return where the realised rate of flagged healthy scans lies for one calibration set.

        Averaged over calibration sets it is at most alpha; for this one it is a draw from
        Beta(k, n + 1 - k) with k = floor(alpha (n + 1)), if masses have no ties.
        """
        return rate_interval(self.settings.alpha, self.n_scans, share)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that a model folder keeps."""
        flat: dict[str, np.ndarray] = {
            "mean": self.norm.mean,
            "spread": self.norm.spread,
            "tail": self.tail,
            "maxima": self.maxima,
        }
        for z0, scans in self.ladder.items():
            flat[f"ladder.{z0!r}.masses"] = np.concatenate(scans) if scans else np.zeros(0)
            flat[f"ladder.{z0!r}.counts"] = np.array([len(m) for m in scans], np.int64)
        return flat


def from_arrays(
    arrays: Mapping[str, np.ndarray], settings: Calibrating, domain: Mapping[str, Any]
) -> Calibration:
    """Return the calibration whose `Calibration.arrays` were kept."""
    ladder = {}
    for name in arrays:
        if name.endswith(".masses"):
            z0 = name.removeprefix("ladder.").removesuffix(".masses")
            ends = np.cumsum(arrays[f"ladder.{z0}.counts"])[:-1]
            ladder[float(z0)] = np.split(arrays[name], ends)
    return Calibration(
        settings=settings,
        norm=Norm(mean=arrays["mean"], spread=arrays["spread"]),
        tail=arrays["tail"],
        maxima=arrays["maxima"],
        ladder=dict(sorted(ladder.items())),
        domain=domain,
    )


def normative(maps: Sequence[AnomalyMap], grid: Grid, settings: Calibrating) -> Norm:
    """Return mean and spread of the score over healthy scans, smoothed, the spread floored.

    Args:
        maps: Of the set *standardise*, one per scan.
        grid: Of the maps.
        settings: Width of the smoothing, floor of the spread.
    """
    mean, spread = mean_and_spread(
        [m.values for m in maps],
        [m.brain for m in maps],
        grid,
        smooth_mm=settings.smooth_mm,
        floor=settings.floor,
    )
    return Norm(mean=mean, spread=spread)


def components(z: Map, brain: Mask, grid: Grid, *, z0: float) -> tuple[Labels, list[float]]:
    """Return the 26-connected components of z > z0 in the brain and their masses (ml).

    Numbered 1, 2, ... from the heaviest.
    """
    found, count = label(brain & (z > z0), TWENTY_SIX)
    excess = np.where(found > 0, z.astype(np.float64) - z0, 0.0)
    masses = np.bincount(found.ravel(), excess.ravel(), minlength=count + 1)[1:] * grid.voxel_ml
    order = np.argsort(-masses, kind="stable")
    rank = np.zeros(count + 1, np.int32)
    rank[order + 1] = np.arange(1, count + 1)
    return rank[found], masses[order].tolist()


def calibrated(
    maps: Sequence[AnomalyMap],
    persons: Sequence[str],
    *,
    norm: Norm,
    grid: Grid,
    settings: Calibrating,
    domain: Mapping[str, Any],
) -> Calibration:
    """Return the calibration of a standardised score on the set *calibrate*.

    Args:
        maps: One per scan, of scans that neither fit nor norm has seen.
        persons: Who each map is of: several visits of one person count as one.
        norm: Of the set *standardise*.
        grid: Of the maps.
        settings: alpha and z0.
        domain: What the scans are, for the check whether p-values hold elsewhere.

    Raises:
        Refused: Fewer persons than alpha needs.
    """
    people = sorted(set(persons))
    refuse_small_alpha(settings, len(people))
    heaviest = dict.fromkeys(people, 0.0)
    counts = np.zeros(int((HIGHEST - LOWEST) / STEP), np.int64)
    ladder: dict[float, list[np.ndarray]] = {z0: [] for z0 in sorted({*LADDER, settings.z0})}
    for anomaly, person in zip(maps, persons, strict=True):
        z = norm.z(anomaly)
        bins = np.floor((z[anomaly.brain] - LOWEST) / STEP).clip(0, len(counts) - 1)
        counts += np.bincount(bins.astype(np.intp), minlength=len(counts))
        for z0, scans in ladder.items():
            scans.append(np.array(components(z, anomaly.brain, grid, z0=z0)[1]))
        masses = ladder[settings.z0][-1]
        heaviest[person] = max(heaviest[person], float(masses.max(initial=0.0)))
    return Calibration(
        settings=settings,
        norm=norm,
        tail=counts[::-1].cumsum()[::-1],
        maxima=np.array([heaviest[person] for person in people]),
        ladder=ladder,
        domain=domain,
    )


def usable_alpha(alpha: float) -> float:
    """Return ``alpha``, refusing what is no share between 0 and 1."""
    if not 0 < alpha < 1:
        raise Refused(f"alpha = {alpha:g}", "is no share of scans", "give one between 0 and 1")
    return alpha


def refuse_small_alpha(settings: Calibrating, n: int) -> None:
    """Refuse an alpha that ``n`` healthy persons cannot promise."""
    usable_alpha(settings.alpha)
    if n < settings.scans_needed:
        what = f"alpha = {settings.alpha:g}"
        why = f"{n} healthy scans can promise no less than 1/{n + 1} = {1 / (n + 1):.3g}"
        remedy = f"give {settings.scans_needed} scans of different people, or a larger alpha"
        raise Refused(what, why, remedy)


def rate_interval(alpha: float, n: int, share: float = 0.95) -> tuple[float, float]:
    """Return the central interval of Beta(k, n + 1 - k), k = floor(alpha (n + 1))."""
    k = floor(alpha * (n + 1) + 1e-9)
    low, high = beta.interval(share, k, n + 1 - k)
    return float(low), float(high)


def flagged_range(alpha: float, n: int, tested: int, share: float = 0.95) -> tuple[int, int]:
    """Return 0 and the most of ``tested`` healthy scans that chance would flag.

    The count is beta-binomial; more than the upper end happens in less than 1 - ``share`` of
    calibration and test sets. For n = tested = 21 and alpha = 0.1: 0 to 5.
    """
    k = floor(alpha * (n + 1) + 1e-9)
    return 0, int(betabinom.ppf(share, tested, k, n + 1 - k))


def settings_of(calibration: Calibration) -> dict[str, Any]:
    """Return the figures that stand beside every calibrated result."""
    low, high = calibration.rate_interval()
    return {
        **asdict(calibration.settings),
        "n_scans": calibration.n_scans,
        "n_voxels": int(calibration.tail[0]),
        "smallest_alpha": 1 / (calibration.n_scans + 1),
        "rate_interval": [low, high],
    }
