"""Each layout on a tiny tree with the names of its public archive."""

from pathlib import Path

import pytest

from hale.core.errors import Refused
from hale.core.scan import Contrast, Split
from hale.data.layouts import LAYOUTS, find_layout, read_layout

T1W, T2W, FLAIR = Contrast.T1W, Contrast.T2W, Contrast.FLAIR
PDW, T1W_CE = Contrast.PDW, Contrast.T1W_CE
EACH = {T1W: ((T1W,),), T2W: ((T2W,),), FLAIR: ((FLAIR,),)}

ATLAS = "sub-r001s001_ses-1_space-MNI152NLin2009aSym"
TREES = {
    "atlas": [
        f"Training/R001/sub-r001s001/ses-1/anat/{ATLAS}_T1w.nii.gz",
        f"Training/R001/sub-r001s001/ses-1/anat/{ATLAS}_label-L_desc-T1lesion_mask.nii.gz",
        "Testing/R002/sub-r002s001/ses-1/anat/"
        "sub-r002s001_ses-1_space-MNI152NLin2009aSym_T1w.nii.gz",
    ],
    "brats": [
        *(
            f"HGG/Brats18_2013_2_1/Brats18_2013_2_1_{kind}.nii.gz"
            for kind in ("flair", "seg", "t1", "t1ce", "t2")
        ),
        *(
            f"LGG/Brats18_TCIA13_653_1/Brats18_TCIA13_653_1_{kind}.nii.gz"
            for kind in ("flair", "seg", "t1", "t1ce", "t2")
        ),
    ],
    "hcp": [
        "100307/T1w/T1w_acpc_dc_restore.nii.gz",
        "100307/T1w/T1w_acpc_dc_restore_1.25.nii.gz",
        "100307/T1w/T1w_acpc_dc_restore_brain.nii.gz",
        "100307/T1w/T2w_acpc_dc_restore.nii.gz",
        "100307/T1w/brainmask_fs.nii.gz",
        "100307/MNINonLinear/T1w_restore.nii.gz",
        "100408/unprocessed/3T/T1w_MPR1/100408_3T_T1w_MPR1.nii.gz",
        "100408/unprocessed/3T/T1w_MPR2/100408_3T_T1w_MPR2.nii.gz",
        "100408/unprocessed/3T/T2w_SPC1/100408_3T_T2w_SPC1.nii.gz",
        "100408/T1w/brainmask_fs.nii.gz",
    ],
    "ixi": [
        "IXI-T1/IXI012-HH-1211-T1.nii.gz",
        "IXI-T2/IXI012-HH-1211-T2.nii.gz",
        "IXI-PD/IXI012-HH-1211-PD.nii.gz",
        "IXI-T1/IXI002-Guys-0828-T1.nii.gz",
        "IXI-MRA/IXI002-Guys-0828-MRA.nii.gz",
        "IXI-T1/IXI035-IOP-0873-T1.nii.gz",
    ],
    "mood": [
        "brain/brain_train/00000.nii.gz",
        "brain/brain_train/00001.nii.gz",
        "brain/toy/toy_0.nii.gz",
        "brain/toy_label/pixel/toy_0.nii.gz",
        "brain/toy_label/sample/toy_0.nii.gz.txt",
        "abdom/abdom_train/00000.nii.gz",
        "abdom/toy/toy_0.nii.gz",
    ],
    "mslub": [
        *(
            f"patient01/patient01_{kind}.nii.gz"
            for kind in ("T1W", "T1WKS", "T2W", "FLAIR", "brainmask", "consensus_gt")
        ),
        *(f"patient01/raw/patient01_{kind}.nii.gz" for kind in ("T1W", "T2W", "FLAIR")),
        "patient01/patient01_T1W_to_FLAIR.txt",
    ],
    "wmh": [
        *(
            f"Utrecht/0/{folder}/{kind}.nii.gz"
            for folder in ("orig", "pre")
            for kind in ("T1", "FLAIR", "3DT1")
        ),
        "Utrecht/0/wmh.nii.gz",
        "Singapore/50/pre/T1.nii.gz",
        "Singapore/50/pre/FLAIR.nii.gz",
        "Singapore/50/wmh.nii.gz",
        "test/Amsterdam/Philips_VU .PETMR_01./160/orig/FLAIR.nii.gz",
        "test/Amsterdam/Philips_VU .PETMR_01./160/wmh.nii.gz",
        "additional_annotations/observer_o3/training/Utrecht/0/result.nii.gz",
    ],
}


