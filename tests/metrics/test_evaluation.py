from dataclasses import replace

import numpy as np
import pytest

from hale.metrics import voxel
from hale.metrics.evaluation import Kind, Maps, Region, score_case, summarise
from hale.metrics.lesion import Counts
from hale.metrics.surface import hausdorff95


def maps_of(anomaly, **others):
    parts = {"brain": None, "pvalue": None, "mask": None, "voxel_ml": 0.5}
    parts |= {"spacing": (0.5, 1.0, 1.0), **others}
    return Maps(anomaly=anomaly.astype(np.float32), **parts)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    shape = (10, 12, 8)
    truth = np.zeros(shape, bool)
    truth[3:6, 3:6, 3:5] = True
    brain = np.zeros(shape, bool)
    brain[1:9, 1:11, 1:7] = True
    anomaly = np.where(brain, rng.random(shape) + truth, 0)
    pvalue = np.where(brain, 1 - anomaly / 2, 1).astype(np.float32)
    mask = np.zeros(shape, np.int32)
    mask[3:6, 3:6, 3] = 1
    mask[8, 8, 6] = 2
    return {"truth": truth, "brain": brain, "anomaly": anomaly, "pvalue": pvalue, "mask": mask}


def row_of(arrays, kind=Kind.LESION, id_="sub-1"):
    maps = maps_of(arrays["anomaly"], **{k: arrays[k] for k in ("brain", "pvalue", "mask")})
    return score_case(id_, id_.split("_")[0], kind, maps, arrays["truth"])


def test_a_row_holds_the_figures_of_the_voxels_in_the_brain(arrays):
    row, brain, truth = row_of(arrays), arrays["brain"], arrays["truth"]
    score = arrays["anomaly"].astype(np.float32)
    assert row.region is Region.BRAIN
    assert row.lesion_ml == 9
    assert row.outside_ml == 0
    assert row.auprc == voxel.average_precision(score[brain], truth[brain])
    assert row.auprc_grid == voxel.average_precision(score, truth)
    assert row.auroc == voxel.auroc(score[brain], truth[brain])
    assert row.auroc_grid == voxel.auroc(score, truth)
    assert row.best_dice_oracle == voxel.best_dice(score[brain], truth[brain])
    assert row.dice_at_alpha == 2 * 9 / (18 + 10)
    assert row.precision_at_alpha == 9 / 10
    assert row.recall_at_alpha == 9 / 18
    assert row.dice_at_fpr01 == voxel.dice(arrays["pvalue"] <= 0.01, truth)
    assert (row.lesions, row.lesions_detected) == (1, 1)
    assert (row.components, row.false_components, row.flagged) == (2, 1, 1)


def test_a_lesion_outside_the_brain_mask_counts_as_missed(arrays):
    cut = arrays["brain"].copy()
    cut[:5] = False
    anomaly = np.where(cut, arrays["anomaly"], 0)
    row = row_of({**arrays, "brain": cut, "anomaly": anomaly})
    assert row.outside_ml == 6
    kept = cut | arrays["truth"]
    assert row.auprc == voxel.average_precision(
        anomaly.astype(np.float32)[kept], arrays["truth"][kept]
    )
    assert row.auprc < 0.6


def test_voxels_outside_the_brain_rank_below_all_within(arrays):
    brain, truth = arrays["brain"], arrays["truth"]
    z = np.where(brain, arrays["anomaly"] - 5, 0)  # calibrated: below 0 in the brain, 0 off it
    maps = maps_of(z, brain=brain)
    row = score_case("a", "a", Kind.LESION, maps, truth)
    raw = score_case("a", "a", Kind.LESION, maps_of(arrays["anomaly"], brain=brain), truth)
    assert (row.auprc, row.auroc) == (raw.auprc, raw.auroc)
    assert row.auprc_grid == raw.auprc_grid == row.auprc
    assert row.best_dice_oracle == raw.best_dice_oracle
    outside = np.zeros_like(truth)
    outside[0, :4, 0] = True
    missed = score_case("a", "a", Kind.LESION, maps, outside)
    assert missed.outside_ml == missed.lesion_ml == 2
    assert missed.auroc == 0
    assert missed.auprc == 4 / (brain.sum() + 4)
    assert missed.auprc_grid == 4 / truth.size
    assert missed.best_dice_oracle == 2 * 4 / (4 + brain.sum() + 4)
    assert np.array_equal(maps.anomaly, z.astype(np.float32))


def test_a_foreign_map_has_ranking_figures_only(arrays):
    row = score_case("a", "a", Kind.LESION, maps_of(arrays["anomaly"]), arrays["truth"])
    assert row.region is Region.GRID
    assert row.auprc == row.auprc_grid > 0
    undefined = (row.dice_at_alpha, row.dice_at_fpr01, row.flagged, row.lesions, row.fpr01)
    assert np.isnan(undefined).all()
    assert row.counts is None


