"""The lists of Behrendt et al., made here with the published numbers of rows and people."""

import csv
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from hale.core.errors import Refused
from hale.core.scan import Contrast, Split
from hale.data.layouts import find_layout, read_layout
from hale.data.layouts.behrendt import in_contrast
from hale.data.layouts.leaks import leaks, sentences

T1, T2 = ((Contrast.T1W,),), ((Contrast.T2W,),)
IXI = (
    *("", "img_name", "SEX_ID (1=m, 2=f)", "HEIGHT", "WEIGHT", "ETHNIC_ID", "MARITAL_ID"),
    *("OCCUPATION_ID", "QUALIFICATION_ID", "DATE_AVAILABLE", "STUDY_DATE", "age", "label"),
    *("img_path", "mask_path", "seg_path", "Agegroup"),
)
BRATS = (
    *("", "img_name", "Cohort Name (if publicly available)"),
    *("Site No (represents the originating institution)", "Local ID\N{NO-BREAK SPACE}", "age"),
    *("label", "img_path", "mask_path", "seg_path"),
)
MSLUB = (
    *("", "img_name", "age", "sex", "ms_type", "label"),
    *("img_path", "mask_path", "seg_path", "Agegroup"),
)
WMH = ("", "img_name", "label", "age", "img_path", "mask_path", "seg_path")
ATLAS = (
    *("", "img_name", "Session", "Primary Stroke Location", "label", "age"),
    *("img_path", "mask_path", "seg_path", "Scannergroup"),
)
FOLDS = {
    # train rows, val rows and test rows without T2w; people in two lists, by pair
    0: {"without_t2": (2, 0, 2), "train_test": 9, "train_val": 0, "val_test": 0},
    1: {"without_t2": (2, 0, 2), "train_test": 9, "train_val": 0, "val_test": 0},
    2: {"without_t2": (2, 0, 2), "train_test": 9, "train_val": 2, "val_test": 0},
    3: {"without_t2": (1, 1, 2), "train_test": 7, "train_val": 3, "val_test": 2},
    4: {"without_t2": (1, 1, 2), "train_test": 8, "train_val": 3, "val_test": 1},
}


def write(table: Path, columns: Sequence[str], rows: Sequence[dict[str, str]]) -> None:
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows({"": str(n), **row} for n, row in enumerate(rows))


def ixi(number: int) -> str:
    return f"IXI{number:03}-{('Guys', 'HH', 'IOP')[number % 3]}-{1000 + number}"


def ixi_row(number: int) -> dict[str, str]:
    name = ixi(number)
    return {
        "img_name": f"{name}_t1.nii.gz",
        "age": f"{20 + number % 60}.5",
        "label": "0",
        "img_path": f"/Train/ixi/t1/{name}_t1.nii.gz",
        "mask_path": f"/Train/ixi/mask/{name}_mask.nii.gz",
        "Agegroup": "1",
    }


def patient_row(folder: str, name: str, **more: str) -> dict[str, str]:
    kinds = {"img_path": "t1", "mask_path": "mask", "seg_path": "seg"}
    paths = {c: f"/Test/{folder}/{k}/{name}_{k}.nii.gz" for c, k in kinds.items()}
    return {"img_name": name, "label": "1", **paths, **more}


