"""What a recipe decides about anomaly maps before they are calibrated."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge


@dataclass(frozen=True, kw_only=True)
class PostProcessing:
    """Settings of the post-processing; the `[post]` table of a recipe. Applied in this order."""

    erode: Annotated[int, Ge(0)] = 0
    """Erosions of the brain per axial slice (4-neighbour cross): drops the ragged rim."""
    smooth_mm: Annotated[float, Ge(0)] = 0.0
    """Full width at half maximum of a Gaussian inside the brain, mm; 0 for none."""
    median: Annotated[int, Ge(0)] = 0
    """Width of a median filter, voxels along each axis (in-plane only for one slice); 0: none."""

    def __post_init__(self) -> None:
        """Refuse a median filter without a middle."""
        if self.median and self.median % 2 == 0:
            raise ValueError(f"median: {self.median} is even; give an odd width, or 0 for none")
