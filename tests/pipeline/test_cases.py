"""Patients with lesion masks: who may learn from them, and what they may then not be used for.

Acceptance check 13 of SADM (sadm.md, section 8): training and threshold sets never overlap.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.method import BASE
from hale.core.run import Precision
from hale.core.trace import Trace
from hale.data.bids import read_bids
from hale.data.folder import Reading
from hale.data.layouts.labels import ANY, Labels
from hale.io.cache import Cache
from hale.pipeline.calibrate import recalibrate, with_settings
from hale.pipeline.cases import case_or_failure, on_model_grid, read_cases
from hale.pipeline.detect import detect
from hale.pipeline.fit import fit
from hale.pipeline.job import Options
from hale.pipeline.model import Model, load_model, save_model
from hale.pipeline.prepare import read_entry
from hale.pipeline.seen import SEEN_CASE
from hale.pipeline.workers import Crew, Failure
from hale.pipeline.write import as_json
from hale.prep.chain import space_of
from hale.recipe import Recipe, build_recipe

PREP = {"mode": "given", "coarsen": 2, "slots": [["FLAIR"]]}
OPTIONS = Options(device="cpu", precision=Precision.FULL, crew=Crew(workers=1))
SPLITS = ("fit",) * 3 + ("standardise",) * 3 + ("calibrate",) * 4 + ("test",)
TINY = {"width": 4, "batch": 2, "steps": 1, "levels": [499], "augment": False}
MASK = "desc-lesion_mask"


def recipe(name: str, base: Path | str = "", *, prep: dict | None = None, **settings) -> Recipe:
    table = {"prep": prep or PREP, "calibration": {"alpha": 0.25}, "cohort": {"held_out": 0.34}}
    method = {"name": name, **TINY, **settings}
    return build_recipe({**table, "method": method, **({"base": str(base)} if base else {})})


def ddpm(**settings) -> Recipe:
    return recipe("ddpm", **{"width": 8, "multipliers": [1], "blocks": 1, **settings})


def write(folder: Path, name: str, seed: int, *, mask: str = "", value: int = 1) -> None:
    """A disc of brain with noise, 40 x 40 pixels; with a bright square on it, and its mask."""
    rng = np.random.default_rng(seed)
    i, j, _ = np.indices((40, 40, 1))
    brain = (i - 19.5) ** 2 + (j - 19.5) ** 2 < 300
    lesion = (abs(i - 15) < 4) & (abs(j - 18) < 4)
    image = np.where(brain, 100 + 20 * rng.random(brain.shape) + 60 * lesion * bool(mask), 0)
    files = {"FLAIR": image.astype(np.float32)}
    if mask:
        files[mask] = (value * lesion).astype(np.uint8)
    (folder / name / "anat").mkdir(parents=True)
    for suffix, values in files.items():
        path = folder / name / "anat" / f"{name}_{suffix}.nii.gz"
        nib.save(nib.Nifti1Image(values, np.diag([1.0, 1, 1, 1])), path)


def table(folder: Path, splits: dict[str, str]) -> None:
    rows = "".join(f"{name}\t{split}\n" for name, split in splits.items())
    (folder / "participants.tsv").write_text(f"participant_id\tsplit\n{rows}", encoding="utf-8")


@pytest.fixture(scope="module")
def healthy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cases") / "healthy"
    for n in range(len(SPLITS)):
        write(folder, f"sub-{n:02}", n)
    table(folder, {f"sub-{n:02}": split for n, split in enumerate(SPLITS)})
    return folder


@pytest.fixture(scope="module")
def patients(tmp_path_factory) -> Path:
    """Three to learn from, one to test, and one without a mask."""
    folder = tmp_path_factory.mktemp("cases") / "patients"
    for n, mask in enumerate((MASK, "seg", MASK, MASK, "")):
        write(folder, f"sub-p{n}", 50 + n, mask=mask, value=4 if n == 1 else 1)
    splits = ("fit", "fit", "fit", "test", "fit")
    table(folder, {f"sub-p{n}": split for n, split in enumerate(splits)})
    return folder


@pytest.fixture(scope="module")
def base(healthy, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cases") / "base"
    fit(ddpm(), healthy, out, OPTIONS)
    return out


@pytest.fixture(scope="module")
def model(healthy, patients, base, tmp_path_factory) -> Model:
    """A supervised model, read from its folder when that of its base is gone."""
    place = tmp_path_factory.mktemp("cases")
    gone = shutil.copytree(base, place / "gone")
    fit(recipe("sadm_cases", gone), healthy, place / "model", OPTIONS, patients)
    shutil.rmtree(gone)
    return load_model(place / "model")


def test_cases_are_those_marked_fit_that_have_a_mask(patients):
    told: list[str] = []
    found = read_cases(patients, recipe("sadm_cases", "x"), replace(OPTIONS, tell=told.append))
    masks = {entry.id: entry.lesion.name for entry in found.entries if entry.lesion}
    assert masks == {
        "sub-p0": f"sub-p0_{MASK}.nii.gz",
        "sub-p1": "sub-p1_seg.nii.gz",
        "sub-p2": f"sub-p2_{MASK}.nii.gz",
    }
    assert told == [f"{patients}: 1 scans to learn from have no lesion mask: left out"]
    assert found.labels == ANY


def test_without_a_table_all_are_cases(patients, tmp_path):
    folder = shutil.copytree(patients, tmp_path / "patients")
    (folder / "participants.tsv").unlink()
    found = read_cases(folder, recipe("sadm_cases", "x"), OPTIONS)
    assert [entry.id for entry in found.entries] == ["sub-p0", "sub-p1", "sub-p2", "sub-p3"]


def test_a_fold_is_of_the_healthy_scans_where_cases_have_none(tmp_path):
    place = tmp_path / "patients" / "patient01"
    place.mkdir(parents=True)
    for name in ("FLAIR", "brainmask", "consensus_gt"):
        (place / f"patient01_{name}.nii.gz").write_text(name)
    table(place.parent, {"patient01": "fit"})
    folded = replace(OPTIONS, reading=Reading(fold=1))
    found = read_cases(place.parent, recipe("sadm_cases", "x"), folded)
    assert [entry.lesion.name for entry in found.entries if entry.lesion] == [
        "patient01_consensus_gt.nii.gz"
    ]


def test_cases_are_granted_to_whom_learns_from_them_alone(healthy, patients, base, tmp_path):
    out = tmp_path / "model"
    with pytest.raises(Refused, match="ddpm learns from healthy scans alone"):
        fit(ddpm(), healthy, out, OPTIONS, patients)
    with pytest.raises(Refused, match="sadm learns from healthy scans alone"):
        fit(recipe("sadm", base), healthy, out, OPTIONS, patients)
    with pytest.raises(Refused, match="method sadm_cases: learns from healthy scans and lesion"):
        fit(recipe("sadm_cases", base), healthy, out, OPTIONS)
    with pytest.raises(Refused, match="holds no scan to learn from that has a lesion mask"):
        fit(recipe("sadm_cases", base), healthy, out, OPTIONS, healthy)


def test_a_case_is_prepared_like_any_scan_and_its_mask_with_it(patients):
    """Of 7 x 7 pixels, 12 to 18 and 15 to 21: a block of 2 x 2 is lesion if half of it is."""
    made = recipe("sadm_cases", "x")
    entries = read_cases(patients, made, OPTIONS).entries
    space = space_of(made.prep, read_entry(entries[0]))
    settings = {"settings": made.prep, "cache": Cache(), "space": space}
    case = case_or_failure(entries[1], labels=ANY, **settings)  # whose mask holds 0 and 4
    expected = np.zeros((20, 20, 1), bool)
    expected[6:10, 7:11] = True  # rows 12 to 19, columns 14 to 21: at the rim, half of a block
    expected[9, 7] = False  # but for the corner: a quarter
    assert not isinstance(case, Failure)
    np.testing.assert_array_equal(case.lesion, expected)
    other = case_or_failure(entries[1], labels=Labels(lesion=(1,)), **settings)
    assert not isinstance(other, Failure)
    assert not other.lesion.any()
    unmasked = case_or_failure(replace(entries[0], lesion=None), labels=ANY, **settings)
    assert unmasked == Failure(
        id="sub-p0", reason="sub-p0: has no lesion mask; give one, or leave the scan out"
    )


def test_a_mask_on_another_grid_is_a_failure_of_its_case(patients, tmp_path):
    folder = shutil.copytree(patients, tmp_path / "patients")
    path = folder / f"sub-p0/anat/sub-p0_{MASK}.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((40, 40, 1), np.uint8), np.diag([2.0, 2, 1, 1])), path)
    made = recipe("sadm_cases", "x")
    entry = read_cases(folder, made, OPTIONS).entries[0]
    space = space_of(made.prep, read_entry(entry))
    found = case_or_failure(entry, labels=ANY, settings=made.prep, cache=Cache(), space=space)
    assert isinstance(found, Failure)
    assert "lies on another grid than the scan sub-p0_FLAIR.nii.gz" in found.reason


def test_a_mask_is_brought_by_nearest_neighbour():
    rng = np.random.default_rng(0)
    lesion = rng.random((8, 8, 8)) > 0.7
    native = Grid(shape=(8, 8, 8), affine=np.eye(4))
    shift = np.eye(4)
    shift[0, 3] = 2.0  # of the template to the scan, mm
    trace = Trace(native=native, model=native, to_native=shift, brain=np.ones((8, 8, 8), bool))
    moved = on_model_grid(lesion, trace, coarsen=1)
    np.testing.assert_array_equal(moved[:6], lesion[2:])
    assert not moved[6:].any()


def test_a_block_counts_the_brain_alone():
    native = Grid(shape=(4, 2, 1), affine=np.eye(4))
    brain, lesion = np.zeros((2, 4, 2, 1), bool)
    brain[:2, 0] = brain[2:] = True  # half of the first block, all of the second
    lesion[0] = lesion[2, 0] = True  # one of its two, and what is outside; one of four
    trace = Trace(native=native, model=native.coarser(2), to_native=np.eye(4), brain=brain)
    assert on_model_grid(lesion, trace, coarsen=2).ravel().tolist() == [True, False]


@pytest.mark.parametrize("split", ["standardise", "calibrate", "test"])
def test_nobody_teaches_and_sets_or_tests_thresholds(healthy, patients, base, tmp_path, split):
    """Check 13: by name, whatever the file."""
    folder = shutil.copytree(patients, tmp_path / "patients")
    name = f"sub-{SPLITS.index(split):02}"
    write(folder, name, 90, mask=MASK)
    (folder / "participants.tsv").unlink()
    told = f"{name}: is a case to learn from, and {split} in the healthy cohort"
    with pytest.raises(Refused, match=told):
        fit(recipe("sadm_cases", base), healthy, tmp_path / "model", OPTIONS, folder)


@pytest.mark.parametrize("split", ["fit", "calibrate"])
def test_no_file_is_both_a_case_and_healthy(healthy, patients, base, tmp_path, split):
    """Check 13: by content, whatever the name."""
    folder = shutil.copytree(patients, tmp_path / "patients")
    name = f"sub-{SPLITS.index(split):02}"
    twin = healthy / f"{name}/anat/{name}_FLAIR.nii.gz"
    shutil.copyfile(twin, folder / "sub-p0/anat/sub-p0_FLAIR.nii.gz")
    with pytest.raises(Refused, match=f"case sub-p0: holds the same file as {name}"):
        fit(recipe("sadm_cases", base), healthy, tmp_path / "model", OPTIONS, folder)


def test_model_says_whom_it_learnt_from_and_what_it_builds_on(model, patients, base):
    cases = model.provenance["fit"]["cases"]
    assert (cases["data"], cases["scans"]) == ("patients", ["sub-p0", "sub-p1", "sub-p2"])
    assert cases["people"] == cases["scans"]
    assert cases["masks"].keys() == cases["sha256"].keys() == set(cases["scans"])
    below = model.provenance["base"]
    assert below["recipe"]["method"]["name"] == "ddpm"
    assert below["sha256"] == load_model(base).sha256
    assert model.recipe.method.supervision == "healthy scans and lesion masks"


def test_model_needs_its_base_no_more(model, base):
    """It holds the base's arrays, and scores with them by its own seed."""
    own = load_model(base).detector.state()
    held = {n.removeprefix(BASE): a for n, a in model.detector.state().items() if BASE in n}
    assert own.keys() == held.keys()
    assert all(np.array_equal(own[name], held[name]) for name in own)


