import csv
import io
import json

import nibabel as nib
import numpy as np
import pytest
from rich.console import Console

from hale.core.errors import Refused
from hale.metrics import voxel
from hale.metrics.evaluation import Kind, Region
from hale.pipeline.evaluate import TITLES, evaluate, summary_of, table, write_evaluation

SHAPE = (12, 14, 10)
AFFINE = np.array([[0, 0, 2.0, -9], [-2.0, 0, 0, 11], [0, 2.0, 0, -13], [0, 0, 0, 1]])


def save(path, values, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)


def ball(centre, radius):
    return (
        sum((axis - c) ** 2 for axis, c in zip(np.indices(SHAPE), centre, strict=True)) <= radius**2
    )


BRAIN = ball((5.5, 6.5, 4.5), 5)
LESION = ball((5, 6, 4), 2)


def write_detection(folder, id_, *, seen=True, seed=0):
    """What detect writes: the lesion is in the map, and in the mask if ``seen``."""
    rng = np.random.default_rng(seed)
    anomaly = np.where(BRAIN, rng.random(SHAPE) + 2 * LESION * seen, 0).astype(np.float32)
    save(folder / id_ / "anomaly.nii.gz", anomaly)
    save(folder / id_ / "brain.nii.gz", BRAIN.astype(np.uint8))
    pvalue = np.where(anomaly > 2, 0.001, 1).astype(np.float32)
    save(folder / id_ / "pvalue.nii.gz", pvalue)
    save(folder / id_ / "mask.nii.gz", (anomaly > 2).astype(np.int16) * 3)
    (folder / id_ / "detection.json").write_text("{}", encoding="utf-8")
    return anomaly


def write_truth(folder, id_, lesion=LESION, name="desc-lesion_mask"):
    save(folder / id_ / "anat" / f"{id_}_{name}.nii.gz", lesion.astype(np.uint8))


@pytest.fixture
def maps(tmp_path):
    for number, seen in enumerate([True, True, False, False, True]):
        write_detection(tmp_path / "maps", f"sub-{number}", seen=seen, seed=number)
    return tmp_path / "maps"


@pytest.fixture
def truth(tmp_path):
    """Lesions in 0, 1, 2; 3 is healthy; of 4 nothing is known."""
    folder = tmp_path / "truth"
    for number in range(3):
        write_truth(folder, f"sub-{number}")
    rows = [
        "participant_id\tage\tlesion",
        "sub-0\t50\t4 ml +2 SD",
        "sub-3\t40\tnone",
        "sub-4\t\tn/a",
    ]
    (folder / "participants.tsv").write_text("\n".join(rows), encoding="utf-8")
    return folder


def test_a_cohort_is_scored(maps, truth):
    result = evaluate(maps, truth, draws=200)
    assert [row.id for row in result.cases] == ["sub-0", "sub-1", "sub-2", "sub-3"]
    assert [row.kind for row in result.cases] == [Kind.LESION] * 3 + [Kind.HEALTHY]
    assert result.unmatched == ("sub-4",)
    assert result.empty == ()
    first, _, unseen, healthy = result.cases
    assert first.auprc == first.best_dice_oracle == first.dice_at_alpha == 1
    assert first.dice_at_fpr01 == 1
    assert first.hd95_mm == 0
    assert np.isnan(unseen.hd95_mm)
    assert first.lesion_ml == pytest.approx(LESION.sum() * 0.008)
    assert unseen.dice_at_alpha == 0
    assert healthy.flagged == 0
    figures = result.summary
    assert figures["dice_at_alpha"].value == pytest.approx(2 / 3)
    assert figures["lesion_recall"].value == pytest.approx(2 / 3)
    assert figures["healthy_flagged"].value == 0
    assert figures["healthy_flagged"].n == 1
    assert figures["false_components"].value == 0
    assert figures["best_dice_pooled_oracle"].value > 0.7
    for name in ("auprc_pooled", "auroc_pooled", "best_dice_pooled_oracle"):
        assert figures[name].n == 3
        assert figures[name].low <= figures[name].value <= figures[name].high
    assert figures["froc_4"].n == 4  # the healthy scan's false findings count too
    assert 2 / 3 <= figures["froc_05"].value <= figures["froc_4"].value


def test_a_lesion_that_the_brain_lost_is_missed_in_the_pooled_figures_too(tmp_path):
    lost = ball((1, 1, 1), 1) & ~BRAIN
    write_detection(tmp_path / "maps", "sub-0", seen=False)
    z = np.where(BRAIN, np.random.default_rng(0).normal(size=SHAPE) - 1, 0).astype(np.float32)
    save(tmp_path / "maps" / "sub-0" / "anomaly.nii.gz", z)  # 0 outside outranks most of z
    write_truth(tmp_path / "truth", "sub-0", lost)
    summary = evaluate(tmp_path / "maps", tmp_path / "truth").summary
    share = lost.sum() / (BRAIN | lost).sum()
    assert lost.any()
    assert summary["auprc_pooled"].value == pytest.approx(share)
    assert summary["auprc"].value == pytest.approx(share)