def ixi_lists(fold: int) -> tuple[list[int], list[int], list[int]]:
    """387 train, 44 val and 160 test rows of 566 people, 25 of them twice, as the fold shares them.

    418 people are in train and val, 157 in the test, 9 in both.
    """
    shared = FOLDS[fold]
    in_two = shared["train_test"] + shared["val_test"]
    assert in_two == 9
    test = [*range(157), 0, 1, 2]  # three of them listed twice
    val_test = [*range(20, 20 + shared["val_test"])]
    train_test = [*range(40, 40 + shared["train_test"])]
    train_val = [*range(200, 200 + shared["train_val"])]
    repeated = [*range(300, 313 - shared["train_val"])]  # in train
    fresh = iter(n for n in range(157, 566) if n not in train_val and n not in repeated)
    val = val_test + train_val
    val += [next(fresh) for _ in range(44 - len(val))]
    return [*train_test, *train_val, *repeated, *repeated, *fresh], val, test


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """All five folds of IXI below a folder whose name holds ``t1``."""
    root = tmp_path_factory.mktemp("behrendt") / "t1w_study"
    for fold, facts in FOLDS.items():
        train, val, test = ixi_lists(fold)
        write(root / f"splits/IXI_train_fold{fold}.csv", IXI, [ixi_row(n) for n in train])
        write(root / f"splits/IXI_val_fold{fold}.csv", IXI, [ixi_row(n) for n in val])
        write(root / "splits/IXI_test.csv", IXI, [ixi_row(n) for n in test])
        assert sum(facts["without_t2"]) == 4
    for kind in ("t1", "t2", "mask"):
        (root / "Train/ixi" / kind).mkdir(parents=True)
    (root / "Train/ixi/mask" / f"{ixi(150)}_mask.nii.gz").touch()
    return root


def published(study: Path, slots, fold: int) -> tuple[list[str], list[str], list[str]]:
    entries = read_layout(study, slots, fold=fold, published=True).entries
    val = (Split.STANDARDISE, Split.CALIBRATE)
    return (
        [e.person for e in entries if e.split is Split.FIT],
        [e.person for e in entries if e.split in val],
        [e.person for e in entries if e.split is Split.TEST],
    )


def test_both_roots_are_read(study, tmp_path):
    (tmp_path / "Data").symlink_to(study)
    assert find_layout(study) == find_layout(tmp_path) == "behrendt"
    entry = read_layout(tmp_path, T1).entries[0]
    assert entry.path == tmp_path / "Data/Train/ixi/t1" / f"{entry.id}_t1.nii.gz"


# Check 1 of the shared protocol, and the subject-level view in the test after it
@pytest.mark.parametrize("fold", FOLDS)
def test_the_published_lists_have_their_rows_and_their_leaks(fold, study):
    train, val, test = published(study, T1, fold)
    assert (len(train), len(val), len(test)) == (387, 44, 160)
    assert len({*train, *val, *test}) == 566
    shared = (len({*train} & {*test}), len({*train} & {*val}), len({*val} & {*test}))
    facts = FOLDS[fold]
    assert shared == (facts["train_test"], facts["train_val"], facts["val_test"])
    named = {leak.person for leak in read_layout(study, T1, fold=fold).leaks}
    rows = [*train, *val, *test]
    assert named == {person for person in rows if rows.count(person) > 1}
    assert len(named) == 25


@pytest.mark.parametrize("fold", FOLDS)
def test_each_person_is_in_one_split_unless_the_lists_are_wanted_as_published(fold, study):
    entries = read_layout(study, T1, fold=fold).entries
    assert len(entries) == len({e.person for e in entries}) == 566
    assert leaks(entries) == ()
    assert sum(e.split is Split.TEST for e in entries) == 157  # none was taken from the test
    fitting = 418 - 44 - FOLDS[fold]["train_test"]
    assert sum(e.split is Split.FIT for e in entries) == fitting


def test_validation_is_divided_by_person_in_the_same_way_in_both_views(study):
    splits = {}
    for view in (True, False):
        entries = read_layout(study, T1, fold=0, published=view).entries
        splits[view] = {e.person: e.split for e in entries if e.split is not Split.TEST}
    counts = [list(splits[True].values()).count(s) for s in (Split.STANDARDISE, Split.CALIBRATE)]
    assert counts == [18, 26]  # 40 : 60 of 44
    assert splits[False].items() <= splits[True].items()


def test_the_first_fold_is_read_unless_another_is_asked_for(study):
    assert read_layout(study, T1).entries == read_layout(study, T1, fold=0).entries
    assert read_layout(study, T1).entries != read_layout(study, T1, fold=4).entries


def test_a_fold_that_is_not_there_is_refused(study):
    with pytest.raises(Refused, match=r"fold 5: has no list in .*splits; take of 0, 1, 2, 3, 4"):
        read_layout(study, T1, fold=5)


