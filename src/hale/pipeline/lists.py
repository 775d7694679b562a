"""Whom an experiment learns from, chooses thresholds on and is tested on: the published lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hale.core.errors import Refused
from hale.core.scan import Slots, Split
from hale.data.cohort import Entry, of_split, refuse_shared_people
from hale.data.folder import Reading, read_folder
from hale.data.layouts.behrendt import LABELS, root_of
from hale.pipeline import cases
from hale.pipeline.experiment import Experiment, Patients


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
    learnt, said = _learnt(experiment, root, reading, found)
    remarks = (*remarks, *said)
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


def _rows(folder: Path, slots: Slots, reading: Reading) -> list[Entry]:
    """Return the rows of a validation list, as published; none if the scans are not there."""
    try:
        return [entry for entry in read_folder(folder, slots, reading)[0] if entry.split is None]
    except Refused:  # said where the data set is left out
        return []


def _learnt(
    experiment: Experiment, root: Path, reading: Reading, found: Mapping[Patients, Sequence[Entry]]
) -> tuple[cases.Patients | None, tuple[str, ...]]:
    """Return the rows of a validation list that a method learns from, and what is said of them.

    Args:
        experiment: Which rows of the published list it asks for, if any.
        root: Of the lists.
        reading: How they are read.
        found: What is read of the data sets: a row whose person is tested on may be left out.

    Raises:
        Refused: There are none.
    """
    asked = experiment.cases
    if asked is None:
        return None, ()
    (first, last), name = asked.rows, f"{asked.data}_val"
    whole = replace(reading, published=True)
    wanted = _rows(root / "Test" / asked.data, ((experiment.contrast,),), whole)[first:last]
    left = found.get(asked.data, ())
    entries = [e for n, e in enumerate(wanted) if e in left and e not in wanted[:n]]
    if not entries:
        why = f"has no rows {first} to {last - 1} to learn from"
        raise Refused(name, why, "copy the list again, or set cases.rows")
    said = f"{name}: {len(wanted) - len(entries)} of rows {first} to {last - 1} are not learnt from"
    also = (f"{said}: listed twice, or tested on",) if len(entries) < len(wanted) else ()
    return cases.Patients(folder=name, entries=entries, labels=LABELS), also


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