def test_the_same_maps_give_the_same_figures(maps, truth):
    first, again = evaluate(maps, truth, draws=100), evaluate(maps, truth, draws=100)
    assert json.dumps(summary_of(first)) == json.dumps(summary_of(again))


def test_axes_of_the_mask_may_differ_if_its_voxels_do_not(maps, truth):
    path = truth / "sub-0/anat/sub-0_desc-lesion_mask.nii.gz"
    image = nib.as_closest_canonical(nib.load(path))
    save(path, np.asarray(image.dataobj), image.affine)
    assert image.shape != SHAPE
    assert evaluate(maps, truth, draws=10).cases[0].auprc == 1


def test_foreign_maps_lie_flat(tmp_path, truth):
    score = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    save(tmp_path / "theirs/sub-0.nii.gz", score)
    result = evaluate(tmp_path / "theirs", truth, draws=10)
    (row,) = result.cases
    assert row.region is Region.GRID
    assert row.auprc == voxel.average_precision(score, LESION)
    assert np.isnan([row.dice_at_alpha, row.dice_at_fpr01, row.flagged]).all()
    assert np.isnan(result.summary["lesion_recall"].value)
    write_truth(truth, "sub-0", BRAIN, "desc-brain_mask")
    (row,) = evaluate(tmp_path / "theirs", truth, draws=10).cases
    assert row.region is Region.BRAIN
    assert row.auprc == voxel.average_precision(score[BRAIN], LESION[BRAIN])


@pytest.mark.parametrize("name", ["a_seg.nii.gz", "a.nii.gz", "deep/a_label-lesion_mask.nii.gz"])
def test_masks_may_be_named_as_others_do(tmp_path, name):
    save(tmp_path / "maps/a.nii.gz", LESION.astype(np.float32))
    save(tmp_path / "truth" / name, LESION.astype(np.uint8))
    assert evaluate(tmp_path / "maps", tmp_path / "truth", draws=10).cases[0].auprc == 1


def test_an_id_that_begins_another_is_not_it(tmp_path):
    for id_ in ("sub-1", "sub-12"):
        save(tmp_path / f"maps/{id_}.nii.gz", LESION.astype(np.float32))
    write_truth(tmp_path / "truth", "sub-12")
    result = evaluate(tmp_path / "maps", tmp_path / "truth", draws=10)
    assert [row.id for row in result.cases] == ["sub-12"]
    assert result.unmatched == ("sub-1",)


def test_maps_may_lie_inside_the_truth_folder(truth):
    save(truth / "maps/sub-0.nii.gz", LESION.astype(np.float32))
    save(truth / "maps/sub-9.nii.gz", LESION.astype(np.float32))
    result = evaluate(truth / "maps", truth, draws=10)
    assert [row.id for row in result.cases] == ["sub-0"]
    assert result.unmatched == ("sub-9",)


def test_the_user_can_say_who_is_healthy(maps, truth):
    result = evaluate(maps, truth, healthy=["sub-4"], draws=10)
    assert result.unmatched == ()
    assert result.cases[-1].kind is Kind.HEALTHY
    assert result.summary["healthy_flagged"].value == 0.5
    everyone = evaluate(maps, truth, healthy=["*"], draws=10)
    kinds = [row.kind for row in everyone.cases]
    assert kinds == [Kind.LESION] * 3 + [Kind.HEALTHY] * 2  # a mask outweighs a pattern
    with pytest.raises(Refused, match="names no map"):
        evaluate(maps, truth, healthy=["sub-7*"])


def test_visits_take_the_word_of_their_person(tmp_path, truth):
    save(tmp_path / "maps/sub-3_ses-2.nii.gz", LESION.astype(np.float32))
    (row,) = evaluate(tmp_path / "maps", truth, draws=10).cases
    assert (row.kind, row.patient) == (Kind.HEALTHY, "sub-3")


def test_the_mask_of_a_visit_is_no_other_scan_s(tmp_path):
    save(tmp_path / "maps/sub-01.nii.gz", LESION.astype(np.float32))
    write_truth(tmp_path / "truth", "sub-01_ses-02")
    with pytest.raises(Refused, match="no reference mask for any of 1 maps, such as sub-01;"):
        evaluate(tmp_path / "maps", tmp_path / "truth", draws=10)
    save(tmp_path / "maps/sub-01_ses-02.nii.gz", LESION.astype(np.float32))
    save(tmp_path / "maps/sub-01_ses-03.nii.gz", LESION.astype(np.float32))
    result = evaluate(tmp_path / "maps", tmp_path / "truth", draws=10)
    assert [row.id for row in result.cases] == ["sub-01_ses-02"]
    assert result.unmatched == ("sub-01", "sub-01_ses-03")
    write_truth(tmp_path / "truth", "sub-01")
    write_truth(tmp_path / "truth", "sub-01_ses-02", BRAIN, "desc-brain_mask")
    first, second = evaluate(tmp_path / "maps", tmp_path / "truth", draws=10).cases
    assert (first.id, first.region) == ("sub-01", Region.GRID)
    assert (second.id, second.region) == ("sub-01_ses-02", Region.BRAIN)