def test_a_case_of_the_model_is_told_in_its_result(model, patients, healthy, tmp_path):
    """And its p-values do not hold; another patient's do."""
    found = {}
    for name in ("sub-p0", "sub-p3"):
        entry = next(e for e in read_bids(patients, model.space.slots) if e.id == name)
        found[name] = as_json(detect(model, read_entry(entry)))
    assert any(note.startswith(SEEN_CASE) for note in found["sub-p0"]["notes"])
    assert found["sub-p0"]["p_values"]["reasons"][0] == SEEN_CASE
    assert not found["sub-p0"]["p_values"]["holds"]
    assert SEEN_CASE not in json.dumps(found["sub-p3"])
    for result in found.values():
        assert result["provenance"]["learnt_from"] == "healthy scans and lesion masks"


def test_a_case_of_the_model_does_not_calibrate_it(model, healthy, patients, tmp_path):
    """Neither its file under another name, nor another scan of the patient."""
    site = shutil.copytree(healthy, tmp_path / "site")
    for path in site.rglob("*.nii.gz"):  # of other people: noise of their own
        image = nib.load(path)
        values = np.asarray(image.dataobj)
        nib.save(nib.Nifti1Image(values + (values > 0), image.affine), path)
    case = patients / "sub-p0/anat/sub-p0_FLAIR.nii.gz"
    shutil.copyfile(case, site / "sub-05/anat/sub-05_FLAIR.nii.gz")
    with pytest.raises(Refused, match=r"the model was fitted on 1 of its scans \(sub-05"):
        recalibrate(model, site, tmp_path / "out", OPTIONS)
    shutil.rmtree(site / "sub-05")
    write(site, "sub-p0", 95)
    splits = {f"sub-{n:02}": split for n, split in enumerate(SPLITS) if n != 5}
    table(site, {**splits, "sub-p0": "standardise"})
    with pytest.raises(Refused, match="the model has learnt from the lesions of sub-p0"):
        recalibrate(model, site, tmp_path / "out", OPTIONS)


