"""A published experiment on lists made here: what is learnt from, chosen on, tested on and said."""

import csv
import json
import math
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tomli_w

from hale.cli.app import run
from hale.core.errors import Refused
from hale.data.folder import Reading
from hale.io.cache import Cache
from hale.metrics import voxel
from hale.metrics.thresholds import best_val, healthy_fpr
from hale.pipeline.experiment import Patients, Policy, read_experiment
from hale.pipeline.job import Options
from hale.pipeline.lists import read_lists
from hale.pipeline.model import load_model, score
from hale.pipeline.reproduce import Request, reproduce
from hale.pipeline.reproduction import TABLE, Fold, Reproduction, text_of
from hale.pipeline.reuse import goes_on
from hale.pipeline.volumes import Cut, Outcome, whole_case
from hale.post.components import without_small

SHAPE = (40, 40, 6)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
COLUMNS = ("", "img_name", "age", "label", "img_path", "mask_path", "seg_path")
IXI = {
    "IXI_train_fold0": ("IXI001", "IXI002", "IXI003", "IXI004", "IXI004"),
    "IXI_val_fold0": tuple(f"IXI0{n}" for n in range(20, 28)),
    "IXI_train_fold1": ("IXI001", "IXI002", "IXI003", "IXI004", "IXI005"),
    "IXI_val_fold1": tuple(f"IXI0{n}" for n in range(20, 28)),
    "IXI_test": ("IXI004", "IXI040"),
}
PATIENTS = {
    "Brats21_val": ("BraTS2021_00000", "BraTS2021_00002", "BraTS2021_00003"),
    "Brats21_test": ("BraTS2021_00005", "BraTS2021_00006"),
    "MSLUB_val": ("patient01",),
    "MSLUB_test": ("patient02", "patient03"),
}
TINY = """
[prep]
mode = "given"

[method]
name = "{name}"
{settings}
batch = 2
steps = 2
{more}
"""
UNET = "width = 8\nmultipliers = [1]\nblocks = 1\nlevels = [499]\nvalidate_slices = 2"
CALIBRATED = "\n[post]\nmedian = 3\n\n[calibration]\nalpha = 0.2"
RECIPES = {
    "ddpm": (UNET, CALIBRATED),
    "cddpm": (
        f"{UNET}\ncondition = 8\nencoder_width = 4\nencoder_blocks = [1, 1, 1, 1]",
        CALIBRATED,
    ),
    "spark": ("width = 4\nblocks = [1, 1, 1, 1]", ""),
    "sadm_cases": ("width = 4\nlevels = [499]\nvalidate_slices = 2", CALIBRATED),
}


def write_list(table: Path, images: list[tuple[str, str]]) -> None:
    """Write a list of (path without kind and end, id)."""
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, (folder, name) in enumerate(images):
            paths = [f"/{folder}/{kind}/{name}_{kind}.nii.gz" for kind in ("t1", "mask", "seg")]
            writer.writerow([number, name, 40, 0, *paths[:2], paths[2] if "Test" in folder else ""])


def write_exam(folder: Path, name: str, *, ill: bool) -> None:
    rng = np.random.default_rng(list(name.encode()))
    brain = ((np.indices(SHAPE) - 19.5) ** 2)[:2].sum(0) < 300
    lesion = np.zeros(SHAPE, np.uint8)
    lesion[14:20, 15:22, 1:5] = ill
    values = np.where(brain, 100 + 10 * rng.standard_normal(SHAPE) + 60 * lesion, 0)
    files = {"t2": values.astype(np.float32), "mask": brain.astype(np.uint8), "seg": lesion}
    for kind, array in files.items():
        if kind != "seg" or ill:
            path = folder / kind / f"{name}_{kind}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, AFFINE), path)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """DATA_DIR, as the public code lays it out; somebody of fold 0 is fitted and tested on."""
    root = tmp_path_factory.mktemp("data")
    for table, people in IXI.items():
        names = [f"{person}-HH-1{person[3:]}" for person in people]
        write_list(root / f"splits/{table}.csv", [("Train/ixi", name) for name in names])
        for name in names:
            write_exam(root / "Train/ixi", name, ill=False)
    for table, names in PATIENTS.items():
        folder = f"Test/{table.rpartition('_')[0]}"
        write_list(root / f"splits/{table}.csv", [(folder, name) for name in names])
        for name in names:
            write_exam(root / folder, name, ill=True)
    (root / "Train/ixi/t1").mkdir()
    return root


@pytest.fixture(scope="module")
def recipes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recipes")
    for name, (settings, more) in RECIPES.items():
        text = TINY.format(name=name, settings=settings, more=more)
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def experiment(recipes) -> Path:
    """A pretrained cDDPM on T2w, with made-up published figures."""
    path = recipes / "cddpm-t2.toml"
    path.write_text(
        f"""
