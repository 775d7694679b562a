"""IXI: healthy adults at three sites, with the skull.

https://brain-development.org/ixi-dataset

``IXI012-HH-1211-T1.nii.gz``, and ``-T2``, ``-PD``, in one folder or in a folder for each contrast.
The ages are in ``IXI.xls``, which is not read; it lists some people twice, and split lists that
were drawn from its rows leak (see `hale.data.layouts.behrendt`).
"""

import re

from hale.core.scan import Contrast
from hale.data.cohort import Entry
from hale.data.layouts.labels import ANY
from hale.data.layouts.tree import SUFFIX, Tree

FILE = re.compile(rf".*/(?P<id>IXI\d{{3}}-(?:Guys|HH|IOP)-\d+)-(?P<kind>T1|T2|PD){SUFFIX}")
CONTRASTS = {"T1": Contrast.T1W, "T2": Contrast.T2W, "PD": Contrast.PDW}
LABELS = ANY


def recognises(tree: Tree) -> bool:
    """Say whether there are images with these names."""
    return tree.holds(FILE)


def read(tree: Tree) -> list[Entry]:
    """Return the exams; there are no masks and no splits."""
    return [
        Entry(
            id=name,
            person=name.partition("-")[0],
            files={c: files[kind] for kind, c in CONTRASTS.items() if kind in files},
        )
        for name, files in tree.grouped(FILE).items()
    ]
