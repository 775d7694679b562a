"""Score a folder of anomaly maps, ours or anybody's, against reference masks. Needs no model."""

import csv
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.types import Labels, Map, Mask
from hale.data.references import (
    MapFiles,
    find_brains,
    find_maps,
    find_references,
    healthy_people,
    matching,
    read_map,
    read_mask,
    read_on,
)
from hale.metrics.evaluation import Evaluation, Kind, Maps, Row, score_case, summarise
from hale.metrics.together import Together

PERSON = re.compile(r"sub-[^_]+")
TITLES = {
    "auprc": "AUPRC in the brain",
    "auprc_pooled": "AUPRC, voxels of all scans together",
    "auprc_grid": "AUPRC over the whole grid",
    "auroc": "AUROC in the brain",
    "auroc_grid": "AUROC over the whole grid",
    "auroc_pooled": "AUROC, voxels of all scans together",
    "best_dice_oracle": "best Dice, threshold per scan (oracle)",
    "precision_oracle": "  precision at the best Dice (oracle)",
    "recall_oracle": "  recall at the best Dice (oracle)",
    "specificity_oracle": "  specificity at the best Dice (oracle)",
    "best_dice_pooled_oracle": "best Dice, one threshold (oracle)",
    "dice_at_alpha": "Dice of the mask (healthy-only)",
    "precision_at_alpha": "  precision of the mask",
    "recall_at_alpha": "  recall of the mask",
    "specificity_at_alpha": "  specificity of the mask",
    "hd95_mm": "  95 % Hausdorff distance of the mask, mm",
    "dice_at_fpr01": "Dice at p ≤ 0.01 (healthy-only)",
    "precision_at_fpr01": "  precision at p ≤ 0.01",
    "recall_at_fpr01": "  recall at p ≤ 0.01",
    "l1_ratio": "mean score, lesion over normal",
    "lesion_recall": "lesions detected",
    "lesion_recall_small": "  below 1 ml",
    "lesion_recall_medium": "  1 to 10 ml",
    "lesion_recall_large": "  above 10 ml",
    "lesion_precision": "findings that touch a lesion",
    "lesion_f1": "lesion F1",
    "froc_05": "lesions detected at 0.5 false findings a scan (FROC)",
    "froc_1": "lesions detected at 1 false finding a scan (FROC)",
    "froc_2": "lesions detected at 2 false findings a scan (FROC)",
    "froc_4": "lesions detected at 4 false findings a scan (FROC)",
    "false_components": "false findings per scan",
    "healthy_flagged": "healthy scans flagged",
    "healthy_false_components": "false findings per healthy scan",
    "healthy_fpr01": "healthy voxels with p ≤ 0.01",
    "healthy_specificity_at_alpha": "healthy voxels outside the mask",
    "scan_auroc": "scans, ill from healthy: AUROC",
    "scan_ap": "scans, ill from healthy: AP",
}
"""What people call each figure, in the order of the table."""


def evaluate(
    maps: Path, truth: Path, *, healthy: Collection[str] = (), draws: int = 2000, seed: int = 0
) -> Evaluation:
    """Score every map that has a reference mask or is said to be of a healthy scan.

    Args:
        maps: What `hale detect` wrote for a cohort (``<id>/anomaly.nii.gz`` and its neighbours, at
            any depth), or a flat folder of any method's maps, ``<id>.nii.gz``.
        truth: Searched at any depth for ``<id>*lesion*mask``, ``<id>_seg``, ``<id>`` (.nii,
            .nii.gz) and, where the maps bring no brain, ``<id>*brain*mask``. Its
            ``participants.tsv`` may say who is healthy: ``lesion`` is none, or ``group``,
            ``diagnosis`` or ``status`` is healthy, control or HC.
        healthy: Ids, or patterns such as ``sub-IXI*`` or ``*``, of scans that are healthy if they
            have no reference mask.
        draws: Of the bootstrap over patients (``sub-X`` of an id that has it, else the id).
        seed: Of the bootstrap.

    Nothing is resampled: a map and its mask must share a grid. One scan is in memory at a time; of
    the others only counts are kept, even for the figures of all voxels together.

    Raises:
        Refused: No maps, none that can be scored, two masks for an id, an unreadable file, a mask
            with values other than 0 and 1 or on another grid, a map that is not finite, a lesion in
            a scan said to be healthy, a pattern that names no map.
    """
    found = find_maps(maps)
    references = find_references(truth, found, [files.anomaly for files in found.values()])
    brains = find_brains(truth, found)
    people = healthy_people(truth / "participants.tsv")
    said = {id_ for id_ in found if id_ in people or patient_of(id_) in people}
    said |= matching(healthy, found) - references.keys()
    rows, together = [], Together()
    for id_ in sorted(said | references.keys()):
        files = replace(found[id_], brain=found[id_].brain or brains.get(id_))
        case, lesion = read_case(files, references.get(id_), within=brains.get(id_))
        kind = _kind(references.get(id_), lesion, healthy=id_ in said)
        rows.append(score_case(id_, patient_of(id_), kind, case, lesion))
        together.add(patient_of(id_), kind, case, lesion)
    unmatched = tuple(id_ for id_ in found if id_ not in references and id_ not in said)
    if not rows:
        why = f"holds no reference mask for any of {len(found)} maps, such as {unmatched[0]}"
        remedy = "name masks <id>_desc-lesion_mask.nii.gz, or say which scans are healthy"
        raise Refused(str(truth), why, remedy)
    return Evaluation(
        cases=tuple(rows),
        summary={
            **summarise(rows, draws=draws, seed=seed),
            **together.figures(draws=draws, seed=seed),
        },
        unmatched=unmatched,
        empty=tuple(row.id for row in rows if row.kind is Kind.EMPTY),
    )


