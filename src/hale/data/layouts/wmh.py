"""WMH 2017: T1w and FLAIR of white matter hyperintensities, from up to five scanners.

Kuijf et al. 2019, IEEE TMI 38:2556, doi 10.1109/TMI.2019.2905770; data: doi 10.34894/AECRSD.

``Utrecht/0/{orig,pre}/{T1,FLAIR}.nii.gz`` and ``Utrecht/0/wmh.nii.gz``; below ``training`` and
``test``, and ``Amsterdam/GE3T/100`` for the third site, in the release of 2022. ``T1`` lies on the
grid of ``FLAIR`` and of the mask, ``3DT1`` does not and is not read. ``orig`` is taken before
``pre`` (bias-corrected by SPM12): the preparation corrects the bias itself.
"""

import re

from hale.core.scan import Contrast, Split
from hale.data.cohort import Entry
from hale.data.layouts.labels import Labels
from hale.data.layouts.tree import SUFFIX, Tree

FILE = re.compile(rf"(?:.*/)?(?P<id>[^/]+/\d+)/(?P<kind>(?:orig|pre)/(?:T1|FLAIR)|wmh){SUFFIX}")
MASK = re.compile(rf"(?:.*/)?[^/]+/\d+/wmh{SUFFIX}")
"""What tells the data set from MRBrainS 2018, whose scans have the same names."""
CONTRASTS = {"T1": Contrast.T1W, "FLAIR": Contrast.FLAIR}
LABELS = Labels(lesion=(1,), ignored=(2,))
"""2 is other pathology, roughly drawn, which the challenge leaves out of its evaluation."""


def recognises(tree: Tree) -> bool:
    """Say whether there are masks with this name."""
    return tree.holds(MASK)


def read(tree: Tree) -> list[Entry]:
    """Return the exams, such as ``Utrecht_0``; all are patients', so all are for testing."""
    entries = []
    for place, files in tree.grouped(FILE).items():
        kept = next((k for k in ("orig", "pre") if any(f.startswith(k) for f in files)), None)
        scans = {c: f for kind, c in CONTRASTS.items() if (f := files.get(f"{kept}/{kind}"))}
        name = re.sub(r"\W+", "_", place)  # a scanner is called "Philips_VU .PETMR_01."
        entry = Entry(id=name, person=name, files=scans, lesion=files.get("wmh"), split=Split.TEST)
        entries += [entry] if scans else []
    return entries