def made(folder: Path, names) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def shown(folder: Path, slots, **options):
    """Of each exam: files by contrast, brain and lesion, relative to the folder."""
    return {
        e.id: (
            {c: p.relative_to(folder).as_posix() for c, p in e.files.items()},
            e.brain and e.brain.relative_to(folder).as_posix(),
            e.lesion and e.lesion.relative_to(folder).as_posix(),
        )
        for e in read_layout(folder, slots, **options).entries
    }


@pytest.mark.parametrize("layout", TREES)
def test_a_layout_is_recognised_and_no_other_is(layout, tmp_path):
    assert find_layout(made(tmp_path / "data", TREES[layout])) == layout


def test_every_layout_has_a_tree_here():
    assert set(TREES) | {"behrendt"} == set(LAYOUTS)


@pytest.mark.parametrize(
    "names",
    [
        ["sub-01/anat/sub-01_T1w.nii.gz", "sub-01/anat/sub-01_label-lesion_mask.nii.gz"],
        ["sub-IXI012/anat/sub-IXI012_T1w.nii.gz", "participants.tsv"],
        ["a.nii.gz", "b.nii.gz"],
        ["1/orig/T1.nii.gz", "1/pre/FLAIR.nii.gz", "1/segm.nii.gz"],  # MRBrainS 2018
        [".hidden/IXI012-HH-1211-T1.nii.gz", "._IXI012-HH-1211-T1.nii.gz"],
        ["abdom/toy/toy_0.nii.gz"],
        [],
    ],
)
def test_other_folders_are_of_no_layout(names, tmp_path):
    folder = made(tmp_path / "data", names)
    folder.mkdir(exist_ok=True)
    assert find_layout(folder) is None
    with pytest.raises(Refused, match="no layout of a published data set; take a folder of one"):
        read_layout(folder, EACH[T1W])


def test_no_folder_and_no_such_layout_are_refused(tmp_path):
    with pytest.raises(Refused, match="is not a folder"):
        find_layout(tmp_path / "nowhere")
    with pytest.raises(Refused, match="oasis: is no layout"):
        read_layout(tmp_path, EACH[T1W], name="oasis")


def test_two_data_sets_in_one_folder_are_refused_and_told_apart_by_name(tmp_path):
    folder = made(tmp_path / "data", TREES["ixi"] + TREES["brats"])
    with pytest.raises(Refused, match="holds several data sets: brats, ixi"):
        find_layout(folder)
    assert len(read_layout(folder, EACH[T1W], name="brats").entries) == 2


@pytest.mark.parametrize(
    ("layout", "below", "count"),
    [
        ("ixi", "IXI-T1", 3),
        ("mslub", "patient01", 1),
        ("hcp", "100307", 1),
        ("wmh", "Utrecht", 1),
        ("brats", "HGG/Brats18_2013_2_1", 1),
        ("mood", "brain/brain_train", 2),
        ("atlas", "Training", 1),
    ],
)
def test_a_folder_of_a_data_set_is_recognised_too(layout, below, count, tmp_path):
    folder = made(tmp_path / "data", TREES[layout]) / below
    assert find_layout(folder) == layout
    assert len(read_layout(folder, EACH[T1W]).entries) == count


def test_links_are_followed_and_loops_are_not(tmp_path):
    folder = made(tmp_path / "data", TREES["ixi"])
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "IXI-T1").symlink_to(folder / "IXI-T1")
    (folder / "IXI-T1" / "back").symlink_to(folder)
    assert len(read_layout(tmp_path / "linked", EACH[T1W]).entries) == 3


def test_a_contrast_that_no_exam_has_is_refused(tmp_path):
    folder = made(tmp_path, TREES["ixi"])
    with pytest.raises(Refused, match="holds no FLAIR scan of the layout ixi"):
        read_layout(folder, EACH[FLAIR])


def test_folds_are_for_lists(tmp_path):
    with pytest.raises(Refused, match="ixi has no folds"):
        read_layout(made(tmp_path, TREES["ixi"]), EACH[T1W], fold=0)


