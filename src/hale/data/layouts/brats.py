"""BraTS 2017 to 2021, and 2023 on: gliomas, four contrasts on one 1 mm grid, brain-extracted.

Menze et al. 2015, IEEE TMI 34:1993, doi 10.1109/TMI.2014.2377694; Baid et al. 2021, arXiv
2107.02314.

| year | a file |
|---|---|
| 2018 | ``HGG/Brats18_2013_2_1/Brats18_2013_2_1_t1ce.nii.gz`` |
| 2020 | ``BraTS20_Training_001/BraTS20_Training_001_t1ce.nii.gz`` |
| 2021 | ``BraTS2021_00000/BraTS2021_00000_t1ce.nii.gz`` |
| 2023 | ``BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c.nii.gz``; the last number is the visit |

The years share patients under different names: do not fit on one and test on another.
"""

import re

from hale.core.scan import Contrast, Split
from hale.data.cohort import Entry
from hale.data.layouts.labels import ANY
from hale.data.layouts.tree import SUFFIX, Tree

FILE = re.compile(
    r".*/(?P<id>Bra[tT][sS](?:1[789]|20|2021)_\w+?|BraTS-[A-Za-z]+-\d+-\d+)"
    rf"[_-](?P<kind>t1|t1ce|t2|flair|t1n|t1c|t2w|t2f|seg){SUFFIX}"
)
MISNAMED = re.compile(rf".*/(?P<id>BraTS20_Training_355)/W39_1998\.09\.19_Segm{SUFFIX}")
"""The mask of one case of 2020, as released."""
CONTRASTS = {
    "t1": Contrast.T1W,
    "t1n": Contrast.T1W,
    "t1ce": Contrast.T1W_CE,
    "t1c": Contrast.T1W_CE,
    "t2": Contrast.T2W,
    "t2w": Contrast.T2W,
    "flair": Contrast.FLAIR,
    "t2f": Contrast.FLAIR,
}
LABELS = ANY
"""Necrosis, oedema and enhancing tumour alike: 1, 2 and 4, or 3 for the last since 2023."""
VISIT = re.compile(r"(BraTS-[A-Za-z]+-\d+)-\d+")


def recognises(tree: Tree) -> bool:
    """Say whether there are images with these names."""
    return tree.holds(FILE)


def read(tree: Tree) -> list[Entry]:
    """Return the exams; all are patients', so all are for testing."""
    misnamed = {match["id"]: path for match, path in tree.matches(MISNAMED)}
    entries = []
    for name, files in tree.grouped(FILE).items():
        scans = {c: files[kind] for kind, c in CONTRASTS.items() if kind in files}
        visit = VISIT.fullmatch(name)
        entry = Entry(
            id=name,
            person=visit[1] if visit else name,
            files=scans,
            lesion=files.get("seg", misnamed.get(name)),
            split=Split.TEST,
        )
        entries += [entry] if scans else []
    return entries
