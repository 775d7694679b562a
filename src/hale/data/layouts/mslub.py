"""MSLUB: 30 patients with multiple sclerosis, consensus of three raters.

Lesjak et al. 2018, Neuroinformatics 16:51, doi 10.1007/s12021-017-9348-7.

The archive: ``patient01/patient01_{T1W,T1WKS,T2W,FLAIR,brainmask,consensus_gt}.nii.gz``, where
``T1WKS`` is contrast-enhanced; all of them on the grid of FLAIR. ``patient01/raw`` has the scans on
grids of their own, for which there is no brain mask, and is not read. The mirror
``muschellij2/open_ms_data`` drops the name's first part (``coregistered/patient01/T1W.nii.gz``).
"""

import re

from hale.core.scan import Contrast, Split
from hale.data.cohort import Entry
from hale.data.layouts.labels import ANY
from hale.data.layouts.tree import SUFFIX, Tree

FILE = re.compile(
    r"(?!.*/raw/)(?:.*/)?(?P<id>patient\d\d)/(?:(?P=id)_)?"
    rf"(?P<kind>T1W|T1WKS|T2W|FLAIR|brainmask|consensus_gt){SUFFIX}"
)
CONTRASTS = {
    "T1W": Contrast.T1W,
    "T2W": Contrast.T2W,
    "FLAIR": Contrast.FLAIR,
    "T1WKS": Contrast.T1W_CE,
}
LABELS = ANY


def recognises(tree: Tree) -> bool:
    """Say whether there are images with these names."""
    return tree.holds(FILE)


def read(tree: Tree) -> list[Entry]:
    """Return the exams; all are patients', so all are for testing."""
    exams = {
        name: ({c: files[kind] for kind, c in CONTRASTS.items() if kind in files}, files)
        for name, files in tree.grouped(FILE).items()
    }
    return [
        Entry(
            id=name,
            person=name,
            files=scans,
            brain=files.get("brainmask"),
            lesion=files.get("consensus_gt"),
            split=Split.TEST,
        )
        for name, (scans, files) in exams.items()
        if scans
    ]
