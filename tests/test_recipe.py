"""What a recipe may say: everything else is refused by name, in one line."""

import re
import tomllib

import pytest
import tomli_w

from hale.core.errors import Refused
from hale.recipe import (
    Recipe,
    StageRecipe,
    build_recipe,
    build_stage,
    bundled,
    read_any,
    read_recipe,
    read_stage,
)

ATLAS = '[method]\nname = "atlas"\n'
AE = '[method]\nname = "ae"\n'
DAE = '[method]\nname = "dae"\n'
DDPM = '[method]\nname = "ddpm"\n'
SPARK = '[method]\nname = "spark"\n'
ASYMMETRY = '[method]\nname = "asymmetry"\n'


def read(tmp_path, text, *settings) -> Recipe:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path, settings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('method = "atlas"', "method: is no table"),
        ("", "names no method"),
        ('[method]\nname = ["atlas"]', "there is no method ['atlas']"),
        ('[method]\nname = "mine"', "there is no method 'mine'"),
        ("prep = 3\n" + ATLAS, "prep: is no table"),
        ("post = []\n" + ATLAS, "post: is no table"),
        ('colour = "red"\n' + ATLAS, "unknown key 'colour'"),
        ('base = "model"\n' + ATLAS, "base: atlas builds on no fitted model"),
        ("base = 3\n" + ATLAS, "base: input should be a valid string"),
        ('pretrained = "spark"\n' + ATLAS, "pretrained: atlas starts from no pretrained encoder"),
        (SPARK, "spark is a pretraining stage, no method; run `hale pretrain`"),
        ("seed = -1\n" + ATLAS, "seed: input should be greater than or equal to 0"),
        ("seed = 9223372036854775808\n" + ATLAS, "seed: input should be less than"),
        ("seed = 0.5\n" + ATLAS, "seed: input should be a valid integer"),
        (ATLAS + '[prep]\nslots = [["t1"]]', "slots.0.0: input should be 'T1w',"),
        (ATLAS + "wide = 3", "[method]: wide: unexpected keyword argument"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_in_one_line(tmp_path, text, said):
    with pytest.raises(Refused, match=re.escape(said)) as refusal:
        read(tmp_path, text)
    assert str(refusal.value).startswith(str(tmp_path / "mine.toml"))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no pretraining stage; set method.name to one of spark"),
        ('[method]\nname = "mine"', "there is no pretraining stage 'mine'"),
        (ATLAS, "atlas is a method, no pretraining stage; run `hale fit`"),
        (ATLAS + "[post]\nmedian = 5", "atlas is a method"),
        (SPARK + "[post]\nmedian = 5", "unknown key 'post'"),
        ('pretrained = "x"\n' + SPARK, "unknown key 'pretrained'"),
        (SPARK + "mask_ratio = 1", "[method]: mask_ratio: input should be less than 1"),
        (SPARK + "blocks = [3, 4]", "[method]: blocks: tuple should have at least 4 items"),
        (SPARK + "depth = 3", "[method]: depth: unexpected keyword argument"),
    ],
)
def test_a_stage_that_cannot_be_is_refused_in_one_line(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=re.escape(said)) as refusal:
        read_stage(path)
    assert "\n" not in str(refusal.value)


AT_LEAST_0 = "input should be greater than or equal to 0"
AT_LEAST_1 = "input should be greater than or equal to 1"
ABOVE_0 = "input should be greater than 0"
AT_MOST_1 = "input should be less than or equal to 1"
AT_MOST_100 = "input should be less than or equal to 100"
BELOW_1 = "input should be less than 1"
FINITE = "input should be a finite number"


