"""What a recipe decides about anomaly maps before they are calibrated."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PostProcessing:
    """Settings of the post-processing; the `[post]` table of a recipe. Applied in this order."""

    erode: int = 0
    """Erosions of the brain per axial slice (4-neighbour cross): drops the ragged rim."""
    smooth_mm: float = 0.0
    """Full width at half maximum of a Gaussian inside the brain, mm; 0 for none."""
    median: int = 0
    """Width of a median filter, voxels along each axis (in-plane only for one slice); 0: none."""