def test_a_model_may_be_calibrated_anew_with_another_score_of_its_method(model, healthy):
    other = with_settings(model, ["method.balance=0.25"])
    assert other.detector.balance == 0.25
    assert other.detector.state().keys() == model.detector.state().keys()


def test_what_builds_on_a_model_names_one(healthy, tmp_path):
    with pytest.raises(Refused, match="method sadm: builds on a fitted model, and the recipe"):
        fit(recipe("sadm"), healthy, tmp_path / "model", OPTIONS)
    with pytest.raises(Refused, match="is no model folder"):
        fit(recipe("sadm", tmp_path / "none"), healthy, tmp_path / "model", OPTIONS)


def test_a_base_that_sees_scans_otherwise_is_refused(healthy, base, tmp_path):
    made = recipe("sadm", base, prep={**PREP, "high": 98.0})
    with pytest.raises(Refused, match=r"its prep\.high is 99\.0, this recipe's is 98\.0"):
        fit(made, healthy, tmp_path / "model", OPTIONS)


def test_a_base_of_whoever_sets_thresholds_is_refused(healthy, base, tmp_path):
    folder = shutil.copytree(healthy, tmp_path / "healthy")
    splits = {f"sub-{n:02}": split for n, split in enumerate(SPLITS)}
    table(folder, {**splits, "sub-01": "calibrate"})
    with pytest.raises(Refused, match="has learnt from sub-01, which is calibrate here"):
        fit(recipe("sadm", base), folder, tmp_path / "model", OPTIONS)


def test_a_base_that_is_no_diffusion_model_is_refused_before_a_scan_is_read(model, tmp_path):
    save_model(model, tmp_path / "base")
    made = recipe("sadm", tmp_path / "base")
    with pytest.raises(Refused, match="base: is a Segmented, not a diffusion model"):
        fit(made, tmp_path / "no scans", tmp_path / "model", OPTIONS)


def test_a_level_that_the_base_lacks_is_refused_before_a_scan_is_read(base, tmp_path):
    made = recipe("sadm", base, levels=[1000])
    with pytest.raises(Refused, match="level 1000: there are 1000 levels of noise"):
        fit(made, tmp_path / "no scans", tmp_path / "model", OPTIONS)
