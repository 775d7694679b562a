"""Published data sets as they unpack: one file a layout, one line in the registry."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from hale.core.errors import Refused
from hale.core.scan import Slots, wanted
from hale.data.cohort import Entry, chosen
from hale.data.layouts import atlas, behrendt, brats, hcp, ixi, mood, mslub, wmh
from hale.data.layouts.labels import Labels
from hale.data.layouts.leaks import Leak, leaks, one_split_each, refuse_leaks
from hale.data.layouts.tree import Tree, tree_of


class Layout(Protocol):
    """What a module of a layout has."""

    LABELS: Labels

    def recognises(self, tree: Tree) -> bool:
        """Say whether a folder is laid out like this."""

    def read(self, tree: Tree) -> list[Entry]:
        """Return all exams, with every contrast, the reference not yet chosen."""


LAYOUTS: Final[dict[str, Layout]] = {
    "behrendt": behrendt,
    "atlas": atlas,
    "brats": brats,
    "hcp": hcp,
    "ixi": ixi,
    "mood": mood,
    "mslub": mslub,
    "wmh": wmh,
}
FOLDED: Final = ("behrendt",)
"""Layouts whose lists have folds."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A published data set, read for a model."""

    layout: str
    entries: list[Entry]
    leaks: tuple[Leak, ...]
    """Of the lists as published; `leaks.sentences` says them."""
    labels: Labels
    """Of its reference masks."""


def find_layout(folder: Path) -> str | None:
    """Return the layout of a folder; None: BIDS, flat, or none that is known.

    Raises:
        Refused: No such folder, or more than one layout.
    """
    return _found(tree_of(folder))


def read_layout(
    folder: Path,
    slots: Slots,
    *,
    name: str | None = None,
    fold: int | None = None,
    published: bool = False,
    strict: bool = False,
) -> DataSet:
    """Return the exams of a published data set that have one of a model's contrasts.

    Args:
        folder: The data set's, or one of the folders in it.
        slots: The model's channels. An exam with some of them says so when it is prepared.
        name: Of the layout; None to recognise it.
        fold: Of lists that have folds; None is the first.
        published: Keep the rows of split lists as they are, so that people who are in two splits
            stay in both. Without it each person is in one, the test before the others, and each
            scan is there once.
        strict: Refuse lists that leak.

    Raises:
        Refused: No such folder, layout or fold; no scan of these contrasts; with ``strict``, a
            leak.
    """
    tree = tree_of(folder)
    layout = name or _found(tree)
    if layout not in LAYOUTS:
        remedy = f"take a folder of one of {', '.join(LAYOUTS)}"
        raise Refused(name or str(folder), "is no layout of a published data set", remedy)
    if layout == "behrendt":
        exams = behrendt.read(tree, fold=fold or 0)
    elif fold is None:
        exams = LAYOUTS[layout].read(tree)
    else:
        raise Refused(f"fold {fold}", f"{layout} has no folds", "leave it out")
    entries = list(_for_model(exams, slots))
    if not entries:
        why = f"holds no {wanted(slots)} scan of the layout {layout}"
        raise Refused(str(folder), why, "give another folder, or take another model")
    found = leaks(entries)
    if strict:
        refuse_leaks(found, str(folder))
    return DataSet(
        layout=layout,
        entries=entries if published else one_split_each(entries),
        leaks=found,
        labels=LAYOUTS[layout].LABELS,
    )


def _found(tree: Tree) -> str | None:
    """Return the layout of a tree; lists decide before names do."""
    found = [name for name, layout in LAYOUTS.items() if layout.recognises(tree)]
    if len(found) > 1 and found[0] != "behrendt":
        why = f"holds several data sets: {', '.join(found)}"
        raise Refused(str(tree.folder), why, "give the folder of one, or the layout's name")
    return found[0] if found else None


def _for_model(exams: list[Entry], slots: Slots) -> Iterator[Entry]:
    """Yield the exams with the files of a model's channels; those that have none are left out."""
    accepted = {contrast for slot in slots for contrast in slot}
    for exam in exams:
        files = {c: path for c, path in exam.files.items() if c in accepted}
        if not files:
            continue
        try:
            taken, notes = chosen(files, slots, name=exam.id)
        except Refused:  # said again, for this exam alone, when it is prepared
            taken, notes = files, ()
        yield replace(exam, files=taken, notes=(*exam.notes, *notes))
