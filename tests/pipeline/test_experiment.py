"""Files of published experiments: each can be read, and its recipes are those of its paper."""

from pathlib import Path

import pytest

from hale.cli.app import run
from hale.core.errors import Refused
from hale.core.scan import Contrast
from hale.pipeline.experiment import (
    Patients,
    Policy,
    Spread,
    experiments,
    read_experiment,
    recipes_of,
)
from hale.post.components import SMALLEST_IN_TEXT_MM3, SMALLEST_MM3
from hale.prep.settings import MNI152

PLACE = Path("/nowhere/fold0")
NAMES = sorted(experiments())
TABLE = {
    # arXiv:2312.04215, version 1: Dice / AUPRC of BraTS21, MSLUB, ATLAS, WMH
    "thresh": (19.69, 20.27, 6.21, 4.23, 4.41, 1.71, 9.38, 4.72),
    "fanogan": (23.99, 21.08, 4.86, 3.77, 9.91, 9.17, 6.25, 3.45),
    "vae": (28.81, 25.72, 6.16, 4.46, 15.08, 15.27, 5.23, 4.16),
    "svae": (31.93, 30.30, 6.04, 4.81, 10.49, 10.06, 6.64, 3.11),
    "ae": (31.51, 28.80, 7.23, 5.71, 14.91, 14.76, 4.53, 4.16),
    "dae": (45.37, 49.38, 3.88, 4.47, 8.53, 12.45, 7.31, 6.32),
    "ddpm": (44.50, 50.73, 6.46, 6.31, 14.67, 17.56, 9.63, 8.12),
    "pddpm": (49.78, 55.10, 9.21, 10.11, 13.24, 17.76, 7.97, 7.65),
    "cddpm": (53.37, 58.84, 11.51, 11.13, 19.99, 22.21, 9.88, 9.33),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_experiment_reads_and_its_recipes_build(name):
    experiment = read_experiment(name)
    recipes = recipes_of(experiment, PLACE, None)
    each = [r for r in (recipes.pretrained, recipes.base, recipes.model) if r is not None]
    for recipe in each:
        assert recipe.prep == recipes.model.prep
    prep = recipes.model.prep
    assert prep.slots == ((experiment.contrast,),)
    assert (prep.shape, prep.spacing_mm, prep.curvature_flow) == ((96, 96, 50), 2.0, 3)
    assert (prep.low, prep.high, prep.template) == (1.0, 99.0, MNI152)
    assert experiment.thresholds == (Policy.BEST_VAL, Policy.HEALTHY_FPR, Policy.ORACLE)
    assert name.endswith({Contrast.T1W: "t1", Contrast.T2W: "t2"}[experiment.contrast])
    last = recipes.model if recipes.base is None else recipes.base
    assert last.pretrained == (str(PLACE / "pretrained") if experiment.pretrain else "")
    assert recipes.model.base == (str(PLACE / "base") if experiment.base else "")


@pytest.mark.parametrize("name", NAMES)
def test_components_are_dropped_as_text_and_code_say(name):
    experiment = read_experiment(name)
    after = name.startswith(("sadm", "cddpm-mhd"))  # these drop none
    from_code = bool(experiment.command) or "released" in name
    size = SMALLEST_MM3 if from_code else SMALLEST_IN_TEXT_MM3
    assert experiment.smallest_mm3 == (0.0 if after else size)


@pytest.mark.parametrize(("method", "numbers"), TABLE.items())
def test_published_figures_are_those_of_the_table(method, numbers):
    found = []
    for tag in ("t2", "t1"):
        experiment = read_experiment(f"{method}-2025-{tag}")
        for patients in experiment.patients:
            figures = experiment.published[patients]
            found += [figures.of("dice").mean, figures.of("auprc").mean]
    assert tuple(found) == numbers


def test_the_variants_of_the_conditioned_model_differ_as_they_should():
    def built(name):
        return recipes_of(read_experiment(name), PLACE, None)

    full, scratch = built("cddpm-2025-t2"), built("cddpm-2025-scratch-t2")
    assert full.model.method == scratch.model.method
    assert (full.pretrained is None, scratch.pretrained is None) == (False, True)
    assert full.model.method.levels == (249, 499, 749)
    assert built("cddpm-2025-level1-t2").model.method.levels == (499,)
    assert (full.model.method.condition, full.model.method.condition_mlp) == (128, False)
    released = built("cddpm-2025-released-t2").model
    assert (released.method.condition, released.post.order) == (512, "erode_first")
    # the public code of 2023 adds the embedding and leaves intensities; that of 2025 does neither
    old, new = built("ddpm-2023-released-t2").model, built("ddpm-2025-released-t2").model
    assert (old.method.embedding, old.method.augment) == ("additive", False)
    assert (new.method.embedding, new.method.augment) == ("scale_shift", True)


def test_scores_are_the_published_ones():
    ensemble = recipes_of(read_experiment("ddpm-ssim_ens-2024-t1"), PLACE, None).model.post
    assert (ensemble.score, ensemble.level, ensemble.data_range) == ("ssim_ens", 499, "volume")
    distance = recipes_of(read_experiment("cddpm-mhd-2024-t1"), PLACE, None).model.post
    assert (distance.samples, distance.level, distance.normalise) == (10, 498, "minmax")
    assert (distance.erode, distance.median) == (0, 0)


def test_a_template_of_the_user_is_that_of_all_recipes(tmp_path):
    recipes = recipes_of(read_experiment("cddpm-2025-t2"), PLACE, tmp_path / "sri24.nii.gz")
    assert recipes.model.prep.template == str(tmp_path / "sri24.nii.gz")
    assert recipes.pretrained.prep.template == str(tmp_path / "sri24.nii.gz")


def test_settings_override_the_file():
    experiment = read_experiment("pddpm-2025-t2", ["method.steps=7", "folds=[2]"])
    assert experiment.folds == (2,)
    assert recipes_of(experiment, PLACE, None).model.method.steps == 7


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("thresholds=['oracle']", "an oracle is nobody's result"),
        ("published.WMH.dice=[3.0]", "published: WMH is none of the patients"),
        ("published.MSLUB.dice=[1,2,3]", r"published\.MSLUB\.dice: "),
        ("published.MSLUB.dise=[3.0]", r"published\.MSLUB\.dise: unexpected"),
        ("patients=['BraTS']", "patients.0: input should be 'Brats21', 'MSLUB'"),
        ("rate=1.5", "rate: input should be less than 1"),
        ("colour='red'", "colour: unexpected"),
    ],
)
def test_what_cannot_be_is_refused_by_name(setting, said):
    with pytest.raises(Refused, match=said):
        read_experiment("ddpm-2025-t2", [setting])


def test_a_setting_that_the_recipe_lacks_is_refused_with_the_recipe():
    experiment = read_experiment("ddpm-2025-t2", ["method.colour=1"])
    with pytest.raises(Refused, match=r"ddpm-paper: \[method\]: colour"):
        recipes_of(experiment, PLACE, None)
    with pytest.raises(Refused, match="no such experiment; `hale reproduce` lists"):
        read_experiment("pddpm-1999")


def test_a_spread_without_deviation_is_no_spread_of_zero():
    experiment = read_experiment("thresh-2025-t1")
    assert experiment.published[Patients.WMH].of("dice") == Spread(9.38, None)


def test_the_command_lists_the_bundled_ones_and_asks_for_what_it_needs(capsys):
    assert run(["reproduce"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said] == NAMES
    assert run(["reproduce", "ddpm-2025-t2", "--out", "x"]) == 2
    assert "--data: is missing; give the DATA_DIR" in capsys.readouterr().err
    assert run(["reproduce", "ddpm-2025-t2", "--data", "x"]) == 2
    assert "--out: is missing" in capsys.readouterr().err
