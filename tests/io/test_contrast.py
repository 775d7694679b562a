"""What names and side-cars say, and what they leave open."""

import json
from pathlib import Path

import pytest

from hale.core.errors import Refused
from hale.core.scan import Contrast
from hale.io.contrast import contrast_of_name, contrast_of_sidecar

T1W, T2W, FLAIR, PDW, T1W_CE, CT = Contrast


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("sub-01_T1w", T1W),
        ("sub-01_ses-2_acq-mprage_run-1_T1w", T1W),
        ("sub-01_ce-gd_T1w", T1W_CE),
        ("sub-01_ce-gd_run-2_T1w", T1W_CE),
        ("sub-01_ce-gd_FLAIR", FLAIR),
        ("sub-01_space-MNI_FLAIR", FLAIR),
        ("sub-01_T2w", T2W),
        ("sub-01_PDw", PDW),
        ("sub-01_ct", CT),
        ("t1", T1W),
        ("T1_MPRAGE", T1W),
        ("IXI012-HH-1211-T1", T1W),
        ("Smith.mprage.sag", T1W),
        ("FLAIR", FLAIR),
        ("t2_flair", FLAIR),
        ("T2FLAIR_3D", FLAIR),
        ("t2_tse", T2W),
        ("IXI012-HH-1211-PD", PDW),
        ("pd", PDW),
        ("t1ce", T1W_CE),
        ("t1gd", T1W_CE),
        ("T1c+", T1W_CE),
        ("T1_post", T1W_CE),
        ("t1_Gd", T1W_CE),
        ("Brats18_2013_2_1_t1ce", T1W_CE),
        ("BraTS2021_00000_flair", FLAIR),
        ("BraTS-GLI-00000-000-t1c", T1W_CE),
        ("BraTS-GLI-00000-000-t1n", T1W),
        ("BraTS-GLI-00000-000-t2f", FLAIR),
        ("BraTS-GLI-00000-000-t2w", T2W),
        ("sub 7 t1", T1W),
    ],
)
def test_names_that_say_it(name, contrast):
    told = contrast_of_name(Path("T2w") / f"{name}.nii.gz")
    assert told.contrast is contrast, told.why


@pytest.mark.parametrize(
    "name",
    [
        "scan",
        "sub-T1w",  # an id
        "sub-t1_ses-flair",
        "sub-01_acq-T1w_bold",
        "sub-FLAIR01_dwi",
        "patient1t1x",  # part of a word
        "at1",
        "t12",
        "sub-01_desc-preproc_T1w",
        "sub-01_desc-brain_mask",
        "sub-01_label-GM_probseg",
        "sub-01_T1w_seg",
        "BraTS2021_00000_seg",
        "flair_mask",
        "t1_brainmask",
        "sub-01_T1map",
        "sub-01_T2starw",
        "t1_t2",  # of two, none
    ],
)
def test_names_that_do_not(name):
    told = contrast_of_name(Path(f"T1w/{name}.nii.gz"))
    assert told.contrast is None, told.why
    assert told.why


def test_a_reason_is_told():
    assert contrast_of_name(Path("sub-01_ce-gd_T1w.nii")).why == (
        "suffix 'T1w', contrast agent 'ce-gd'"
    )
    assert "'seg'" in contrast_of_name(Path("t1_seg.nii")).why


@pytest.mark.parametrize(
    ("table", "contrast"),
    [
        ({"SeriesDescription": "t1_mprage_sag"}, T1W),
        ({"SeriesDescription": "SAG T1 MPRAGE POST GD"}, T1W_CE),
        ({"SeriesDescription": "t1_se", "ContrastBolusAgent": "Gadovist"}, T1W_CE),
        ({"SeriesDescription": "t1_se", "ContrastBolusAgent": ""}, T1W),
        ({"SeriesDescription": "Brain", "ProtocolName": "t2_tirm_dark-fluid FLAIR"}, FLAIR),
        ({"Modality": "CT", "SeriesDescription": "Head"}, CT),
        (
            {
                "EchoTime": 0.1,
                "RepetitionTime": 9,
                "InversionTime": 2.5,
                "ScanningSequence": "SE_IR",
            },
            FLAIR,
        ),
        ({"EchoTime": 0.1, "RepetitionTime": 9, "InversionTime": 2.5}, FLAIR),
        (
            {
                "EchoTime": 0.003,
                "RepetitionTime": 2.3,
                "InversionTime": 0.9,
                "ScanningSequence": "GR_IR",
            },
            T1W,
        ),
        ({"EchoTime": 0.09, "RepetitionTime": 4, "ScanningSequence": ["SE"]}, T2W),
        ({"EchoTime": 0.02, "RepetitionTime": 3, "ScanningSequence": "SE"}, PDW),
        ({"EchoTime": 90, "RepetitionTime": 4000}, None),
        ({"EchoTime": True, "RepetitionTime": "4", "InversionTime": None}, None),
        ({"SeriesDescription": "ep2d_diff_trace"}, None),
        ({}, None),
    ],
)
def test_side_cars(tmp_path, table, contrast):
    file = tmp_path / "scan.json"
    file.write_text(json.dumps(table))
    told = contrast_of_sidecar(file)
    assert told.contrast is contrast, told.why
    assert told.why


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_broken_side_car_is_refused_by_name(tmp_path, text):
    file = tmp_path / "scan.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(Refused, match=r"scan\.json"):
        contrast_of_sidecar(file)


def test_all_shared_scans_say_what_they_are(shared_data):
    said = {p.name: contrast_of_name(p).contrast for p in shared_data.rglob("*.nii.gz")}
    assert said["sub-FG6692_ce-gd_T1w.nii.gz"] is T1W_CE
    assert said["sub-long12_ses-1_T2w.nii.gz"] is T2W
    assert sum(contrast is T1W for contrast in said.values()) >= 168
    for name, contrast in said.items():
        assert (contrast is None) == ("mask" in name or "lesion" in name)