def test_strict_refuses_the_lists_and_names_the_people(study):
    with pytest.raises(Refused, match="9 people are in fit and test: IXI040, IXI041"):
        read_layout(study, T1, strict=True)
    said = sentences(read_layout(study, T1).leaks)
    assert [line.split(":")[0] for line in said] == [
        "9 people are in fit and test",
        "13 people are listed twice in fit",
        "3 people are listed twice in test",
    ]


# Check 2
@pytest.mark.parametrize(
    ("fold", "rows"),
    [*((n, (385, 44, 158)) for n in (0, 1, 2)), *((n, (386, 43, 158)) for n in (3, 4))],
)
def test_only_the_listed_have_t2(fold, rows, study):
    lists = ixi_lists(fold)
    once = [[n for n in part if sum(p.count(n) for p in lists) == 1] for part in lists]
    without = {
        n for part, count in zip(once, FOLDS[fold]["without_t2"], strict=True) for n in part[:count]
    }
    names = [f"{ixi(n)}_t2.nii.gz" for n in range(566) if n not in without]
    names += names[:25]
    assert len(names) == 587
    table = study / "splits/avail_t2.csv"
    table.write_text("\n".join(("0", *names)), "utf-8")
    try:
        assert tuple(len(part) for part in published(study, T2, fold)) == rows
        assert tuple(len(part) for part in published(study, T1, fold)) == (387, 44, 160)
    finally:
        table.unlink()


# Check 3: the root is called t1w_study
def test_t2_changes_folder_and_suffix_below_the_data_folder_alone(study):
    entry = next(e for e in read_layout(study, T2).entries if e.person == "IXI150")
    assert entry.path == study / "Train/ixi/t2" / f"{ixi(150)}_t2.nii.gz"
    assert entry.brain == study / "Train/ixi/mask" / f"{ixi(150)}_mask.nii.gz"
    assert (entry.id, entry.age, entry.lesion) == (ixi(150), 50.5, None)


@pytest.mark.parametrize(
    ("image", "folder", "there"),
    [
        ("Train/ixi/t1/A_t1.nii.gz", "t2", "Train/ixi/t2/A_t2.nii.gz"),
        ("Test/t1_set/t1/t1_A_t1_t1.nii.gz", "flair", "Test/t1_set/flair/t1_A_t1_flair.nii.gz"),
        ("Test/MSLUB/t2/A_t2.nii.gz", "t1", "Test/MSLUB/t1/A_t1.nii.gz"),
    ],
)
def test_another_contrast(image, folder, there):
    assert in_contrast(PurePosixPath(image), folder) == PurePosixPath(there)


@pytest.mark.parametrize("image", ["Train/ixi/t1/A.nii.gz", "Train/ixi/pd/A_pd.nii.gz", "A_t1.nii"])
def test_a_name_that_does_not_end_in_its_contrast_is_refused(image):
    with pytest.raises(Refused, match="is no <contrast>/<id>_<contrast>"):
        in_contrast(PurePosixPath(image), "t2")


@pytest.fixture
def patients(tmp_path) -> Path:
    """Lists of the four data sets of patients, two exams each, with the published columns."""
    name = "sub-r009s085_ses-1_space-MNI152NLin2009aSym"
    where = {"Session": "ses-1", "Primary Stroke Location": "Frontal Lobe, Parietal Lobe"}
    lists = {
        "Brats21_val": (BRATS, [patient_row("Brats21", "BraTS2021_00000")]),
        "Brats21_test": (BRATS, [patient_row("Brats21", "BraTS2021_00002")]),
        "MSLUB_val": (MSLUB, [patient_row("MSLUB", "patient01", age="25")]),
        "MSLUB_test": (MSLUB, [patient_row("MSLUB", "patient02", age="37")]),
        "ATLAS_v2_test": (ATLAS, [patient_row("ATLAS_v2", name, img_name="sub-r009s085", **where)]),
        "WMH_test": (WMH, [patient_row("WMH", "GE3T_114", img_name="GE3T_114_t1.nii.gz")]),
    }
    for stem, (columns, rows) in lists.items():
        write(tmp_path / f"splits/{stem}.csv", columns, rows)
    for folder in ("Brats21/t2", "MSLUB/t2", "ATLAS_v2/t1", "WMH/t1", "Brats21/seg", "WMH/mask"):
        (tmp_path / "Test" / folder).mkdir(parents=True)
    (tmp_path / "Test/Brats21/seg/BraTS2021_00002_seg.nii.gz").touch()
    (tmp_path / "Test/WMH/mask/GE3T_114_mask.nii.gz").touch()
    return tmp_path


