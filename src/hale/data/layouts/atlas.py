"""ATLAS v2.0, R2.0: T1w of stroke patients, in MNI space with the skull, and lesions drawn by hand.

Liew et al. 2022, Scientific Data 9:320, doi 10.1038/s41597-022-01401-7.

``Training/R001/sub-r001s001/ses-1/anat/sub-r001s001_ses-1_space-MNI152NLin2009aSym_T1w.nii.gz`` and
``..._label-L_desc-T1lesion_mask.nii.gz``. The copy of the ISLES 2022 challenge has the same names
below ``derivatives/ATLAS``. ``Testing`` has no masks.
"""

import re

from hale.core.scan import Contrast, Split
from hale.data.cohort import Entry
from hale.data.layouts.labels import ANY
from hale.data.layouts.tree import SUFFIX, Tree

FILE = re.compile(
    r".*/(?P<id>sub-r\d+s\d+_ses-\d+)_space-MNI152NLin2009aSym"
    rf"_(?P<kind>T1w|label-L_desc-T1lesion_mask){SUFFIX}"
)
LABELS = ANY


def recognises(tree: Tree) -> bool:
    """Say whether there are images with these names."""
    return tree.holds(FILE)


def read(tree: Tree) -> list[Entry]:
    """Return the exams; all are patients', so all are for testing."""
    return [
        Entry(
            id=name,
            person=name.partition("_")[0],
            files={Contrast.T1W: files["T1w"]},
            lesion=files.get("label-L_desc-T1lesion_mask"),
            split=Split.TEST,
        )
        for name, files in tree.grouped(FILE).items()
        if "T1w" in files
    ]