def test_an_empty_mask_is_named_and_not_called_healthy(maps, truth):
    write_truth(truth, "sub-4", np.zeros(SHAPE, bool))
    result = evaluate(maps, truth, draws=10)
    assert result.empty == ("sub-4",)
    assert result.cases[-1].kind is Kind.EMPTY
    assert np.isnan(result.cases[-1].auprc)
    assert result.summary["healthy_flagged"].n == 1
    assert "sub-4" in printed(table(result))


def test_a_mask_that_is_not_binary_is_refused(maps, truth):
    write_truth(truth, "sub-1", LESION * 2.0)
    with pytest.raises(Refused, match=r"sub-1_desc-lesion_mask.*such as 2"):
        evaluate(maps, truth)


@pytest.mark.parametrize(
    ("shape", "shift", "why"),
    [(SHAPE, 1.0, "origins 1 mm apart"), ((3, 3, 3), 0.0, "is .3, 3, 3.")],
)
def test_a_mask_on_another_grid_is_refused(maps, truth, shape, shift, why):
    affine = AFFINE.copy()
    affine[0, 3] += shift
    save(truth / "sub-1/anat/sub-1_desc-lesion_mask.nii.gz", np.ones(shape, np.uint8), affine)
    with pytest.raises(Refused, match=f"sub-1_desc-lesion_mask.*{why}"):
        evaluate(maps, truth)


def test_two_masks_for_an_id_are_refused(maps, truth):
    write_truth(truth, "sub-1", name="run-2_desc-lesion_mask")
    with pytest.raises(Refused, match=r"sub-1: has more than one mask: .* and "):
        evaluate(maps, truth)


def test_two_maps_for_an_id_are_refused(maps, truth):
    write_detection(maps / "again", "sub-1")
    with pytest.raises(Refused, match="two maps are of sub-1"):
        evaluate(maps, truth)


def test_a_lesion_in_a_healthy_scan_is_refused(maps, truth):
    write_truth(truth, "sub-3")
    with pytest.raises(Refused, match="says healthy"):
        evaluate(maps, truth)


def test_damage_is_refused_by_name(maps, truth):
    broken = maps / "sub-0/anomaly.nii.gz"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:200])
    with pytest.raises(Refused, match=r"sub-0.anomaly.*cannot be read"):
        evaluate(maps, truth)
    save(broken, np.full(SHAPE, np.nan, np.float32))
    with pytest.raises(Refused, match=r"sub-0.anomaly.*NaN"):
        evaluate(maps, truth)
    save(broken, np.zeros((*SHAPE, 2), np.float32))
    with pytest.raises(Refused, match="4 dimensions"):
        evaluate(maps, truth)
    save(broken, np.zeros((*SHAPE, 1), np.float32))
    assert evaluate(maps, truth, draws=10).cases[0].auroc == 0.5


def test_nothing_to_score_is_refused(tmp_path, maps, truth):
    (tmp_path / "bare").mkdir()
    with pytest.raises(Refused, match="holds no anomaly map"):
        evaluate(tmp_path / "bare", truth)
    with pytest.raises(Refused, match="no reference mask for any of 5 maps"):
        evaluate(maps, tmp_path / "bare")
    with pytest.raises(Refused, match="is not a folder"):
        evaluate(tmp_path / "nowhere", truth)
    with pytest.raises(Refused, match="is not a folder"):
        evaluate(maps, tmp_path / "nowhere")


def printed(what):
    console = Console(width=120, file=io.StringIO())
    console.print(what)
    return console.file.getvalue()


def test_results_are_written_and_shown(tmp_path, maps, truth):
    result = evaluate(maps, truth, draws=100)
    write_evaluation(tmp_path / "out", result)
    with (tmp_path / "out/cases.tsv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    assert [row["id"] for row in rows] == ["sub-0", "sub-1", "sub-2", "sub-3"]
    assert rows[0]["dice_at_alpha"] == "1"
    assert rows[3]["dice_at_alpha"] == "n/a"
    assert "counts" not in rows[0]
    summary = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert summary["figures"]["dice_at_alpha"]["value"] == pytest.approx(2 / 3)
    assert summary["figures"]["lesion_recall_large"]["value"] is None
    assert summary["cases"] == {"lesion": 3, "healthy": 1, "empty mask": 0}
    assert summary["unmatched"] == ["sub-4"]
    text = printed(table(result))
    assert "best Dice, threshold per scan (oracle)" in text
    assert "sub-4" in text
    assert "nan" not in text


def test_every_figure_has_a_title(maps, truth):
    assert set(evaluate(maps, truth, draws=10).summary) == set(TITLES)