title = "cDDPM, tiny"
reference = "nobody"
contrast = "T2w"
folds = [0, 1]
patients = ["Brats21", "MSLUB", "WMH"]
recipe = "{recipes / "cddpm.toml"}"
pretrain = "{recipes / "spark.toml"}"
prep = "{recipes / "cddpm.toml"}"
smallest_mm3 = 64.0
notes = ["all of it is made up"]

[published.Brats21]
dice = [53.37, 1.8]
auprc = [58.84]
""",
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("reproduced")


def command(experiment: Path, data: Path, place: Path, *options: str) -> int:
    where = ("--data", str(data), "--out", str(place / "out"), "--cache", str(place / "cache"))
    return run(["reproduce", str(experiment), *where, "--workers", "1", *options])


@pytest.fixture(scope="module")
def done(experiment, data, place) -> Path:
    """What a run of fold 0 leaves behind."""
    assert command(experiment, data, place, "--fold", "0", "--device", "cpu") == 0
    return place / "out"


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_each_volume_of_the_lists_has_a_row(done):
    listed = [(r["data"], r["list"], r["id"]) for r in rows_of(done)]
    wanted = [
        (table.partition("_")[0], table.partition("_")[2], name)
        for table, names in PATIENTS.items()
        for name in names
    ]
    assert listed == wanted


def test_thresholds_come_from_validation_alone_and_rows_from_the_maps(done, data, experiment):
    model = load_model(done / "fold0/model")
    listed = read_lists(read_experiment(str(experiment)), data, Reading(fold=0))
    prep = {"settings": model.recipe.prep, "cache": Cache(), "space": model.space}

    def maps(entries, *, healthy=False):
        cases = [whole_case(entry, healthy=healthy, **prep) for entry in entries]
        return cases, [score(model, case.scan).values for case in cases]

    brats = listed.tested[Patients.BRATS]
    ill, ill_maps = maps(brats.validation)
    calm, calm_maps = maps(listed.watched, healthy=True)
    best = best_val(np.stack(ill_maps), np.stack([case.lesion for case in ill])).threshold
    inside = [m[case.scan.brain] for m, case in zip(calm_maps, calm, strict=True)]
    told = json.loads((done / "summary.json").read_text())["data"]["Brats21"]
    cuts = {policy: cut["threshold"] for policy, cut in told["thresholds"]["0"].items()}
    assert cuts == {"best_val": best, "healthy_fpr": healthy_fpr(np.concatenate(inside), 0.01)}
    assert {p: c["volumes"] for p, c in told["thresholds"]["0"].items()} == {
        "best_val": 3,
        "healthy_fpr": 8,
    }
    tested, tested_maps = maps(brats.test)
    rows = [row for row in rows_of(done) if (row["data"], row["list"]) == ("Brats21", "test")]
    for row, case, values in zip(rows, tested, tested_maps, strict=True):
        ranked = voxel.curve(values, case.lesion)
        assert float(row["dice_oracle"]) == pytest.approx(ranked.best_dice, abs=1e-5)
        assert float(row["auprc_grid"]) == pytest.approx(ranked.average_precision, abs=1e-5)
        found = without_small((values >= best) & case.scan.brain, model.space.grid)
        dice = voxel.dice(found, case.lesion)
        assert float(row["dice_best_val"]) == pytest.approx(dice, abs=1e-5)
        assert float(row["lesion_ml"]) == pytest.approx(case.lesion.sum() * 0.008)
    mean = 100 * np.mean([float(row["auprc_grid"]) for row in rows])
    assert told["figures"]["auprc_grid"]["found"]["mean"] == pytest.approx(mean, rel=1e-4)


def test_published_figures_stand_beside_ours(done):
    told = json.loads((done / "summary.json").read_text())["data"]["Brats21"]["figures"]
    assert told["dice_best_val"]["published"] == {"mean": 53.37, "deviation": 1.8}
    assert told["auprc_grid"]["published"] == {"mean": 58.84, "deviation": None}
    assert told["dice_oracle"]["published"] is None
    assert told["auprc_grid"]["found"]["deviation"] is None  # of one fold
    text = (done / "summary.md").read_text()
    assert "| Brats21 | Dice, threshold of labelled validation | 53.37 ± 1.80 | " in text
    assert "| MSLUB | best Dice, threshold per volume (oracle) |  | " in text


def test_what_must_be_known_of_the_figures_is_said(done):
    said = (done / "summary.md").read_text()
    for words in (
        "chosen by the lesions of Brats21_val (3), MSLUB_val (1)",
        "dice_healthy_fpr: one threshold, which marks 1 % of the brain of 8 healthy scans of IXI",
        "dice_oracle: chosen for each test volume by its own lesion: an upper bound",
        "here of fold 0 (published: folds 0, 1)",
        "registered to MNI152; published: SRI24",
        "lists of persons: each person once, test first",
        "1 person is in fit and test: IXI004",
        "WMH is left out",
        "all of it is made up",
        "expect about 40 % Dice on BraTS21",
    ):
        assert words in said


def test_the_same_command_uses_what_is_there(done, experiment, data, place, monkeypatch, capsys):
    before = {p: p.stat().st_mtime_ns for p in done.glob("fold0/*/manifest.json")}
    assert len(before) == 2  # encoder and model
    monkeypatch.setattr("hale.pipeline.volumes.score", None)  # maps are not made again
    text = (done / "summary.md").read_text()
    assert command(experiment, data, place, "--fold", "0") == 0
    assert {p: p.stat().st_mtime_ns for p in done.glob("fold0/*/manifest.json")} == before
    assert (done / "summary.md").read_text() == text
    assert text.rstrip() in capsys.readouterr().out


def test_another_experiment_or_other_files_keep_their_folder(done, experiment, data, place, capsys):
    assert command(experiment, data, place, "--set", "rate=0.05") == 2
    assert "holds another experiment; give another --out" in capsys.readouterr().err
    (place / "mine/out").mkdir(parents=True)
    (place / "mine/out/notes.txt").touch()
    assert command(experiment, data, place / "mine") == 2
    assert "is not empty; give another --out" in capsys.readouterr().err


def test_a_model_of_another_recipe_is_not_taken_for_this_one(done, experiment, data, recipes):
    request = Request(experiment=read_experiment(str(experiment)), data=data, out=done, folds=(0,))
    other = (recipes / "cddpm.toml").read_text()
    (recipes / "cddpm.toml").write_text(other.replace("steps = 2", "steps = 3"))
    try:
        with pytest.raises(Refused, match=r"was fitted with another \[method\]; give another"):
            reproduce(request, Options())
    finally:
        (recipes / "cddpm.toml").write_text(other)


def test_a_model_of_other_people_is_not_taken_for_this_one(done, experiment, data):
    chosen = read_experiment(str(experiment))
    request = Request(experiment=chosen, data=data, out=done, folds=(0,), published_lists=True)
    with pytest.raises(Refused, match="pretrained: was fitted on other people than these lists"):
        reproduce(request, Options())


def test_a_dry_run_lists_what_would_be_done_and_does_nothing(experiment, data, tmp_path, capsys):
    assert command(experiment, data, tmp_path, "--dry-run") == 0
    said = capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    for words in (
        "cDDPM, tiny (nobody)",
        "fold 0",
        f"spark.toml on 3 healthy scans, 2 steps: {tmp_path / 'out/fold0/pretrained'}",
        f"cddpm.toml on 3 healthy scans, 2 steps: {tmp_path / 'out/fold0/model'}",
        "thresholds on Brats21_val (3 volumes), test on Brats21_test (2 volumes)",
        "thresholds on IXI_val_fold0 (8 healthy scans)",
        "fold 1",
        "cddpm.toml on 4 healthy scans",
        "published, Brats21: Dice 53.37 ± 1.80, AUPRC 58.84",
        "note: 1 person is in fit and test: IXI004",
    ):
        assert words in said


def test_a_dry_run_says_what_is_there(done, experiment, data, place, capsys):
    assert command(experiment, data, place, "--dry-run", "--fold", "0") == 0
    assert capsys.readouterr().out.count("; there already: ") == 2


def lists(data: Path, experiment: Path, *overrides: str, published: bool = False, fold: int = 0):
    chosen = read_experiment(str(experiment), overrides)
    return read_lists(chosen, data, Reading(fold=fold, published=published))


def test_published_lists_keep_their_rows(data, experiment):
    once = lists(data, experiment)
    rows = lists(data, experiment, published=True)
    assert [e.person for e in rows.fit] == list(IXI["IXI_train_fold0"])
    assert [e.person for e in once.fit] == ["IXI001", "IXI002", "IXI003"]
    assert "1 person is listed twice in fit: IXI004" in rows.remarks
    assert [e.id for e in rows.tested[Patients.BRATS].test] == list(PATIENTS["Brats21_test"])
    assert all(e.contrast == "T2w" for e in (*rows.fit, *rows.tested[Patients.BRATS].test))


# Check 15 of the shared protocol, check 13 of SADM
def test_nobody_whom_a_method_learns_from_sets_thresholds(data, experiment):
    learns = ("cases.data=Brats21", "cases.rows=[1,3]")
    found = lists(data, experiment, *learns)
    names = PATIENTS["Brats21_val"]
    assert [e.id for e in found.learnt.entries] == list(names[1:])
    assert [e.id for e in found.tested[Patients.BRATS].validation] == [names[0]]
    with pytest.raises(Refused, match=r"Brats21_val\.csv: lists nobody"):
        lists(data, experiment, "cases.data=Brats21", "cases.rows=[0,3]")
    with pytest.raises(Refused, match="has no rows 7 to 8 to learn from"):
        lists(data, experiment, "cases.data=Brats21", "cases.rows=[7,9]")


def test_rows_to_learn_from_are_those_of_the_published_list(data, experiment):
    table = data / "splits/Brats21_val.csv"
    before = table.read_text()
    table.write_text(before.replace("BraTS2021_00000", "BraTS2021_00005"))  # tested on too
    try:
        second = lists(data, experiment, "cases.data=Brats21", "cases.rows=[1,2]")
        both = lists(data, experiment, "cases.data=Brats21", "cases.rows=[0,2]")
    finally:
        table.write_text(before)
    said = "Brats21_val: 1 of rows 0 to 1 are not learnt from: listed twice, or tested on"
    for found in (second, both):
        assert [e.id for e in found.learnt.entries] == ["BraTS2021_00002"]
        assert [e.id for e in found.tested[Patients.BRATS].validation] == ["BraTS2021_00003"]
        assert (said in found.remarks) == (found is both)


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_place_or_template_that_cannot_be_is_refused_before_all(
    done, experiment, data, tmp_path, dry, capsys
):
    (tmp_path / "out").touch()
    assert command(experiment, data, tmp_path, *dry) == 2
    assert f"cannot be a folder: {tmp_path / 'out'} is a file" in capsys.readouterr().err
    assert command(experiment, data, tmp_path / "out", *dry) == 2
    assert "give another --out" in capsys.readouterr().err
    none = ("--template", str(tmp_path / "none.nii.gz"))
    assert command(experiment, data, tmp_path / "new", *none, *dry) == 2
    assert "none.nii.gz" in capsys.readouterr().err
    assert command(experiment, data, done.parent, "--set", "rate=0.05", *dry) == 2
    assert "holds another experiment; give another --out" in capsys.readouterr().err


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_several_processes_are_refused(experiment, data, tmp_path, dry, monkeypatch, capsys):
    monkeypatch.setattr("hale.train.team.processes_started", lambda: 4)
    assert command(experiment, data, tmp_path, *dry) == 2
    assert "hale reproduce: is for one process, and these are 4" in capsys.readouterr().err


def result_of(experiment: Path, healthy: tuple[int, ...], *overrides: str) -> Reproduction:
    """Return made-up results, a fold for each count of healthy scans."""
    chosen = read_experiment(str(experiment), overrides)
    folds = []
    for number, count in enumerate(healthy):
        cuts = {p: Cut(0.5, math.nan, count) for p in chosen.thresholds if p is not Policy.ORACLE}
        outcome = Outcome(cuts=cuts, validation=(), test=(), failed=())
        folds.append(
            Fold(
                number=number,
                model_sha256="",
                provenance={},
                outcomes={Patients.BRATS: outcome},
                failed=(),
                remarks=(),
            )
        )
    return Reproduction(experiment=chosen, template=None, published_lists=False, folds=tuple(folds))


def test_counts_that_are_told_are_those_of_all_folds(experiment):
    said = text_of(result_of(experiment, (8, 7)))
    assert "1 % of the brain of 7 to 8 healthy scans" in said
    assert "Brats21_val (7 to 8)" in said


def test_published_dice_stands_beside_the_threshold_that_it_is_of(experiment):
    result = result_of(experiment, (8,), 'thresholds=["best_val_exact", "best_val"]')
    assert result.published(Patients.BRATS, "dice_best_val_exact") is None
    assert result.published(Patients.BRATS, "dice_best_val") == (53.37, 1.8)


def test_a_run_of_another_fold_keeps_what_is_reported(done, experiment, data, place, tmp_path):
    shutil.copytree(done, tmp_path / "out")
    ours = ("--cache", str(place / "cache"))
    assert command(experiment, data, tmp_path, "--fold", "1", "--device", "cpu", *ours) == 0
    told = json.loads((tmp_path / "out/summary.json").read_text())
    assert [*told["models"]] == ["0", "1"]
    assert {row["fold"] for row in rows_of(tmp_path / "out")} == {"0", "1"}
    before = [row for row in rows_of(done) if row["fold"] == "0"]
    assert [row for row in rows_of(tmp_path / "out") if row["fold"] == "0"] == before


def test_what_a_smaller_budget_cut_goes_on():
    cut = {"fit": {"finished": False, "steps_done": 1, "budget_minutes": 10.0}}
    assert goes_on(cut, None)
    assert goes_on(cut, 20.0)
    assert not goes_on(cut, 10.0)
    assert not goes_on({"fit": {"finished": True, "steps_done": 2}}, None)


def test_healthy_people_who_are_learnt_from_set_no_threshold(data, experiment, tmp_path):
    table = data / "splits/IXI_val_fold1.csv"
    before = table.read_text()
    table.write_text(before.replace("IXI020-HH-1020", "IXI001-HH-1001"))
    try:
        found = lists(data, experiment, published=True, fold=1)
    finally:
        table.write_text(before)
    assert len(found.watched) == 7
    assert any("1 scans of healthy validation set no threshold" in r for r in found.remarks)


def test_folders_without_lists_or_patients_are_refused(data, experiment, tmp_path):
    with pytest.raises(Refused, match="holds no splits/IXI_train_fold0"):
        lists(tmp_path, experiment)
    with pytest.raises(Refused, match="holds none of the experiment's patients"):
        lists(data, experiment, 'patients=["WMH"]', "published={}")


def test_sadm_learns_from_patients_on_a_base_of_its_own(recipes, data, tmp_path):
    sadm = {
        "title": "SADM, tiny",
        "reference": "nobody",
        "contrast": "T2w",
        "folds": [0],
        "patients": ["Brats21", "MSLUB"],
        "recipe": str(recipes / "sadm_cases.toml"),
        "base": str(recipes / "ddpm.toml"),
        "prep": str(recipes / "ddpm.toml"),
        "cases": {"data": "Brats21", "rows": [1, 3]},
        "thresholds": ["best_val_exact", "oracle"],
    }
    (tmp_path / "sadm.toml").write_text(tomli_w.dumps(sadm), encoding="utf-8")
    chosen = read_experiment(str(tmp_path / "sadm.toml"))
    request = Request(experiment=chosen, data=data, out=tmp_path / "out", published_lists=True)
    result = reproduce(request, Options(device="cpu", cache=Cache(tmp_path / "cache")))
    fit = result.folds[0].provenance["fit"]
    assert fit["cases"]["scans"] == list(PATIENTS["Brats21_val"][1:])
    assert fit["published_lists"]
    assert {cut.volumes for cut in result.folds[0].outcomes[Patients.BRATS].cuts.values()} == {1}
    assert "lists of persons: kept as published" in text_of(result)
    assert not math.isnan(result.found(Patients.MSLUB, "dice_best_val_exact").mean)
