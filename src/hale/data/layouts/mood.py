"""MOOD: healthy T1w brains, 256^3, brain-extracted, and four toy cases with planted anomalies.

Zimmerer et al. 2022, IEEE TMI 41:2728, doi 10.1109/TMI.2022.3170077.

``brain/brain_train/00000.nii.gz``; ``brain/toy/*.nii.gz`` with masks of the same names in
``brain/toy_label/pixel`` (or both below ``brain_toy``, as its archive unpacks). The names of the
toy files could not be verified, so any is taken. The abdomen's folders are left out.
"""

import re

from hale.core.scan import Contrast, Split
from hale.data.cohort import Entry
from hale.data.layouts.labels import ANY
from hale.data.layouts.tree import SUFFIX, Tree

TRAIN = re.compile(rf"(?:.*/)?brain_train/(?P<id>[^/]+?){SUFFIX}")
TOY = re.compile(rf"(?:.*/)?brain(?:_toy)?/(?P<kind>toy|toy_label/pixel)/(?P<id>[^/]+?){SUFFIX}")
LABELS = ANY


def recognises(tree: Tree) -> bool:
    """Say whether there are images with these names."""
    return tree.holds(TRAIN) or tree.holds(TOY)


def read(tree: Tree) -> list[Entry]:
    """Return the healthy scans, without a split, and the toy cases, for testing."""
    healthy = [
        Entry(id=match["id"], person=match["id"], files={Contrast.T1W: path})
        for match, path in tree.matches(TRAIN)
    ]
    toys = [
        Entry(
            id=name,
            person=name,
            files={Contrast.T1W: files["toy"]},
            lesion=files.get("toy_label/pixel"),
            split=Split.TEST,
        )
        for name, files in tree.grouped(TOY).items()
        if "toy" in files
    ]
    return healthy + toys
