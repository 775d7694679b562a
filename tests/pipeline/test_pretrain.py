"""A pretrained encoder: written, read, refused, and what a fit makes of it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from safetensors.numpy import load_file

from hale.core.errors import Refused
from hale.core.run import Precision
from hale.io.model import MANIFEST, PROVENANCE, STATE
from hale.pipeline.calibrate import recalibrate
from hale.pipeline.fit import fit
from hale.pipeline.grant import Beside
from hale.pipeline.job import Options
from hale.pipeline.model import load_model
from hale.pipeline.pretrain import pretrain
from hale.pipeline.pretrained import Pretrained, load_pretrained
from hale.pipeline.seen import files_seen
from hale.pipeline.workers import Crew
from hale.recipe import Recipe, StageRecipe, build_recipe, build_stage

GIVEN = {"mode": "given"}
BLOCKS = [1, 1, 1, 1]
OPTIONS = Options(device="cpu", precision=Precision.FULL, crew=Crew(workers=1))
SPLITS = ("fit",) * 3 + ("standardise",) * 3 + ("calibrate",) * 3 + ("test",)


def stage(**settings) -> StageRecipe:
    tiny = {"width": 4, "blocks": BLOCKS, "batch": 2, "steps": 2, "drop": 0.0, **settings}
    return build_stage({"seed": 1, "prep": GIVEN, "method": {"name": "spark", **tiny}})


def cddpm(pretrained: Path | str, *, prep: dict | None = None, **settings) -> Recipe:
    """A model that learns for one step, at a rate that changes nothing."""
    tiny = {"width": 8, "multipliers": [1], "blocks": 1, "condition": 4, "levels": [499]}
    encoder = {"encoder_width": 4, "encoder_blocks": BLOCKS}
    brief = {"batch": 2, "steps": 1, "lr": 1e-30, "validate_slices": 1, "augment": False}
    method = {"name": "cddpm", **tiny, **encoder, **brief, **settings}
    table = {"prep": prep or GIVEN, "calibration": {"alpha": 0.25}, "method": method}
    return build_recipe({**table, "pretrained": str(pretrained)})


def write(folder: Path, name: str, seed: int) -> None:
    """A ball of brain with noise, 40 x 40 pixels and four slices."""
    rng = np.random.default_rng(seed)
    i, j, _ = np.indices((40, 40, 4))
    brain = (i - 19.5) ** 2 + (j - 19.5) ** 2 < 300
    path = folder / f"{name}/anat/{name}_T1w.nii.gz"
    path.parent.mkdir(parents=True)
    image = np.where(brain, 100 + i + 10 * rng.random(brain.shape), 0).astype(np.float32)
    nib.save(nib.Nifti1Image(image, np.diag([4.0, 4, 4, 1])), path)


def table(folder: Path, splits: tuple[str, ...], *, people: dict[str, str] | None = None) -> None:
    names = [f"sub-{n:02}" for n in range(len(splits))]
    rows = [f"{n}\t{(people or {}).get(n, n)}\t{s}" for n, s in zip(names, splits, strict=True)]
    text = "\n".join(["participant_id\tperson\tsplit", *rows])
    (folder / "participants.tsv").write_text(f"{text}\n", encoding="utf-8")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pretrain") / "healthy"
    for n in range(len(SPLITS)):
        write(folder, f"sub-{n:02}", n)
    table(folder, SPLITS)
    return folder


@pytest.fixture(scope="module")
def spark(cohort) -> Path:
    out = cohort.parent / "spark"
    pretrain(stage(), cohort, out, OPTIONS)
    return out


@pytest.fixture(scope="module")
def model(cohort, spark) -> Path:
    """Fitted; the folder of its encoder is gone since."""
    there = shutil.copytree(spark, cohort.parent / "taken")
    out = cohort.parent / "model"
    fit(cddpm(there), cohort, out, OPTIONS)
    shutil.rmtree(there)
    return out


def test_the_folder_says_whom_it_has_seen_and_is_read_as_it_was_written(cohort, spark):
    kept = load_pretrained(spark)
    assert isinstance(kept, Pretrained)
    assert kept.recipe == stage()
    assert kept.space.grid.shape == (40, 40, 4)
    record = kept.provenance["fit"]
    assert record["people"] == record["scans"] == ["sub-00", "sub-01", "sub-02"]
    assert [len(files) for files in record["sha256"].values()] == [1, 1, 1]
    assert (record["data"], record["steps_done"], record["finished"]) == ("healthy", 2, True)
    assert set(json.loads((spark / MANIFEST).read_text())["files"]) == {
        path.name for path in spark.iterdir() if path.name != MANIFEST
    }
    card = (spark / "card.md").read_text()
    assert "finds nothing by itself" in card
    assert "3 healthy scans of `healthy`" in card
    assert not spark.with_name("spark.fitting").exists()


def test_the_same_recipe_and_scans_give_the_same_encoder(cohort, spark, tmp_path):
    again = pretrain(stage(), cohort, tmp_path / "again", OPTIONS)
    assert (tmp_path / "again" / STATE).read_bytes() == (spark / STATE).read_bytes()
    assert again.state.keys() == load_file(spark / STATE).keys()
    assert not any(name.startswith("fc.") for name in again.state)


def test_a_fit_starts_from_it_and_says_so(spark, model):
    """The rate is all but 0, so the weights of the encoder are still the pretrained ones."""
    taught, state = load_file(spark / STATE), load_file(model / STATE)
    moved = ("running_mean", "running_var")  # by the one step of training
    for name, array in taught.items():
        if not name.endswith(moved):
            np.testing.assert_array_equal(state[f"encoder.{name}"], array)
    own = {name for name in state if name.startswith("encoder.")}
    assert own - {f"encoder.{name}" for name in taught} == {"encoder.fc.weight", "encoder.fc.bias"}
    told = json.loads((model / PROVENANCE).read_text())["pretrained"]
    assert told["sha256"] == load_pretrained(spark).sha256
    assert told["source"].endswith("taken")
    assert told["recipe"]["method"]["name"] == "spark"
    assert set(told["fit"]["sha256"]) == {"sub-00", "sub-01", "sub-02"}
    assert "pretrained (`spark`) on 3 scans of `healthy`" in (model / "card.md").read_text()


def test_the_model_needs_the_folder_no_more(model):
    kept = load_model(model)
    assert kept.recipe.pretrained.endswith("taken")
    assert not Path(kept.recipe.pretrained).exists()


@pytest.mark.parametrize("split", ["standardise", "calibrate", "test"])
def test_an_encoder_that_has_seen_who_is_apart_is_refused(split, cohort, spark, tmp_path):
    """sub-00 was learnt from; this fit is given the same scans under other names."""
    data = tmp_path / "other"
    for n in range(len(SPLITS)):
        source = cohort / f"sub-{n:02}/anat/sub-{n:02}_T1w.nii.gz"
        path = data / f"sub-{9 - n:02}/anat/sub-{9 - n:02}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        shutil.copy(source, path)
    table(data, ("test", *SPLITS[3:9], "fit", "fit", split))
    said = rf"pretrained .*spark: has learnt from sub-09, which is {split} here; give both fits"
    with pytest.raises(Refused, match=said):
        fit(cddpm(spark), data, tmp_path / "model", OPTIONS)
    assert not (tmp_path / "model").exists()


def test_another_exam_of_somebody_it_has_seen_is_refused(cohort, spark, tmp_path):
    data = shutil.copytree(cohort, tmp_path / "healthy")
    shutil.rmtree(data / "sub-00")
    write(data, "sub-00", 77)  # a new scan of a person learnt from, who is tested on now
    table(data, ("test", *SPLITS[1:]))
    with pytest.raises(Refused, match="has learnt from sub-00, which is test here"):
        fit(cddpm(spark), data, tmp_path / "model", OPTIONS)


def test_a_name_in_another_cohort_is_another_person(spark, tmp_path):
    """The fit goes on to what is wrong with it otherwise: nobody stands for alpha."""
    data = tmp_path / "elsewhere"
    for n in range(10):
        write(data, f"sub-{n:02}", 100 + n)
    table(data, ("calibrate",) * 3 + ("standardise",) * 3 + ("fit",) * 4)
    wrong = replace(cddpm(spark), method=cddpm(spark, encoder_width=2).method)
    with pytest.raises(Refused, match=r"is \(4,\), this recipe's is \(2,\)"):
        fit(wrong, data, tmp_path / "model", OPTIONS)


def test_a_model_is_not_calibrated_on_whom_its_encoder_has_seen(cohort, model, tmp_path):
    """The fit itself saw nobody twice; its encoder's scans come back as a site's."""
    kept = load_model(model)
    fitted = {**kept.provenance["fit"], "sha256": {}}
    kept = replace(kept, provenance={**kept.provenance, "fit": fitted})
    data = shutil.copytree(cohort, tmp_path / "site")
    table(data, ("calibrate",) * 5 + ("standardise",) * 5)
    with pytest.raises(Refused, match=r"was fitted on 3 of its scans \(sub-00"):
        recalibrate(kept, data, tmp_path / "model", OPTIONS)


def damage(folder: Path) -> None:
    path = folder / STATE
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (shutil.rmtree, "there is no such folder; give the folder of a `hale pretrain`"),
        (lambda folder: (folder / MANIFEST).unlink(), "it has no manifest.json"),
        (lambda folder: (folder / STATE).unlink(), "its state.safetensors is missing"),
        (damage, "its state.safetensors is damaged or was altered"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(harm, said, cohort, spark, tmp_path):
    folder = shutil.copytree(spark, tmp_path / "spark")
    harm(folder)
    with pytest.raises(Refused) as refusal:
        fit(cddpm(folder), cohort, tmp_path / "model", OPTIONS)
    assert str(refusal.value).startswith(f"pretrained {folder}: ")
    assert said in str(refusal.value)


def test_a_model_is_no_encoder_and_an_encoder_no_model(cohort, spark, model, tmp_path):
    with pytest.raises(Refused, match="cddpm is a method, no pretraining stage; give the folder"):
        fit(cddpm(model), cohort, tmp_path / "model", OPTIONS)
    with pytest.raises(Refused, match="spark is a pretraining stage, no method"):
        load_model(spark)


@pytest.mark.parametrize(
    ("prep", "said"),
    [
        ({"coarsen": 2}, "its prep.coarsen is 1, this recipe's is 2"),
        ({"high": 98.0}, "its prep.high is 99.0, this recipe's is 98.0"),
        ({"slots": [["T1w", "FLAIR"]]}, "its prep.slots is"),
    ],
)
def test_an_encoder_that_saw_scans_otherwise_is_refused(prep, said, cohort, spark, tmp_path):
    with pytest.raises(Refused, match="prepare both alike, or take another") as refusal:
        fit(cddpm(spark, prep={**GIVEN, **prep}), cohort, tmp_path / "model", OPTIONS)
    assert said in str(refusal.value)


def test_an_encoder_of_another_architecture_is_refused_by_its_first_array(cohort, spark, tmp_path):
    recipe = cddpm(spark, encoder_blocks=[1, 2, 1, 1])
    with pytest.raises(Refused, match=r"'layer2\.1\.bn1\.bias': is missing; take an encoder"):
        fit(recipe, cohort, tmp_path / "model", OPTIONS)


def test_too_few_people_to_learn_from_are_refused(cohort, tmp_path):
    data = shutil.copytree(cohort, tmp_path / "healthy")
    table(data, ("fit", *("test",) * 9))
    with pytest.raises(Refused, match="1 scans to fit on; give 2 or more"):
        pretrain(stage(), data, tmp_path / "spark", OPTIONS)


def test_what_is_built_on_the_model_knows_whom_its_encoder_has_seen(model):
    base = load_model(model)
    told = {"fit": {}, **Beside(base=base).record(base.recipe)}
    without = {"fit": {}, "base": {**told["base"], "fit": {}}}
    assert len(files_seen(without)) == 3
