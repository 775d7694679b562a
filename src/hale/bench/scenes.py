"""The best and the worst case of a method on a cohort, as pictures beside the leaderboard."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hale.bench.cohorts import labels_of
from hale.bench.guards import truth_of
from hale.bench.measure import maps_folder
from hale.bench.measured import Measured
from hale.bench.outcome import Outcome
from hale.bench.pictures import Seen, draw_case
from hale.bench.plan import Job
from hale.bench.suite import Cohort, Kind
from hale.data.cohort import Entry
from hale.data.references import MapFiles, find_maps, read_map, read_on

SHOWN = 1
"""Best, and worst, cases."""
MASK = "marked: the mask, chosen by healthy scans alone"
NO_MASK = "uncalibrated, so nothing is marked"


def write_scenes(
    cases: Sequence[Measured], job: Job, cohort: Cohort, outcome: Outcome
) -> dict[str, list[dict[str, Any]]]:
    """Draw the cases of the highest and lowest AUPRC; return what each shows and where it is."""
    ranked = [case for case in cases if not math.isnan(case.row.auprc)]
    ranked.sort(key=lambda case: (-case.row.auprc, case.row.id))
    if not ranked or cohort.kind is Kind.HEALTHY:
        return {"best": [], "worst": []}
    count = min(SHOWN, len(ranked) // 2) or 1
    chosen = {"best": ranked[:count], "worst": ranked[count:][::-1][:count]}
    maps = find_maps(maps_folder(job, cohort, outcome.place))
    entries = {entry.id: entry for entry in outcome.cases[cohort.name]}
    folder = outcome.place.board / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    told: dict[str, list[dict[str, Any]]] = {}
    for kind, some in chosen.items():
        told[kind] = []
        for case in some:
            name = f"{job.run}_{cohort.name}_{case.row.id}.png"
            seen = _seen(entries[case.row.id], maps[case.row.id], cohort, outcome)
            (folder / name).write_bytes(draw_case(seen))
            told[kind].append(
                {
                    "id": case.row.id,
                    "auprc": case.row.auprc,
                    "file": f"pictures/{name}",
                    "marked": NO_MASK if maps[case.row.id].mask is None else MASK,
                }
            )
    return told


def _seen(entry: Entry, files: MapFiles, cohort: Cohort, outcome: Outcome) -> Seen:
    """Return a scan, its map and its lesion, on the scan's grid."""
    anomaly, scan = read_map(files.anomaly), read_map(entry.path)
    lesion = np.zeros(anomaly.values.shape, bool)
    if entry.lesion is not None:
        lesion, _ = truth_of(entry, labels_of(cohort, outcome.place))
    brain = scan.values > 0
    if files.brain is not None:
        brain = read_on(files.brain, anomaly.grid) > 0
    found = np.zeros(lesion.shape, bool)
    if files.mask is not None:
        found = read_on(files.mask, anomaly.grid) > 0
    return Seen(
        scan=scan.values,
        anomaly=anomaly.values,
        brain=brain,
        lesion=lesion,
        found=found,
        spacing=anomaly.grid.spacing,
    )
