"""A folder of exams: what is not read is said."""

from pathlib import Path

import pytest

from hale.core.errors import Refused
from hale.core.scan import Contrast, Slots
from hale.data.folder import Reading, read_folder

T1W: Slots = ((Contrast.T1W,),)
DICOM = bytes(128) + b"DICM"


def folder_of(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_dicom_among_images_is_named(tmp_path):
    files = {
        "sub-01/sub-01_T1w.nii.gz": b"",
        "sub-01/sub-01_T1w.json": b"{}",
        "sub-01/LICENCE": b"words " * 40,
        "sub-02/IM0001": DICOM,
        "sub-03/README.txt": b"",
        "sub-03/a.dcm": DICOM,
        "sourcedata/sub-01/a.dcm": DICOM,
        ".git/a": DICOM,
    }
    entries, (said,) = read_folder(folder_of(tmp_path, files), T1W)
    assert [entry.id for entry in entries] == ["sub-01"]
    assert said.startswith("DICOM files were passed over in sub-02, sub-03: ")


def test_many_folders_of_dicom_are_counted_in_a_published_layout_too(tmp_path):
    files = {"IXI010-HH-1010-T1.nii.gz": b"", **{f"s{n}/a": DICOM for n in range(7)}}
    _, (said,) = read_folder(folder_of(tmp_path, files), T1W)
    assert "s0, s1, s2, s3, s4 and 2 more" in said


@pytest.mark.parametrize("name", ["sub-01_run-1_T1w.nii.gz", "IXI010-HH-1010-T1.nii.gz"])
def test_an_entity_that_no_scan_has_is_refused(name, tmp_path):
    folder = folder_of(tmp_path, {name: b""})
    with pytest.raises(Refused, match="--entity run-2: no scan has it in its name"):
        read_folder(folder, T1W, Reading(entities=["run-2"]))


def test_an_entity_that_one_exam_has_is_taken(tmp_path):
    names = ("sub-01_run-1_T1w.nii.gz", "sub-01_run-2_T1w.nii.gz", "sub-02_T1w.nii.gz")
    folder = folder_of(tmp_path, dict.fromkeys(names, b""))
    entries, _ = read_folder(folder, T1W, Reading(entities=["run-2"]))
    assert [entry.path.name for entry in entries] == list(names[1:])


def test_a_prepared_cohort_inside_a_data_set_is_not_taken_for_that(tmp_path):
    row = b"img_path,mask_path,seg_path\n/Train/ixi/t1/IXI010-HH-1010_t1.nii.gz,,\n"
    name = "IXI010-HH-1010"
    exam = {"prepared.json": b"", f"{name}_T1w.nii.gz": b""}
    files = {"splits/IXI_test.csv": row, "splits/IXI_train_fold0.csv": row}
    files |= {f"Train/prepared/{name}/{file}": content for file, content in exam.items()}
    folder = folder_of(tmp_path, files)
    entries, _ = read_folder(folder / "Train/prepared", T1W)
    assert [entry.id for entry in entries] == [name]
