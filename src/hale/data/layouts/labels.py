"""Which values of a published reference mask are lesion."""

from dataclasses import dataclass

import numpy as np

from hale.core.types import Map, Mask


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What the values of a data set's masks mean."""

    lesion: tuple[int, ...] = ()
    """Values that are lesion; none given: every value above 0."""
    ignored: tuple[int, ...] = ()
    """Values that the data set leaves out of its evaluation: neither lesion nor none."""

    def lesion_in(self, values: Map) -> Mask:
        """Return where the lesion is."""
        found: Mask = np.isin(values, self.lesion) if self.lesion else values > 0
        return found

    def ignored_in(self, values: Map) -> Mask:
        """Return where nothing is to be scored."""
        found: Mask = np.isin(values, self.ignored)
        return found


ANY = Labels()
"""Every value above 0 is lesion."""
