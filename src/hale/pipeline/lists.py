"""Whom an experiment learns from, chooses thresholds on and is tested on: the published lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hale.core.errors import Refused
from hale.core.scan import Split
from hale.data.cohort import Entry, of_split, refuse_shared_people
from hale.data.folder import Reading, read_folder
from hale.data.layouts.behrendt import LABELS, root_of
from hale.pipeline import cases
from hale.pipeline.experiment import Experiment, Learnt, Patients


@dataclass(frozen=True, kw_only=True, eq=False)
class Tested:
    """A data set of patients."""

    validation: Sequence[Entry]
    """Whose lesions choose thresholds; nobody whom the method learns from."""
    test: Sequence[Entry]


@dataclass(frozen=True, kw_only=True, eq=False)
class Lists:
    """The lists of one fold."""

    healthy: Path
    """Folder of IXI's scans."""
    fit: Sequence[Entry]
    watched: Sequence[Entry]
    """Healthy validation scans, of people whom nothing is learnt from."""
    learnt: cases.Patients | None
    """Whose lesions the method learns from."""
    tested: Mapping[Patients, Tested]
    remarks: tuple[str, ...] = ()
    """People whom the lists repeat, data sets that are not there: a sentence each."""


def read_lists(experiment: Experiment, data: Path, reading: Reading) -> Lists:
    """Return the lists of a fold.

    Args:
        experiment: Whose contrast and patients are wanted; patients that are not there are left
            out.
        data: ``DATA_DIR`` of the public code.
        reading: Which fold, and whether people who are in two lists stay in both.

    Raises:
        Refused: No such folder or fold, no patients at all, or somebody whom a method learns from
            is in a list that chooses its thresholds.
    """
    root = root_of(data)
    if root is None:
        why = "holds no splits/IXI_train_fold0.csv and so on, as the public code lays it out"
        raise Refused(str(data), why, "give the DATA_DIR of Behrendt et al.")
    slots = ((experiment.contrast,),)
    healthy = root / "Train" / "ixi"
    ixi, remarks = read_folder(healthy, slots, reading)
    fit = of_split(ixi, Split.FIT)
    known = {entry.person for entry in fit}
    validation = of_split(ixi, Split.STANDARDISE, Split.CALIBRATE)
    watched = [entry for entry in validation if entry.person not in known]
    if gone := len(validation) - len(watched):
        also = f"{gone} scans of healthy validation set no threshold: learnt from as well"
        remarks = (*remarks, also)
    found: dict[Patients, list[Entry]] = {}
    for name in dict.fromkeys((*experiment.patients, *_learnt_data(experiment))):
        try:
            found[name], said = read_folder(root / "Test" / name, slots, reading)
            remarks = (*remarks, *(f"{name}: {sentence}" for sentence in said))
        except Refused as refusal:
            remarks = (*remarks, f"{name} is left out: {refusal}")
    learnt = _learnt(experiment.cases, found)
    people = {entry.person for entry in learnt.entries} if learnt else set()
    tested = {
        name: Tested(
            validation=[e for e in found[name] if e.split is None and e.person not in people],
            test=of_split(found[name], Split.TEST),
        )
        for name in experiment.patients
        if name in found
    }
    _refuse_unusable(tested, root)
    for each in tested.values():
        refuse_shared_people(
            [*watched, *each.validation], [*fit, *(learnt.entries if learnt else ())]
        )
    return Lists(
        healthy=healthy, fit=fit, watched=watched, learnt=learnt, tested=tested, remarks=remarks
    )


def _learnt_data(experiment: Experiment) -> tuple[Patients, ...]:
    return (experiment.cases.data,) if experiment.cases else ()


def _learnt(asked: Learnt | None, found: Mapping[Patients, list[Entry]]) -> cases.Patients | None:
    """Return the rows of a validation list that a method learns from.

    Raises:
        Refused: There are none.
    """
    if asked is None:
        return None
    first, last = asked.rows
    entries = [e for e in found.get(asked.data, ()) if e.split is None][first:last]
    if not entries:
        why = f"has no rows {first} to {last - 1} to learn from"
        raise Refused(f"{asked.data}_val", why, "copy the list again, or set cases.rows")
    return cases.Patients(folder=f"{asked.data}_val", entries=entries, labels=LABELS)


def _refuse_unusable(tested: Mapping[Patients, Tested], root: Path) -> None:
    """Refuse lists without which no figure can be had.

    Raises:
        Refused: No patients, or a data set without a list of them.
    """
    if not tested:
        raise Refused(str(root), "holds none of the experiment's patients", "unpack one of them")
    for name, each in tested.items():
        for kind, entries in (("val", each.validation), ("test", each.test)):
            if not entries:
                what = str(root / "splits" / f"{name}_{kind}.csv")
                raise Refused(what, "lists nobody", "copy the list, or set patients without it")
