"""The yes or no of the public single-scan code: kept to be shown, not to be believed.

A scan is called positive if the share of pixels whose error exceeds mean + k sd is above a cut-off.
Mean and sd come from the same errors, so the share hardly depends on the image: half-normal errors
give 0.161, 0.089 and 0.045 at k = 1, 1.5 and 2, whatever their size.

Reference: github.com/ApurvaMayank-iitb/24D0894_IE643_NIFTI (no paper).
"""

from math import erfc, pi, sqrt

import numpy as np


def share_above(error: np.ndarray, sds: float) -> float:
    """Return the share of ``error`` above its mean plus ``sds`` of its standard deviations."""
    return float((error > error.mean() + sds * error.std()).mean())


def share_of_noise(sds: float) -> float:
    """Return what `share_above` makes of half-normal errors of any size."""
    mean = sqrt(2 / pi)
    return erfc((mean + sds * sqrt(1 - mean**2)) / sqrt(2))


def published_verdict(error: np.ndarray, *, sds: float, cutoff: float) -> str:
    """Return the rule's words, and what they are worth."""
    share = share_above(error, sds)
    word = "anomaly" if share > cutoff else "no anomaly"
    return (
        f"legacy preset, for comparison only: {100 * share:.1f} % of the pixels lie above"
        f" mean + {sds:g} sd of their errors, the cut-off is {100 * cutoff:g} %: '{word}' by the"
        f" published rule, which says nothing of the scan (noise alone gives"
        f" {100 * share_of_noise(sds):.1f} %)"
    )
