"""HCP young adult: healthy, T1w and T2w at 0.7 mm.

Glasser et al. 2013, NeuroImage 80:105, doi 10.1016/j.neuroimage.2013.04.127.

``100307/T1w/T1w_acpc_dc_restore_brain.nii.gz``, else ``T1w_acpc_dc_restore.nii.gz``, else the scan
as it came, ``unprocessed/3T/T1w_MPR1/100307_3T_T1w_MPR1.nii.gz``; T2w likewise (``T2w_SPC1``). The
first repeat is taken of several. The restored scans of a person lie on one grid, which
``T1w/brainmask_fs.nii.gz`` masks. Many people have siblings or a twin here, whom only the
restricted tables name.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from hale.core.scan import Contrast
from hale.data.cohort import Entry
from hale.data.layouts.labels import ANY
from hale.data.layouts.tree import SUFFIX, Tree

RESTORED = {
    Contrast.T1W: ("T1w/T1w_acpc_dc_restore_brain", "T1w/T1w_acpc_dc_restore"),
    Contrast.T2W: ("T1w/T2w_acpc_dc_restore_brain", "T1w/T2w_acpc_dc_restore"),
}
"""By contrast, what is taken first."""
UNPROCESSED = {
    Contrast.T1W: ("unprocessed/3T/T1w_MPR1",),
    Contrast.T2W: ("unprocessed/3T/T2w_SPC1",),
}
BRAIN = "T1w/brainmask_fs"
FILE = re.compile(
    r"(?:.*/)?(?P<id>\d{6})/"
    rf"(?P<kind>T1w/T[12]w_acpc_dc_restore(?:_brain)?|{BRAIN}|unprocessed/3T/(?:T1w_MPR1|T2w_SPC1))"
    rf"(?:/(?P=id)_3T_(?:T1w_MPR1|T2w_SPC1))?{SUFFIX}"
)
LABELS = ANY


def recognises(tree: Tree) -> bool:
    """Say whether there are images with these names."""
    return tree.holds(FILE)


def read(tree: Tree) -> list[Entry]:
    """Return the exams; there are no lesions and no splits."""
    exams = {name: (_scans(files), files) for name, files in tree.grouped(FILE).items()}
    return [
        Entry(id=name, person=name, files=scans, brain=files.get(BRAIN) if restored else None)
        for name, ((scans, restored), files) in exams.items()
        if scans
    ]


def _scans(files: Mapping[str, Path]) -> tuple[dict[Contrast, Path], bool]:
    """Return the scans of one grid each, and whether they are the restored ones."""
    for wanted in (RESTORED, UNPROCESSED):
        found = {c: [files[k] for k in kinds if k in files] for c, kinds in wanted.items()}
        if any(found.values()):
            return {c: paths[0] for c, paths in found.items() if paths}, wanted is RESTORED
    return {}, False