def test_one_scan_in_two_places_is_refused(tmp_path):
    folder = made(tmp_path, ["a/IXI012-HH-1211-T1.nii.gz", "b/IXI012-HH-1211-T1.nii"])
    with pytest.raises(Refused, match=r"IXI012-HH-1211 T1: is there twice: .*a/.* and .*b/"):
        read_layout(folder, EACH[T1W])


def test_channels_are_filled_in_their_order_and_an_exam_may_lack_one(tmp_path):
    folder = made(tmp_path, TREES["ixi"])
    entries = read_layout(folder, ((T2W, PDW), (T1W,))).entries
    assert {e.id: list(e.files) for e in entries} == {
        "IXI012-HH-1211": [T2W, T1W],
        "IXI002-Guys-0828": [T1W],  # refused by name when it is prepared
        "IXI035-IOP-0873": [T1W],
    }
    assert [e.notes for e in entries if e.person == "IXI012"] == [("not used by this model: PDw",)]


def test_ixi(tmp_path):
    folder = made(tmp_path, TREES["ixi"])
    assert shown(folder, EACH[T2W]) == {
        "IXI012-HH-1211": ({T2W: "IXI-T2/IXI012-HH-1211-T2.nii.gz"}, None, None)
    }
    found = read_layout(folder, EACH[T1W])
    assert {e.person for e in found.entries} == {"IXI002", "IXI012", "IXI035"}
    assert {e.split for e in found.entries} == {None}


def test_atlas(tmp_path):
    folder = made(tmp_path, TREES["atlas"])
    place = "Training/R001/sub-r001s001/ses-1/anat"
    found = shown(folder, EACH[T1W])
    assert found["sub-r001s001_ses-1"] == (
        {T1W: f"{place}/{ATLAS}_T1w.nii.gz"},
        None,
        f"{place}/{ATLAS}_label-L_desc-T1lesion_mask.nii.gz",
    )
    assert found["sub-r002s001_ses-1"][2] is None
    entries = read_layout(folder, EACH[T1W]).entries
    assert [e.person for e in entries] == ["sub-r002s001", "sub-r001s001"]


def test_atlas_below_derivatives(tmp_path):
    place = "train/derivatives/ATLAS/sub-r001s001/ses-1/anat"
    folder = made(tmp_path, [f"{place}/{ATLAS}_T1w.nii.gz"])
    assert list(shown(folder, EACH[T1W])) == ["sub-r001s001_ses-1"]


def test_brats_2018(tmp_path):
    folder = made(tmp_path, TREES["brats"])
    case = "HGG/Brats18_2013_2_1/Brats18_2013_2_1"
    assert shown(folder, ((T1W,), (T1W_CE,), (T2W,), (FLAIR,)))["Brats18_2013_2_1"] == (
        {
            T1W: f"{case}_t1.nii.gz",
            T1W_CE: f"{case}_t1ce.nii.gz",
            T2W: f"{case}_t2.nii.gz",
            FLAIR: f"{case}_flair.nii.gz",
        },
        None,
        f"{case}_seg.nii.gz",
    )


@pytest.mark.parametrize(
    ("names", "id_", "person", "lesion"),
    [
        (
            ["BraTS20_Training_001/BraTS20_Training_001_flair.nii"],
            *("BraTS20_Training_001", "BraTS20_Training_001", None),
        ),
        (
            [
                "BraTS20_Training_355/BraTS20_Training_355_flair.nii",
                "BraTS20_Training_355/W39_1998.09.19_Segm.nii",
            ],
            *("BraTS20_Training_355", "BraTS20_Training_355", "W39_1998.09.19_Segm.nii"),
        ),
        (
            [
                "BraTS2021_00000/BraTS2021_00000_flair.nii.gz",
                "BraTS2021_00000/BraTS2021_00000_seg.nii.gz",
            ],
            *("BraTS2021_00000", "BraTS2021_00000", "BraTS2021_00000_seg.nii.gz"),
        ),
        (
            [
                "BraTS-GLI-00000-001/BraTS-GLI-00000-001-t2f.nii.gz",
                "BraTS-GLI-00000-001/BraTS-GLI-00000-001-seg.nii.gz",
            ],
            *("BraTS-GLI-00000-001", "BraTS-GLI-00000", "BraTS-GLI-00000-001-seg.nii.gz"),
        ),
    ],
)
def test_brats_of_other_years(names, id_, person, lesion, tmp_path):
    folder = made(tmp_path, names)
    assert find_layout(folder) == "brats"
    (entry,) = read_layout(folder, EACH[FLAIR]).entries
    assert (entry.id, entry.person, entry.split) == (id_, person, Split.TEST)
    assert entry.path == folder / names[0]
    assert (entry.lesion and entry.lesion.name) == lesion


