"""The rules of quality control: what each figure means, and which values of it are fit for use.

*Refuse* is for what makes a map meaningless: no brain, a brain in the wrong place, half a brain,
an image that is mostly artefact. What a scanner or a disease does to a readable scan is *warn*.
Each bound stands beside what was seen on real scans (165 of IXI, thick slices, a craniotomy);
``benchmarks/quality_control.py`` counts what it does to good and to spoiled ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

Range = tuple[float, float]
EVERYTHING: Range = (-inf, inf)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How one figure is judged."""

    words: str
    """What it is, the subject of a sentence."""
    unit: str = ""
    means: str = ""
    """What a value outside the bounds says."""
    warn: Range = EVERYTHING
    """Outside it: warn."""
    refuse: Range = EVERYTHING
    """Outside it: refuse."""
    grain: float | None = None
    """Smallest spread of a cohort that counts, None: never compared with the cohort."""
    bad: tuple[int, ...] = (-1, 1)
    """Sides of the cohort that warn, -1 below, 1 above; on the other it is only said."""


RULES: Mapping[str, Rule] = {
    "overlap_dice": Rule(
        words="Dice of the brain with the template's",
        means="extraction or registration failed",
        warn=(0.90, inf),  # IXI: at least 0.94; craniotomies and thick slices: 0.956
        refuse=(0.85, inf),  # as `Preparation.min_overlap`
        grain=0.005,
        bad=(-1,),
    ),
    "resemblance": Rule(
        words="share of the intensities that the template explains",
        means="registration wrong, image damaged, or unusual anatomy (wide ventricles)",
        warn=(0.15, inf),  # the widest ventricles of IXI: 0.19
        refuse=(0.1, inf),  # as `Preparation.min_resemblance`; noise: 0.00
        grain=0.03,
        bad=(-1,),
    ),
    "mutual_information": Rule(
        words="mutual information with what it was registered to, nats", grain=0.02, bad=(-1,)
    ),
    "registration_starts": Rule(
        words="starts that the registration took",
        means="the first ones failed: look at the registration",
        warn=(0.0, 1.0),
    ),
    "covered": Rule(
        words="share of the brain that this contrast shows",
        means="its field of view cuts the brain; the rest is not scored",
        warn=(0.98, inf),
        refuse=(0.7, inf),
    ),
    "correlation": Rule(words="correlation with the template", grain=0.05, bad=()),
    "rotation_deg": Rule(
        words="turn of the head against the file's header",
        unit="degrees",
        means="the header's orientation or the registration is wrong",
        warn=(0.0, 45.0),  # IXI: up to 33
        refuse=(0.0, 75.0),  # no head lies like this; a quarter turn is 90
        grain=6.0,
        bad=(1,),
    ),
    "scale_min": Rule(
        words="smallest scale of the registration",
        means="the registration squeezes the brain, or voxel sizes are wrong",
        warn=(0.65, inf),  # IXI: 0.75
        refuse=(0.5, inf),
        grain=0.03,
        bad=(-1,),
    ),
    "scale_max": Rule(
        words="largest scale of the registration",
        means="the registration stretches the brain, or voxel sizes are wrong",
        warn=(0.0, 1.25),  # IXI: 1.05
        refuse=(0.0, 1.6),
        grain=0.03,
        bad=(1,),
    ),
    "stretch": Rule(
        words="largest over smallest scale of the registration",
        means="a part of the brain is missing, or the registration is wrong",
        warn=(1.0, 1.4),  # IXI: 1.29
        refuse=(1.0, 1.8),
        grain=0.03,
        bad=(1,),
    ),
    "volume_factor": Rule(
        words="determinant of the registration",
        means="below 0 it mirrors the brain",
        refuse=(0.0, inf),
    ),
    "centre_off_mm": Rule(
        words="distance of the brain's middle from the template's",
        unit="mm",
        means="the registration is shifted, or a part of the brain is missing",
        warn=(0.0, 8.0),  # IXI: 2.8
        refuse=(0.0, 25.0),
        grain=0.7,
        bad=(1,),
    ),
    "brain_ml": Rule(
        words="brain volume",
        unit="ml",
        means="an adult's is 900 to 2000 ml",
        warn=(900.0, 2000.0),
        refuse=(300.0, 3000.0),  # as the extraction's own bounds
        grain=60.0,
        bad=(),
    ),
    "brain_cut": Rule(
        words="brain's area on the outermost slice over its largest",
        means="the field of view cuts the brain",
        warn=(0.0, 0.3),  # whole brains in 5.5 mm slices: 0.18
        refuse=(0.0, 0.9),
        grain=0.05,
        bad=(),
    ),
    "outside_share": Rule(
        words="share of the template's brain outside the field of view",
        means="the field of view cuts the brain",
        warn=(0.0, 0.02),  # whole brains: 0.002
        refuse=(0.0, 0.3),
        grain=0.004,
        bad=(),
    ),
    "spacing_ratio": Rule(
        words="largest voxel edge over the model's",
        means="the scan is too coarse for the model: small lesions vanish between slices",
        warn=(0.0, 2.0),
    ),
    "spacing_max_mm": Rule(words="largest voxel edge", unit="mm", grain=0.2, bad=()),
    "noise": Rule(
        words="noise over the brain's grey-value range",
        means="noise hides the anatomy",
        warn=(0.0, 0.15),  # real scans: up to 0.09; SNR 5: 0.19
        refuse=(0.0, 0.285),  # SNR 2: 0.28; noise alone: 0.30
        grain=0.006,
        bad=(1,),
    ),
    "detail": Rule(words="share of detail finer than 3 mm", grain=0.02, bad=(-1,)),
    "ghosting": Rule(
        words="correlation of the image with a shifted copy of itself",
        means="ghosts lie over the brain",
        warn=(0.0, 0.05),  # real scans: up to 0.015; a ghost of 10 %: 0.1 to 0.2
        refuse=(0.0, 0.3),
        grain=0.005,
        bad=(),
    ),
    "stripes": Rule(
        words="share of the detail that one wave makes up",
        means="stripes lie over the image (spikes in k-space)",
        warn=(0.0, 0.005),  # real scans: up to 0.001
        grain=0.0005,
        bad=(),
    ),
    "spikes": Rule(
        words="share of voxels that stand out from their neighbours",
        means="single voxels are wrong",
        warn=(0.0, 0.005),
        grain=0.001,
        bad=(),
    ),
    "flat": Rule(
        words="share of the brain without any structure",
        means="slices are missing or grey values are clipped",
        warn=(0.0, 0.01),  # real scans: 0.0001
        refuse=(0.0, 0.3),
    ),
    "saturated": Rule(
        words="share of the brain at the largest grey value",
        means="grey values are clipped",
        warn=(0.0, 0.01),
    ),
    "grey_levels": Rule(
        words="number of grey values in the brain",
        means="grey values are too few",
        warn=(32.0, inf),  # 8-bit IXI: 95
    ),
    "symmetry": Rule(words="correlation with the mirror image", grain=0.04, bad=()),
}