def patient_of(id_: str) -> str:
    """Return whose scan an id names: visits and runs of one ``sub-X`` are one patient's."""
    person = PERSON.match(id_)
    return person.group() if person else id_


def read_case(
    files: MapFiles, reference: Path | None, *, within: Path | None = None
) -> tuple[Maps, Mask]:
    """Return the maps of one scan and its lesion, all False without a reference mask.

    Args:
        files: Of the scan.
        reference: Its reference mask.
        within: A brain in which every method is ranked, if there is one.

    Raises:
        Refused: A file that cannot be read, is no mask, or lies on another grid; an empty brain.
    """
    anomaly = read_map(files.anomaly)
    grid = anomaly.grid
    brain = None if files.brain is None else read_mask(files.brain, grid)
    if brain is not None and not brain.any():
        raise Refused(str(files.brain), "is empty", "give the brain, or no such file")
    case = Maps(
        anomaly=anomaly.values,
        brain=brain,
        within=None if within is None else read_mask(within, grid),
        pvalue=None if files.pvalue is None else _pvalues_of(files.pvalue, grid),
        mask=None if files.mask is None else _labels_of(files.mask, grid),
        voxel_ml=grid.voxel_ml,
        spacing=grid.spacing,
    )
    lesion = np.zeros(grid.shape, bool) if reference is None else read_mask(reference, grid)
    return case, lesion


def _pvalues_of(path: Path, grid: Grid) -> Map:
    """Return a map of p-values; what is none is refused."""
    values: Map = read_on(path, grid)
    if values.min() < 0 or values.max() > 1:
        worst = values.min() if values.min() < 0 else values.max()
        raise Refused(str(path), f"holds {worst:g}, and p is 0 to 1", "correct it, or take it away")
    return values


def _labels_of(path: Path, grid: Grid) -> Labels:
    """Return a mask of numbered lesions; one of shares, which a cast would empty, is refused."""
    values = read_on(path, grid)
    if (values != np.rint(values)).any():
        raise Refused(str(path), "holds fractions, and is no mask", "threshold it, or take it away")
    return values.astype(np.int32)


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write ``cases.tsv`` (a row per case, n/a where undefined) and ``summary.json`` (null there).

    The folder is made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [column.name for column in fields(Row) if column.name != "counts"]
    with (folder / "cases.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(names)
        for row in evaluation.cases:
            writer.writerow([_cell(getattr(row, name)) for name in names])
    text = json.dumps(summary_of(evaluation), indent=2, allow_nan=False) + "\n"
    (folder / "summary.json").write_text(text, encoding="utf-8")


def summary_of(evaluation: Evaluation) -> dict[str, Any]:
    """Return the figures as plain JSON types, NaN as None."""
    figures: Mapping[str, Mapping[str, float | int]] = {
        name: asdict(interval) for name, interval in evaluation.summary.items()
    }
    return {
        "interval": "95 %, BCa bootstrap over patients",
        "cases": {kind.value: _count(evaluation, kind) for kind in Kind},
        "figures": {
            name: {key: None if math.isnan(number) else number for key, number in figure.items()}
            for name, figure in figures.items()
        },
        "unmatched": list(evaluation.unmatched),
        "empty_masks": list(evaluation.empty),
    }


def table(evaluation: Evaluation) -> Table:
    """Return the figures for a terminal; what is undefined is left out, the caption says the rest.

    ``rich.print(table(evaluation))``.
    """
    counts = ", ".join(
        f"{_count(evaluation, kind)} {kind.value}" for kind in Kind if _count(evaluation, kind)
    )
    notes = [f"scans: {counts}"]
    if evaluation.empty:
        notes.append(f"empty reference masks: {', '.join(evaluation.empty)}")
    if evaluation.unmatched:
        names = ", ".join(evaluation.unmatched)
        notes.append(f"not scored, no reference mask and not said to be healthy: {names}")
    shown = Table(caption="\n".join(notes), caption_justify="left")
    shown.add_column("figure")
    for heading in ("value", "95 % interval", "n"):
        shown.add_column(heading, justify="right")
    for name, title in TITLES.items():
        interval = evaluation.summary.get(name)
        if interval is not None and not math.isnan(interval.value):
            ends = "" if math.isnan(interval.low) else f"{interval.low:.3f} to {interval.high:.3f}"
            shown.add_row(title, f"{interval.value:.3f}", ends, str(interval.n))
    return shown


def _kind(reference: Path | None, lesion: Mask, *, healthy: bool) -> Kind:
    if healthy and lesion.any():
        remedy = "correct the table or take the mask away"
        raise Refused(str(reference), "holds a lesion, participants.tsv says healthy", remedy)
    if lesion.any():
        return Kind.LESION
    return Kind.HEALTHY if healthy else Kind.EMPTY


def _count(evaluation: Evaluation, kind: Kind) -> int:
    return sum(row.kind is kind for row in evaluation.cases)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "n/a" if math.isnan(value) else f"{value:.6g}"
    return str(value)