def test_wmh_takes_the_scans_as_they_came_and_leaves_3d_t1_alone(tmp_path):
    folder = made(tmp_path / "wmh", TREES["wmh"])
    assert shown(folder, ((T1W, FLAIR),)) == {
        "Singapore_50": (
            {T1W: "Singapore/50/pre/T1.nii.gz"},
            *(None, "Singapore/50/wmh.nii.gz"),
        ),
        "Utrecht_0": ({T1W: "Utrecht/0/orig/T1.nii.gz"}, None, "Utrecht/0/wmh.nii.gz"),
        "Philips_VU_PETMR_01_160": (
            {FLAIR: "test/Amsterdam/Philips_VU .PETMR_01./160/orig/FLAIR.nii.gz"},
            *(None, "test/Amsterdam/Philips_VU .PETMR_01./160/wmh.nii.gz"),
        ),
    }
    labels = read_layout(folder, EACH[FLAIR]).labels
    assert (labels.lesion, labels.ignored) == ((1,), (2,))


def test_mslub_takes_the_coregistered_scans(tmp_path):
    folder = made(tmp_path, TREES["mslub"])
    assert shown(folder, ((FLAIR,), (T1W_CE,))) == {
        "patient01": (
            {
                FLAIR: "patient01/patient01_FLAIR.nii.gz",
                T1W_CE: "patient01/patient01_T1WKS.nii.gz",
            },
            "patient01/patient01_brainmask.nii.gz",
            "patient01/patient01_consensus_gt.nii.gz",
        )
    }


def test_the_mirror_of_mslub(tmp_path):
    names = [
        "cross_sectional/coregistered/patient01/FLAIR.nii.gz",
        "cross_sectional/coregistered/patient01/patient01_brainmask.nii.gz",
        "cross_sectional/coregistered/patient01/consensus_gt.nii.gz",
        "cross_sectional/raw/patient01/FLAIR.nii.gz",
        "cross_sectional/raw/patient01/consensus_gt.nii.gz",
        "longitudinal/raw/patient01/study1_FLAIR.nii.gz",
    ]
    folder = made(tmp_path, names)
    files, brain, lesion = shown(folder, EACH[FLAIR])["patient01"]
    assert [files[FLAIR], brain, lesion] == names[:3]


def test_hcp_takes_the_extracted_then_the_restored_then_the_raw(tmp_path):
    folder = made(tmp_path, TREES["hcp"])
    assert shown(folder, ((T1W,), (T2W,))) == {
        "100307": (
            {
                T1W: "100307/T1w/T1w_acpc_dc_restore_brain.nii.gz",
                T2W: "100307/T1w/T2w_acpc_dc_restore.nii.gz",
            },
            "100307/T1w/brainmask_fs.nii.gz",
            None,
        ),
        "100408": (
            {
                T1W: "100408/unprocessed/3T/T1w_MPR1/100408_3T_T1w_MPR1.nii.gz",
                T2W: "100408/unprocessed/3T/T2w_SPC1/100408_3T_T2w_SPC1.nii.gz",
            },
            None,  # its mask lies on the restored grid
            None,
        ),
    }


@pytest.mark.parametrize("toys", ["brain", "brain_toy"])
def test_mood(toys, tmp_path):
    names = [name.replace("brain/toy", f"{toys}/toy") for name in TREES["mood"]]
    entries = read_layout(made(tmp_path / "mood", names), EACH[T1W]).entries
    assert [(e.id, e.split) for e in entries] == [
        *(("00000", None), ("00001", None), ("toy_0", Split.TEST))
    ]
    assert entries[2].path == tmp_path / "mood" / toys / "toy/toy_0.nii.gz"
    assert entries[2].lesion == tmp_path / "mood" / toys / "toy_label/pixel/toy_0.nii.gz"
