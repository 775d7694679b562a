"""A score in place of the method's own, from the recipe to what a result says."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import hale
from hale.core.errors import Refused
from hale.core.scan import Scan
from hale.pipeline.model import Model, load_model, save_model, score, summary
from hale.post.settings import PostProcessing, Score
from hale.recipe import build_recipe
from hale.report.methods_section import methods_paragraph

SHAPE = (16, 16, 12)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
AFFINE[:3, 3] = -15
SETTINGS = ["prep.mode=given", "prep.low=0", "prep.high=100", "calibration.alpha=0.2"]
LESION = np.s_[6:9, 6:9, 4:7]


def write_exam(folder: Path, number: int, *, lesion: bool = False) -> Path:
    """Write a ball of noise whose left half is noisier; a lesion is bright."""
    rng = np.random.default_rng(number)
    brain = ((np.indices(SHAPE) - np.array([7.5, 7.5, 5.5])[:, None, None, None]) ** 2).sum(0) < 30
    spread = np.where(np.indices(SHAPE)[0] < 8, 12, 3)
    values = np.where(brain, 100 + spread * rng.standard_normal(SHAPE), 0).astype(np.float32)
    values[7, 7, 2], values[8, 8, 9] = 40, 160  # the same range in every scan
    if lesion:
        values[LESION] += 40
    path = folder / f"sub-{number}/anat/sub-{number}_T1w.nii.gz"
    path.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(values, AFFINE), path)
    return path


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scores") / "healthy"
    splits = ["fit"] * 4 + ["standardise"] * 6 + ["calibrate"] * 5
    for number in range(len(splits)):
        write_exam(folder, number)
    lines = [f"sub-{number}\t{split}" for number, split in enumerate(splits)]
    (folder / "participants.tsv").write_text("\n".join(["participant_id\tsplit", *lines]) + "\n")
    return folder


def fit(cohort: Path, out: Path, name: str) -> Model:
    settings = [*SETTINGS, f"post.score={name}"]
    return hale.fit("atlas-default", data=cohort, out=out, settings=settings, device="cpu")


@pytest.fixture(scope="module")
def normative(cohort, tmp_path_factory) -> Model:
    return fit(cohort, tmp_path_factory.mktemp("fitted") / "model", "normative")


def test_the_result_is_called_by_method_and_score(cohort, tmp_path):
    model = fit(cohort, tmp_path / "model", "ssim_ens")
    found = hale.detect(model, write_exam(tmp_path / "ill", 99, lesion=True))
    assert found.provenance["method"] == "atlas+ssim_ens"
    assert "10.1109/42.938237; score: Behrendt et al. 2024, ISBI" in found.provenance["reference"]
    card = (tmp_path / "model/card.md").read_text()
    assert "`atlas+ssim_ens`" in card
    assert "arXiv:2403.14262" in card
    assert "scored by atlas+ssim_ens [" in methods_paragraph(found)
    inside = np.zeros(SHAPE, bool)
    inside[LESION] = True
    assert found.anomaly[inside].mean() > 3 * np.abs(found.anomaly[~inside & found.brain]).mean()


def test_samples_of_a_variational_autoencoder_are_scored_the_same_each_time(cohort, tmp_path):
    tiny = ["method.steps=3", "method.width=2", "method.latent=4", "method.batch=4"]
    settings = [*SETTINGS, *tiny, "post.samples=3"]
    model = hale.fit("vae-mhd-small", cohort, tmp_path / "m", settings=settings, device="cpu")
    exam = write_exam(tmp_path / "ill", 97, lesion=True)
    found, again = hale.detect(model, exam), hale.detect(hale.load(tmp_path / "m"), exam)
    assert found.provenance["method"] == "vae+mhd"
    assert np.array_equal(found.anomaly, again.anomaly)
    assert found.anomaly.any()


def test_the_own_score_adds_nothing_to_the_name():
    recipe = build_recipe({"method": {"name": "atlas"}})
    assert recipe.title == "atlas"
    assert "score" not in recipe.reference


def test_healthy_residuals_go_into_the_folder_and_come_back(normative, cohort, tmp_path):
    folder = tmp_path / "again"
    save_model(normative, folder)
    loaded = load_model(folder)
    assert loaded.sha256 == normative.sha256
    assert np.array_equal(loaded.residual.mean, normative.residual.mean)
    assert np.array_equal(loaded.residual.spread, normative.residual.spread)
    left, right = normative.residual.spread[0, 5:7, 8, 6], normative.residual.spread[0, 9:11, 8, 6]
    assert left.mean() > 1.3 * right.mean()
    ill = tmp_path / "ill"
    exam = write_exam(ill, 98, lesion=True)
    one, two = hale.detect(normative, exam), hale.detect(loaded, exam)
    assert np.array_equal(one.anomaly, two.anomaly)
    assert one.flagged


def test_a_model_without_calibration_is_refused_the_normative_score(normative):
    bare = replace(normative, calibration=None, residual=None)
    image, brain = np.zeros((1, *SHAPE), np.float32), np.ones(SHAPE, bool)
    scan = Scan(id="x", space=normative.space, image=image, brain=brain)
    with pytest.raises(Refused, match="the model knows no healthy residual"):
        score(bare, scan)


def test_other_scores_keep_no_residual(cohort, tmp_path):
    model = fit(cohort, tmp_path / "model", "l1")
    assert model.residual is None
    assert load_model(tmp_path / "model").residual is None


@pytest.mark.parametrize(("given", "level"), [(None, 499), (498, 498)])
def test_the_level_of_mhd_is_on_record(normative, given, level):
    recipe = replace(normative.recipe, post=PostProcessing(score=Score.MHD, level=given))
    told = summary(replace(normative, recipe=recipe))
    assert told["recipe"]["post"]["level"] == level
    assert told["method"] == "atlas+mhd"


@pytest.mark.parametrize(
    ("method", "name", "why"),
    [
        ("intensity", "ssim", "post.score = 'ssim': intensity makes no pseudo-healthy picture"),
        ("intensity", "normative", "intensity makes no pseudo-healthy picture"),
        ("atlas", "mhd", "post.score = 'mhd': atlas draws nothing"),
        ("ae", "mhd", "ae draws nothing: all its pictures of a scan are the same; take score"),
    ],
)
def test_a_score_that_a_method_cannot_have_is_refused_before_it_learns(method, name, why):
    with pytest.raises(Refused, match=why):
        build_recipe({"method": {"name": method}, "post": {"score": name}})
