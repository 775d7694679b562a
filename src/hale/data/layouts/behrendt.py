"""The prepared data and split lists of Behrendt et al.: IXI against BraTS21, MSLUB, ATLAS and WMH.

Behrendt et al., arXiv 2303.03758 and 2312.04215. In ``<DATA_DIR>`` or ``<DATA_DIR>/Data``::

    splits/IXI_train_fold0.csv ... IXI_val_fold0.csv ... IXI_test.csv  avail_t2.csv
    splits/{Brats21,MSLUB,ATLAS_v2,WMH}_{val,test}.csv
    Train/ixi/{t1,t2,mask}/<id>_{t1,t2,mask}.nii.gz
    Test/<data set>/{t1,t2,flair,mask,seg}/<id>_{t1,t2,flair,mask,seg}.nii.gz

Rows were drawn from a sheet that lists 25 of IXI's 566 people twice: 7 to 9 people of each fold are
trained and tested on.

| list | split |
|---|---|
| ``IXI_train_fold<n>`` | fit |
| ``IXI_val_fold<n>`` | standardise and calibrate, 40 : 60, people in the order of their hashes |
| ``*_test`` | test |
| ``<patients>_val`` | none: it chose the published thresholds, by its lesions |
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hale.core.errors import Refused
from hale.core.scan import Contrast, Split
from hale.data.cohort import Entry, with_splits
from hale.data.layouts.labels import ANY
from hale.data.layouts.tree import Tree
from hale.data.participants import age_of
from hale.io.nifti import stem

PATIENTS = ("Brats21", "MSLUB", "ATLAS_v2", "WMH")
FOLDERS = {"t1": Contrast.T1W, "t2": Contrast.T2W, "flair": Contrast.FLAIR}
VAL_SHARES = {Split.STANDARDISE: 0.4, Split.CALIBRATE: 0.6}
LABELS = ANY
"""As the published metrics count them."""
COLUMNS = ("img_path", "mask_path", "seg_path")


def recognises(tree: Tree) -> bool:
    """Say whether the folder has one of the lists."""
    return root_of(tree.folder) is not None


def read(tree: Tree, *, fold: int = 0) -> list[Entry]:
    """Return a row of the lists each, as published: people and scans repeat, and so do ids.

    Args:
        tree: Of the data folder; of a folder in it (``Test/MSLUB``), for the scans there alone.
        fold: Of IXI.

    Raises:
        Refused: No such fold, a list without a path, a path that does not name its contrast.
    """
    root = root_of(tree.folder) or tree.folder
    lists = _Lists(root=root, with_t2=_with_t2(root / "splits" / "avail_t2.csv"))
    entries: list[Entry] = []
    if (root / "splits" / "IXI_test.csv").is_file() or _folds(root):
        if fold not in _folds(root):
            here = ", ".join(map(str, _folds(root))) or "none"
            raise Refused(f"fold {fold}", f"has no list in {root / 'splits'}", f"take of {here}")
        entries += lists.read(f"IXI_train_fold{fold}", Split.FIT)
        entries += with_splits(lists.read(f"IXI_val_fold{fold}"), VAL_SHARES)
        entries += lists.read("IXI_test", Split.TEST)
    for patients in PATIENTS:
        entries += lists.read(f"{patients}_val", notes=("in the list of labelled validation",))
        entries += lists.read(f"{patients}_test", Split.TEST)
    return [entry for entry in entries if _is_below(entry, tree.folder.absolute())]


def root_of(folder: Path) -> Path | None:
    """Return the folder of ``splits``, also from a folder of scans; None if it has no list."""
    names = (*(f"{patients}_test.csv" for patients in PATIENTS), "IXI_test.csv")
    here = folder.absolute()
    above = [p for p in here.parents[:3] if here.relative_to(p).parts[0] in ("Train", "Test")]
    for root in (folder, folder / "Data", *above):
        if any((root / "splits" / name).is_file() for name in names) or _folds(root):
            return root
    return None


def in_contrast(image: PurePosixPath, folder: str) -> PurePosixPath:
    """Return where the same exam lies in another contrast: folder and suffix change, nothing else.

    Args:
        image: Relative to the data folder, so that nothing above it can be changed.
        folder: Of the other contrast, such as ``t2``.

    Raises:
        Refused: The name does not end in the contrast of its folder.
    """
    was = image.parent.name
    name, _, suffix = image.name.rpartition(f"_{was}.")
    if was not in FOLDERS or not name:
        raise Refused(str(image), "is no <contrast>/<id>_<contrast>.nii.gz", "mend the list")
    return image.parent.parent / folder / f"{name}_{folder}.{suffix}"


@dataclass(frozen=True, kw_only=True)
class _Lists:
    """The lists of a root."""

    root: Path
    with_t2: frozenset[str] | None = None
    """Names of the T2w of healthy people; None: not listed, each has one."""

    def read(
        self, name: str, split: Split | None = None, notes: tuple[str, ...] = ()
    ) -> list[Entry]:
        """Return the rows of a list; none if there is no such list."""
        table = self.root / "splits" / f"{name}.csv"
        if not table.is_file():
            return []
        entries = (self._entry(row, table, split, notes) for row in _rows(table))
        return [entry for entry in entries if entry.files]

    def _entry(
        self, row: Mapping[str, str], table: Path, split: Split | None, notes: tuple[str, ...]
    ) -> Entry:
        image = _relative(row["img_path"], table)
        name = stem(Path(image.name)).rpartition("_")[0].partition("_space-")[0]
        brain, lesion = (self._side(row[column], table) for column in COLUMNS[1:])
        if row["seg_path"] and lesion is None:
            notes = (*notes, f"its reference mask is not there: {row['seg_path']}")
        return Entry(
            id=name,
            person=_person(name),
            files=self._files(image),
            brain=brain,
            lesion=lesion,
            split=split,
            age=age_of(row),
            notes=notes,
        )

    def _files(self, image: PurePosixPath) -> dict[Contrast, Path]:
        """Return the contrasts whose folders are there; T2w only of those who have one."""
        files = {}
        for folder, contrast in FOLDERS.items():
            path = in_contrast(image, folder)
            left_out = folder == "t2" and path.parts[0] == "Train" and not self._has_t2(path.name)
            if not left_out and (self.root / path.parent).is_dir():
                files[contrast] = self.root / path
        return files

    def _has_t2(self, name: str) -> bool:
        return self.with_t2 is None or name in self.with_t2

    def _side(self, listed: str, table: Path) -> Path | None:
        path = self.root / _relative(listed, table) if listed else None
        return path if path is not None and path.is_file() else None


def _is_below(entry: Entry, folder: Path) -> bool:
    return any(path.absolute().is_relative_to(folder) for path in entry.files.values())


def _folds(root: Path) -> list[int]:
    """Return the folds that have a list to train on."""
    tables = (root / "splits").glob("IXI_train_fold*.csv")
    return sorted(int(n) for t in tables if (n := t.stem.removeprefix("IXI_train_fold")).isdigit())


def _with_t2(table: Path) -> frozenset[str] | None:
    """Return the names in ``avail_t2.csv``, whose one column is called 0."""
    if not table.is_file():
        return None
    return frozenset(row["0"] for row in _rows(table, needs=("0",)))


def _rows(table: Path, needs: tuple[str, ...] = COLUMNS) -> Iterator[dict[str, str]]:
    """Yield the rows of a list, fields quoted or not."""
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(str(table), f"cannot be read ({error})", "copy the list again") from None
    columns, *rows = csv.reader(io.StringIO(text, newline="")) if text.strip() else [[]]
    if lacking := [column for column in needs if column not in columns]:
        raise Refused(str(table), f"has no column {lacking[0]}", "copy the list again")
    for number, row in enumerate(rows, 2):
        if len(row) != len(columns):
            why = f"line {number} has {len(row)} fields, the header {len(columns)}"
            raise Refused(str(table), why, "copy the list again")
        yield dict(zip(columns, row, strict=True))


def _relative(listed: str, table: Path) -> PurePosixPath:
    """Return a listed path relative to the root; one that leads out of it is refused."""
    path = PurePosixPath(listed.strip().lstrip("/"))
    if not path.name or ".." in path.parts:
        raise Refused(str(table), f"lists {listed!r}", "give paths below the data folder")
    return path


def _person(name: str) -> str:
    """Return whose exam it is: ``IXI105`` of IXI105-HH-1471, ``sub-r009s085`` of a visit."""
    return name.partition("-")[0] if name.startswith("IXI") else name.partition("_ses-")[0]
