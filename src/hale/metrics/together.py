"""Figures of all scans of a set together, of which no more is kept than counts.

Pooled figures are of the voxels of all scans with a lesion as if of one, as many papers print them;
the free-response curve is over those scans and the healthy ones.
"""

from collections.abc import Callable

from hale.core.types import Mask
from hale.metrics import levels
from hale.metrics.bootstrap import Interval
from hale.metrics.evaluation import Kind, Maps, region_of, scores_of
from hale.metrics.froc import Profile, interval, profile
from hale.metrics.levels import Outline, at_levels, outline
from hale.metrics.pooled import Pool, Ranking

FALSE_PER_SCAN = {"froc_05": 0.5, "froc_1": 1.0, "froc_2": 2.0, "froc_4": 4.0}
"""Figures of the free-response curve, and the false findings a scan that each allows."""
POOLED: dict[str, tuple[Callable[[Ranking], float], levels.Figure]] = {
    "auprc_pooled": (lambda ranking: ranking.average_precision, levels.average_precision),
    "auroc_pooled": (lambda ranking: ranking.auroc, levels.auroc),
    "best_dice_pooled_oracle": (lambda ranking: ranking.best_dice, levels.best_dice),
}
"""Figures of pooled voxels: from the pool, and from resampled levels."""


class Together:
    """A set of scans: `add` each, then ask. About 100 kB a scan stay, whatever its size."""

    def __init__(self) -> None:
        self.pool = Pool()
        self._outlines: list[Outline] = []
        self._ill: list[str] = []
        self._profiles: list[Profile] = []
        self._people: list[str] = []

    def add(self, patient: str, kind: Kind, maps: Maps, truth: Mask) -> None:
        """Count a scan; one that has an empty mask, and that nobody calls healthy, says nothing."""
        if kind is Kind.EMPTY:
            return
        region, scores = region_of(maps, truth), scores_of(maps)
        self._profiles.append(profile(scores, truth, voxel_ml=maps.voxel_ml, region=region))
        self._people.append(patient)
        if kind is Kind.LESION:
            self.pool.add(scores[region], truth[region])
            self._outlines.append(outline(scores[region], truth[region]))
            self._ill.append(patient)

    def figures(self, *, draws: int = 2000, seed: int = 0) -> dict[str, Interval]:
        """Return the figures with 95 % intervals over patients; none without a lesion."""
        if not self._outlines:
            return {}
        ranking, counts = self.pool.ranking(), at_levels(self._outlines)
        found = {
            name: levels.interval(
                counts, resampled, self._ill, value=value(ranking), draws=draws, seed=seed
            )
            for name, (value, resampled) in POOLED.items()
        }
        for name, allowed in FALSE_PER_SCAN.items():
            found[name] = interval(self._profiles, self._people, allowed, draws=draws, seed=seed)
        return found