def test_without_a_lesion_nothing_flatters(arrays):
    healthy = {**arrays, "truth": np.zeros_like(arrays["truth"])}
    row = row_of(healthy, Kind.HEALTHY)
    figures = (row.auprc, row.auroc, row.best_dice_oracle, row.dice_at_alpha, row.l1_ratio)
    assert np.isnan(figures).all()
    assert row.false_components == 2
    assert row.fpr01 == (arrays["pvalue"] <= 0.01)[arrays["brain"]].mean()


def test_summary_means_and_pooled_lesions(arrays):
    hit = row_of(arrays, id_="sub-1")
    missed = row_of({**arrays, "mask": np.zeros_like(arrays["mask"])}, id_="sub-2")
    nothing = np.zeros_like(arrays["truth"])
    flagged = row_of({**arrays, "truth": nothing}, Kind.HEALTHY, "sub-3")
    clean = replace(flagged, id="sub-4", patient="sub-4", flagged=0.0, false_components=0.0)
    clean = replace(clean, score=0.1)
    figures = summarise([hit, missed, flagged, clean], draws=200)
    assert figures["dice_at_alpha"].value == hit.dice_at_alpha / 2
    assert figures["dice_at_alpha"].n == 2
    assert figures["lesion_recall"].value == 0.5
    assert figures["lesion_precision"].value == 0.5
    assert figures["lesion_f1"].value == 0.5
    assert figures["lesion_recall_medium"].value == 0.5
    assert np.isnan(figures["lesion_recall_large"].value)
    assert figures["false_components"].value == (1 + 0 + 2 + 0) / 4
    assert figures["healthy_flagged"].value == 0.5
    assert figures["scan_auroc"].value == (1 + 1 + 0.5 + 0.5) / 4
    assert figures["scan_auroc"].n == 4


def test_lesions_of_many_scans_are_pooled_by_size(arrays):
    lots = [
        Counts(volumes_ml=(0.5, 1.0, 12.0), detected=(False, True, True), components=2, false=0),
        Counts(volumes_ml=(0.2, 10.0), detected=(True, False), components=3, false=2),
    ]
    rows = [replace(row_of(arrays, id_=f"sub-{n}"), counts=lot) for n, lot in enumerate(lots)]
    figures = {name: one.value for name, one in summarise(rows, draws=10).items()}
    assert figures["lesion_recall"] == 3 / 5
    assert figures["lesion_recall_small"] == 1 / 2
    assert figures["lesion_recall_medium"] == 1 / 2
    assert figures["lesion_recall_large"] == 1
    assert figures["lesion_precision"] == 3 / 5
    assert figures["lesion_f1"] == pytest.approx(3 / 5)


def test_nothing_found_is_no_precision_and_no_f1(arrays):
    nothing = Counts(volumes_ml=(2.0,), detected=(False,), components=0, false=0)
    figures = summarise([replace(row_of(arrays), counts=nothing)], draws=10)
    assert figures["lesion_recall"].value == figures["lesion_f1"].value == 0
    assert np.isnan(figures["lesion_precision"].value)


def test_visits_are_drawn_with_their_patient(arrays):
    visits = [row_of(arrays, id_=f"sub-1_ses-{n}") for n in range(3)]
    figures = summarise(visits, draws=100)
    assert figures["auprc"].n == 3
    assert np.isnan(figures["auprc"].low)  # one patient has no interval


def test_a_row_has_every_figure_at_every_operating_point(arrays):
    row, brain, truth = row_of(arrays), arrays["brain"], arrays["truth"]
    score = arrays["anomaly"].astype(np.float32)
    counts = voxel.curve(score[brain], truth[brain])
    found = score >= counts.threshold[counts.dice.argmax()]
    assert row.precision_oracle == voxel.precision(found[brain], truth[brain])
    assert row.recall_oracle == voxel.recall(found[brain], truth[brain])
    assert row.specificity_oracle == voxel.specificity(found[brain], truth[brain])
    assert row.specificity_at_alpha == 1 - 1 / (brain & ~truth).sum()
    low_p = arrays["pvalue"] <= 0.01
    assert row.precision_at_fpr01 == voxel.precision(low_p, truth)
    assert row.recall_at_fpr01 == voxel.recall(low_p, truth)
    # All surface voxels but the speck at (8, 8, 6) lie within 1 mm: 1 of 10 is more than 5 %.
    assert row.hd95_mm == hausdorff95(arrays["mask"], truth, (0.5, 1.0, 1.0)) > 1


def test_a_healthy_scan_has_a_specificity_and_no_distance(arrays):
    row = row_of({**arrays, "truth": np.zeros_like(arrays["truth"])}, Kind.HEALTHY)
    assert row.specificity_at_alpha == 1 - 10 / arrays["brain"].sum()
    assert np.isnan([row.hd95_mm, row.precision_oracle, row.specificity_oracle]).all()
    assert summarise([row], draws=10)["healthy_specificity_at_alpha"].n == 1