def test_patients_of_each_contrast(patients):
    t1 = {e.id: e for e in read_layout(patients, T1).entries}
    assert {name: e.person for name, e in t1.items()} == {
        "sub-r009s085_ses-1": "sub-r009s085",
        "GE3T_114": "GE3T_114",
    }
    assert t1["GE3T_114"].brain == patients / "Test/WMH/mask/GE3T_114_mask.nii.gz"
    t2 = {e.id: e for e in read_layout(patients, T2).entries}
    assert {name: (e.split, e.age) for name, e in t2.items()} == {
        "BraTS2021_00000": (None, None),
        "BraTS2021_00002": (Split.TEST, None),
        "patient01": (None, 25),
        "patient02": (Split.TEST, 37),
    }
    assert t2["BraTS2021_00002"].path.name == "BraTS2021_00002_t2.nii.gz"
    assert t2["BraTS2021_00002"].lesion == patients / "Test/Brats21/seg/BraTS2021_00002_seg.nii.gz"


def test_a_folder_of_scans_is_read_by_the_lists_too(patients, monkeypatch):
    assert [e.id for e in read_layout(patients / "Test/MSLUB", T2).entries] == [
        *("patient01", "patient02")
    ]
    monkeypatch.chdir(patients / "Test/Brats21/t2")
    found = read_layout(Path(), T2)
    assert (found.layout, len(found.entries)) == ("behrendt", 2)
    (patients / "Test/other").mkdir()
    with pytest.raises(Refused, match="holds no T2w scan of the layout behrendt"):
        read_layout(patients / "Test/other", T2)
    assert find_layout(patients / "splits") is None


def test_what_is_missing_or_for_thresholds_alone_is_said(patients):
    notes = {e.id: e.notes for e in read_layout(patients, T2).entries}
    missing = "its reference mask is not there: /Test/MSLUB/seg/patient0{}_seg.nii.gz"
    assert notes["BraTS2021_00002"] == ()
    assert notes["patient02"] == (missing.format(2),)
    assert notes["patient01"] == ("in the list of labelled validation", missing.format(1))


def test_one_patient_in_both_lists_is_tested_on_alone(patients):
    rows = [patient_row("MSLUB", "patient02", age="37")]
    write(patients / "splits/MSLUB_val.csv", MSLUB, rows)
    found = read_layout(patients, T2)
    assert sentences(found.leaks) == ("1 person is in test and no split: patient02",)
    assert [e.split for e in found.entries if e.person == "patient02"] == [Split.TEST]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column img_path"),
        (",img_name,img_path,mask_path\n", "has no column seg_path"),
        (",img_path,mask_path,seg_path\n0,a,b\n", "line 2 has 3 fields, the header 4"),
        (",img_path,mask_path,seg_path\n0,,,\n", "lists ''"),
        (",img_path,mask_path,seg_path\n0,/../x/t1/A_t1.nii.gz,,\n", r"lists '/\.\./x"),
    ],
)
def test_a_damaged_list_is_refused(text, said, patients):
    (patients / "splits/WMH_test.csv").write_text(text, "utf-8")
    with pytest.raises(Refused, match=said):
        read_layout(patients, T1)


def test_a_list_that_is_no_text_is_refused(patients):
    (patients / "splits/WMH_test.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refused, match="cannot be read"):
        read_layout(patients, T1)
