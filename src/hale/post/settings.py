"""What a recipe decides about anomaly maps before they are calibrated."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated

from annotated_types import Ge


class Score(StrEnum):
    """Which distance between a scan and its pseudo-healthy picture is the score."""

    OWN = "own"
    """The method's own."""
    L1 = "l1"
    """|x - x_hat|, mean over contrasts."""
    L2 = "l2"
    """(x - x_hat)^2, mean over contrasts."""
    BRIGHTER = "brighter"
    """x - x_hat where it is above 0, mean over contrasts: for lesions that brighten."""
    DARKER = "darker"
    """x_hat - x where it is above 0, mean over contrasts."""
    NORMATIVE = "normative"
    """|x - x_hat - m| / s, where m and s are mean and spread of healthy scans' x - x_hat there."""
    SSIM = "ssim"
    """1 - structural similarity in a Gaussian window of 2 mm."""
    SSIM_ENS = "ssim_ens"
    """The same in eight windows; where they disagree, those count more that see a difference."""
    MHD = "mhd"
    """1 - structural similarity with the mean of samples, times the Mahalanobis distance."""


REFERENCES = {
    Score.SSIM: "Wang et al. 2004, DOI 10.1109/TIP.2003.819861",
    Score.SSIM_ENS: "Behrendt et al. 2024, ISBI, arXiv:2403.14262",
    Score.MHD: "Behrendt et al. 2024, MICCAI, DOI 10.1007/978-3-031-72120-5_37, arXiv:2407.12474",
}
"""Where a score in place of the method's own comes from."""


class DataRange(StrEnum):
    """Which range of intensities structural similarity holds for the whole one."""

    ONE = "one"
    """1: what the preparation normalises to."""
    VOLUME = "volume"
    """The wider of scan and picture, anew for each scan: one hot voxel changes the whole map."""


class Weights(StrEnum):
    """How much each window of the ensemble counts at a voxel."""

    EXPONENTIAL = "exponential"
    """exp(-similarity), over the sum of all."""
    UNIFORM = "uniform"


class Rescaling(StrEnum):
    """What becomes of the Mahalanobis distances of one scan."""

    NONE = "none"
    """They stay comparable between scans, which a calibration needs."""
    MINMAX = "minmax"
    """Lowest to 0, highest to 1: a healthy scan's highest distance is then a lesion's."""


class Order(StrEnum):
    """Which comes first, the erosion of the brain or the median filter."""

    ERODE_FIRST = "erode_first"
    """Erosion, smoothing, median: the public code of Behrendt et al. (arXiv:2303.03758)."""
    MEDIAN_FIRST = "median_first"
    """Smoothing, median, erosion: their text. Beside the rim the median sees the scores of the rim;
    in the other order it sees zeros."""


SIMILARITY = frozenset({Score.SSIM, Score.SSIM_ENS, Score.MHD})
TAKEN_BY = {
    "data_range": SIMILARITY,
    "weights": frozenset({Score.SSIM_ENS}),
    "samples": frozenset({Score.MHD}),
    "normalise": frozenset({Score.MHD}),
    "level": frozenset(Score) - {Score.OWN},
}
"""Which scores a setting has an effect on."""
MHD_LEVEL = 499
"""Index of the middle of a diffusion over 1000 levels."""


@dataclass(frozen=True, kw_only=True)
class PostProcessing:
    """Settings of the post-processing; the `[post]` table of a recipe."""

    score: Score = Score.OWN
    """Distance of a scan from its pseudo-healthy picture."""
    level: Annotated[int | None, Ge(0)] = None
    """Level index from which a diffusion method restores; other methods disregard it. Left out: as
    the method does, or 499 for `mhd`."""
    data_range: DataRange = DataRange.ONE
    """Of structural similarity."""
    weights: Weights = Weights.EXPONENTIAL
    """Of the windows of `ssim_ens`."""
    samples: Annotated[int, Ge(2)] = 10
    """Pictures that `mhd` draws."""
    normalise: Rescaling = Rescaling.NONE
    """Of the distances of `mhd`."""
    order: Order = Order.ERODE_FIRST
    """Of the three that follow."""
    erode: Annotated[int, Ge(0)] = 0
    """Erosions of the brain per axial slice (4-neighbour cross): drops the ragged rim."""
    smooth_mm: Annotated[float, Ge(0)] = 0.0
    """Full width at half maximum of a Gaussian inside the brain, mm; 0 for none."""
    median: Annotated[int, Ge(0)] = 0
    """Width of a median filter, voxels along each axis (in-plane only for one slice); 0: none."""

    def __post_init__(self) -> None:
        """Refuse a median filter without a middle, and settings of another score."""
        if self.median and self.median % 2 == 0:
            raise ValueError(f"median: {self.median} is even; give an odd width, or 0 for none")
        if self.score is Score.MHD and self.level is None:
            object.__setattr__(self, "level", MHD_LEVEL)
        for field in fields(self):
            takers = TAKEN_BY.get(field.name, frozenset(Score))
            if self.score not in takers and getattr(self, field.name) != field.default:
                names = ", ".join(sorted(takers))
                why = f"does nothing with score '{self.score}'; leave it out, or take {names}"
                raise ValueError(f"{field.name}: {why}")
