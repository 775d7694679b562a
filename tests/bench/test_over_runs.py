"""Several seeds and folds: each run has figures of its own, all are ranked in the same voxels."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hale.bench import over_runs
from hale.bench.figures import figures_of
from hale.bench.measure import Ruler, measure
from hale.bench.measured import Measured
from hale.bench.outcome import Outcome
from hale.bench.over_runs import mean_figure
from hale.bench.place import Place, Run
from hale.bench.plan import Job
from hale.bench.suite import Kind
from hale.core.scan import Contrast
from hale.data.cohort import Entry
from hale.data.layouts.labels import Labels
from hale.data.references import MapFiles
from hale.metrics.evaluation import Kind as CaseKind

sys.path.insert(0, str(Path(__file__).parent))
from made_data import suite_of, write, write_scan


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Measured:
    """One measured case to make others from."""
    folder = tmp_path_factory.mktemp("case")
    path = write_scan(folder / "ill", "sub-21", ill=True)
    lesion = path.with_name("sub-21_desc-lesion_mask.nii.gz")
    entry = Entry(id="sub-21", person="sub-21", files={Contrast.FLAIR: path}, lesion=lesion)
    noise = np.random.default_rng(5).random((32, 36, 10)).astype(np.float32)
    write(folder / "maps/sub-21/anomaly.nii.gz", noise)
    ruler = Ruler(
        labels=Labels(lesion=(1,)),
        kind=Kind.PATIENTS,
        extracted=True,
        baseline=folder / "none",
        kept=folder / "kept",
    )
    maps = {"sub-21": MapFiles(anomaly=folder / "maps/sub-21/anomaly.nii.gz")}
    found = measure(entry, maps=maps, ruler=ruler)
    assert isinstance(found, Measured)
    return found


def outcome_of(tmp_path) -> Outcome:
    place = Place(data=tmp_path, out=tmp_path / "out")
    return Outcome(suite=suite_of(), place=place, jobs=[], cases={}, told=())


def method_of(case, scores, kind=CaseKind.LESION, names="abcdef") -> over_runs.Tested:
    """A method whose runs (seed 0, 1, ...) give scans these scores."""
    suite = suite_of()
    entrant, cohort = suite.methods[0], suite.cohorts[1]
    runs = [
        [
            replace(
                case, row=replace(case.row, id=name, patient=name, kind=kind, score=float(score))
            )
            for name, score in zip(names, of_run, strict=False)
        ]
        for of_run in scores
    ]
    jobs = [
        Job(
            run=Run(method="dae", seed=seed, fold=0),
            entrant=entrant,
            recipe=None,
            stage=None,
            model=None,
            reused=False,
            cohorts=(cohort,),
        )
        for seed in range(len(scores))
    ]
    return over_runs.Tested(entrant=entrant, cohort=cohort, jobs=jobs, runs=runs, failed=())


def test_scans_of_two_models_are_never_ranked_together(case, tmp_path):
    """Each of two runs tells all ill scans from healthy ones, on scales of its own."""
    ill = method_of(case, [[5, 6, 7, 5], [0.5, 0.6, 0.7, 0.5]])
    healthy = method_of(case, [[1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4]], CaseKind.HEALTHY, "wxyz")

    figures = figures_of(ill, healthy, outcome_of(tmp_path))

    for name in ("scan_auroc", "scan_ap"):
        told = figures[name]
        assert (told["value"], told["low"], told["high"], told["n"]) == (1, 1, 1, 8)
        assert told["seed_sd"] == 0


def test_free_response_is_the_mean_over_runs(case, tmp_path):
    one = method_of(case, [[1, 1, 1]])
    twice = method_of(case, [[1, 1, 1], [1, 1, 1]])
    alone = figures_of(one, None, outcome_of(tmp_path))["froc_4"]
    both = figures_of(twice, None, outcome_of(tmp_path))["froc_4"]

    assert both["value"] == alone["value"]
    assert both["n"] == alone["n"] == 3
    assert both["seed_sd"] == 0
    assert np.isnan(alone["seed_sd"])


def test_a_case_counts_once_however_many_runs_have_it(case, tmp_path):
    lost = method_of(case, [[1, 1, 1, 1, 1, 1], []])
    partly = method_of(case, [[1, 1, 1, 1], [1, 1, 1, 1, 1, 1]])

    for one in (lost, partly):
        figures = figures_of(one, None, outcome_of(tmp_path))
        assert figures["auprc"]["n"] == figures["auprc_pooled"]["n"] == 6
        values = [0.5] * len(one.everything)
        assert mean_figure(values, one, outcome_of(tmp_path))["n"] == 6


def test_a_mean_figure_has_the_spread_of_its_runs(case, tmp_path):
    one = method_of(case, [[1, 1], [1, 1]])

    told = mean_figure([0.2, 0.4, 0.6, 0.8], one, outcome_of(tmp_path))

    assert told["value"] == pytest.approx(0.5)
    assert told["seed_sd"] == pytest.approx(np.std([0.3, 0.7], ddof=1))