@pytest.mark.parametrize(
    ("text", "setting", "why"),
    [
        (AE, "method.latent=0", AT_LEAST_1),
        (AE, "method.width=1", "input should be greater than or equal to 2"),
        (AE, "method.dropout=1", BELOW_1),
        (AE, "method.dropout=-0.1", AT_LEAST_0),
        (AE, "method.lr=0", ABOVE_0),
        (AE, "method.lr=inf", FINITE),
        (AE, "method.batch=0", AT_LEAST_1),
        (AE, "method.steps=0", AT_LEAST_1),
        (AE, "method.validate_every=0", AT_LEAST_1),
        (AE, "method.validate_slices=0", AT_LEAST_1),
        (DAE, "method.noise=-1", AT_LEAST_0),
        (DAE, "method.cell=0", AT_LEAST_1),
        (DAE, "method.width=0", AT_LEAST_1),
        (DDPM, "method.width=15", "input should be a multiple of 2"),
        (DAE, "method.lr=-1e-3", ABOVE_0),
        (DAE, "method.weight_decay=-1", AT_LEAST_0),
        (DAE, "method.batch=-2", AT_LEAST_1),
        (DAE, "method.steps=-2", AT_LEAST_1),
        (ATLAS, "method.floor=0", ABOVE_0),
        (ASYMMETRY, "method.smooth_mm=-1", AT_LEAST_0),
        (ATLAS, "prep.slots=[]", "give one or more, each with a contrast, such as [['T1w']]"),
        (ATLAS, 'prep.slots=[["T1w"], []]', "give one or more, each with a contrast"),
        (ATLAS, "prep.spacing_mm=0", ABOVE_0),
        (ATLAS, "prep.spacing_mm=nan", FINITE),
        (ATLAS, "prep.shape=[96, 96, 1]", "96 x 96 x 1 voxels; give 8 or more along each axis"),
        (ATLAS, "prep.shape=[-96, 96, 80]", "-96 x 96 x 80 voxels"),
        (ATLAS, "prep.low=-1", AT_LEAST_0),
        (ATLAS, "prep.high=101", AT_MOST_100),
        (ATLAS, "prep.low=99", "99 is not below high = 99"),
        (ATLAS, "prep.min_overlap=1.1", AT_MOST_1),
        (ATLAS, "prep.min_overlap=-0.1", AT_LEAST_0),
        (ATLAS, "prep.min_resemblance=2", AT_MOST_1),
        (ATLAS, "prep.min_resemblance=-0.1", AT_LEAST_0),
        (ATLAS, "post.erode=-1", AT_LEAST_0),
        (ATLAS, "post.smooth_mm=-1", AT_LEAST_0),
        (ATLAS, "post.median=-3", AT_LEAST_0),
        (ATLAS, "post.median=4", "4 is even; give an odd width, or 0 for none"),
        (ATLAS, "calibration.z0=0", ABOVE_0),
        (ATLAS, "calibration.z0=inf", FINITE),
        (ATLAS, "calibration.z0=nan", FINITE),
        (ATLAS, "calibration.smooth_mm=-1", AT_LEAST_0),
        (ATLAS, "calibration.floor=0", ABOVE_0),
        (ATLAS, "cohort.held_out=1", BELOW_1),
        (ATLAS, "cohort.held_out=-0.1", AT_LEAST_0),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(tmp_path, text, setting, why):
    section, _, key = setting.partition("=")[0].partition(".")
    with pytest.raises(Refused, match=re.escape(f"mine.toml: [{section}]: {key}: {why}")) as no:
        read(tmp_path, text, setting)
    assert "\n" not in str(no.value)


@pytest.mark.parametrize(
    "setting",
    [
        "post.median=1",
        "cohort.held_out=0",
        "prep.low=0",
        "prep.min_overlap=0",
        "prep.shape=[8, 8, 8]",
        "calibration.smooth_mm=0",
        "seed=0",
    ],
)
def test_the_ends_of_the_ranges_are_taken(tmp_path, setting):
    read(tmp_path, ATLAS, setting)


def test_the_grid_of_given_scans_may_be_one_slice(tmp_path):
    settings = ('prep.mode="given"', "prep.shape=[96, 96, 1]")
    assert read(tmp_path, ATLAS, *settings).prep.shape == (96, 96, 1)


@pytest.mark.parametrize("name", bundled())
def test_a_bundled_recipe_reads_and_resolves_to_itself(name):
    recipe = read_any(bundled()[name])
    build = build_stage if isinstance(recipe, StageRecipe) else build_recipe
    resolved = recipe.resolved()
    assert build(resolved) == recipe
    assert build(tomllib.loads(tomli_w.dumps(resolved))) == recipe


@pytest.mark.parametrize("normalise", ["robust_z", "none"])
def test_a_similarity_of_unscaled_intensities_is_refused(normalise):
    table = {"method": {"name": "vae"}, "prep": {"normalise": normalise}}
    assert build_recipe({**table, "post": {"score": "l1"}})
    for score in ("ssim", "ssim_ens", "mhd"):
        with pytest.raises(Refused, match="takes intensities of 0 to 1"):
            build_recipe({**table, "post": {"score": score}})
