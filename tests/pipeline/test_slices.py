"""Slices of BraTS-like folders: the right files, one slice for all, and nothing is touched."""

import csv
import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hale.cli.app import run
from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.pipeline.slices import (
    COLUMNS,
    FLOOR,
    TABLE,
    as_picture,
    find_exams,
    write_slices,
)

SHAPE = (24, 30, 10)
LEVELS = {"t1": 100, "t1ce": 200, "t2": 300, "flair": 400}


def volume(scale: float, *, widest: int = 6) -> np.ndarray:
    """A brain whose widest slice is ``widest``, its intensities about ``scale``."""
    i, j, k = np.indices(SHAPE)
    radius = 10 - np.abs(k - widest)
    inside = (i - 12) ** 2 + (j - 15) ** 2 < radius**2
    return np.where(inside, scale + i + 2 * j, 0).astype(np.float32)


def write(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.eye(4) if affine is None else affine), path)


@pytest.fixture
def brats(tmp_path) -> Path:
    folder = tmp_path / "brats"
    for kind, scale in LEVELS.items():
        values = volume(scale)
        if kind == "t2":
            values[:, :, 6] *= np.arange(24)[:, None] > 11  # its own widest slice is another
        write(folder / f"p1/p1_{kind}.nii.gz", values)
    write(folder / "p1/p1_seg.nii.gz", (volume(0) > 20).astype(np.uint8))
    write(folder / "p1/p1_seg_t1.nii.gz", volume(1))
    write(folder / "p2/p2_t1.nii", volume(100, widest=3))
    return folder


