"""What a method says about a scan."""

from dataclasses import dataclass

import numpy as np

from hale.core.types import Image, Map, Mask


@dataclass(frozen=True, kw_only=True, eq=False)
class AnomalyMap:
    """Voxel-wise anomaly score: 0 or more, higher is more abnormal, 0 outside the brain.

    The scale belongs to the method. Compare maps of two methods by rank, never by value.
    """

    values: Map
    brain: Mask
    pseudo_healthy: Image | None = None

    def __post_init__(self) -> None:
        """Refuse a map that breaks the contract."""
        if not np.isfinite(self.values).all() or self.values.min() < 0:
            msg = "an anomaly map holds finite numbers, 0 or more"
            raise ValueError(msg)
        if self.values[~self.brain].any():
            msg = "an anomaly map is 0 outside the brain"
            raise ValueError(msg)

    @property
    def score(self) -> float:
        """Return the scan-level score: the mean of the top 1 % of brain voxels."""
        return top_mean(self.values[self.brain])


def top_mean(values: np.ndarray, share: float = 0.01) -> float:
    """Return the mean of the highest ``share`` of ``values``, at least one of them."""
    count = max(1, int(values.size * share))
    return float(np.partition(values, values.size - count)[-count:].mean())