def hashes(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path.relative_to(folder)): (
            path.stat().st_size,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_t1_is_never_t1ce_and_seg_is_no_scan(brats):
    found = find_exams(brats)
    assert {name: list(files) for name, files in found.items()} == {
        "p1": ["t1", "t1ce", "t2", "flair"],
        "p2": ["t1"],
    }
    assert found["p1"]["t1"].name == "p1_t1.nii.gz"


def test_one_slice_is_cut_from_all_contrasts_and_told_in_a_table(brats, tmp_path):
    out = tmp_path / "out"
    rows = write_slices(brats, out)
    assert {row.id: row.slice for row in rows} == {"p1": 5, "p2": 3}
    assert {row.slice for row in rows if row.id == "p1"} == {5}
    with (out / TABLE).open(encoding="utf-8") as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    assert tuple(table[0]) == COLUMNS
    assert [row["file"] for row in table] == [
        *(f"p1/p1_{kind}.npy" for kind in LEVELS),
        "p2/p2_t1.npy",
    ]
    for row in table:
        cut = np.load(out / row["file"])
        assert (cut.shape, cut.dtype) == ((256, 256), np.float32)
        assert cut.min() == 0
        assert 0.9 < cut.max() <= 1


def test_the_folder_is_the_same_before_and_after(brats, tmp_path):
    before = hashes(brats)
    write_slices(brats, tmp_path / "out", every=True)
    assert hashes(brats) == before


def test_every_slice_with_brain_carries_its_number(brats, tmp_path):
    rows = write_slices(brats, tmp_path / "out", every=True)
    names = [Path(row.file).name for row in rows if row.id == "p2"]
    assert names == [f"p2_t1_k{k:03}.npy" for k in range(10)]


def test_a_picture_shows_the_front_on_top_and_left_on_the_left():
    values = np.zeros((20, 40, 3), np.float32)
    values[2:5, 30:36, 1] = 1  # left, and in front
    picture = as_picture(values, Grid(shape=values.shape, affine=np.diag([2.0, 1, 1, 1])), 1)
    rows, columns = np.nonzero(picture > 0.5)
    # 40 mm square, 6.4 pixels a mm: columns 2 x 2 x 6.4 = 26 to 5 x 2 x 6.4 = 64, rows from the top
    assert columns.min() == pytest.approx(26, abs=4)
    assert columns.max() == pytest.approx(63, abs=4)
    assert rows.min() == pytest.approx((40 - 36) * 6.4, abs=4)
    assert rows.max() == pytest.approx((40 - 30) * 6.4, abs=4)


def test_an_exam_that_cannot_be_cut_is_left_out_with_its_reason(brats, tmp_path):
    write(brats / "p3/p3_t1.nii.gz", volume(100))
    write(brats / "p3/p3_t2.nii.gz", volume(100), np.diag([2.0, 2, 2, 1]))
    told: list[str] = []
    rows = write_slices(brats, tmp_path / "out", tell=told.append)
    assert {row.id for row in rows} == {"p1", "p2"}
    assert told == [
        "left out p3: p3: its t2 lies on another grid; register and resample it",
    ]
    assert not (tmp_path / "out/p3").exists()


def test_exams_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for n in (1, 2):
        write(tmp_path / f"a/patient{n}/brain_t1.nii", volume(100 * n))
    write(tmp_path / "a/patient2/brain_t2.nii", volume(100))
    write(tmp_path / "a/patient3/brain_t2.nii", volume(100))
    write(tmp_path / "a/patient4/twice_t1.nii", volume(100))
    write(tmp_path / "a/patient4/twice_t1.nii.gz", volume(100))
    (tmp_path / "a/folder_flair.nii").mkdir()
    told: list[str] = []
    rows = write_slices(tmp_path / "a", tmp_path / "out", tell=told.append)
    assert [row.file for row in rows] == [
        "patient1_brain/patient1_brain_t1.npy",
        "patient2_brain/patient2_brain_t1.npy",
        "patient2_brain/patient2_brain_t2.npy",
        "patient3_brain/patient3_brain_t2.npy",
    ]
    assert rows[0].source == "patient1/brain_t1.nii"
    assert len(told) == 1
    assert "left out twice: " in told[0]


def test_the_darkest_of_the_brain_stay_above_zero(tmp_path):
    dark = volume(-100.5)  # standardised scans have brain below 0
    write(tmp_path / "a/p1_t1.nii", np.where(volume(100) > 0, dark, 0))
    write_slices(tmp_path / "a", tmp_path / "out")
    cut = np.load(tmp_path / "out/p1/p1_t1.npy")
    i, j, k = np.indices(SHAPE)
    inside = ((i - 12) ** 2 + (j - 15) ** 2 < 9**2) & (k == 6)
    seen = as_picture(inside.astype(np.float32), Grid(shape=SHAPE, affine=np.eye(4)), 6) == 1
    assert FLOOR - 1e-6 <= cut[seen].min() < 1.1 * FLOOR
    assert cut.min() == 0


def test_the_table_says_where_a_pixel_lies(tmp_path):
    values = volume(100)
    values[3:, :, 6] = 0
    values[18, 20, 6] = 500
    write(tmp_path / "a/p1_t1.nii", values, np.diag([2.0, 1.0, 3.0, 1.0]))
    row = next(
        r for r in write_slices(tmp_path / "a", tmp_path / "out", every=True) if r.slice == 6
    )
    r, c = np.unravel_index(np.load(tmp_path / "out" / row.file).argmax(), (256, 256))
    assert row.left_voxel + c * row.pixel_mm / 2 == pytest.approx(18, abs=0.6)
    assert row.front_voxel - r * row.pixel_mm / 1 == pytest.approx(20, abs=0.6)


def test_folders_without_such_exams_are_refused(tmp_path):
    write(tmp_path / "a/p1_seg.nii.gz", volume(1))
    for folder, why in (("a", "holds no"), ("none", "is not a folder")):
        with pytest.raises(Refused, match=why):
            write_slices(tmp_path / folder, tmp_path / "out")
    write(tmp_path / "c/p1_t1.nii.gz", np.where(volume(1) > 0, 5, 0).astype("f4"))
    with pytest.raises(Refused, match="no exam could be cut"):
        write_slices(tmp_path / "c", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_tells_what_it_wrote_and_refuses_its_own_input(brats, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(["slices", str(brats), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"5 slices of 2 exams; {out / TABLE}\n"
    assert run(["slices", str(brats), "--out", str(out)]) == 2
    assert run(["slices", str(brats), "--out", str(brats), "--overwrite"]) == 2
    assert (brats / "p1/p1_t1.nii.gz").exists()
