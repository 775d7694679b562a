"""`hale detect` on every way to give an exam: by contrast, as a BIDS folder, as DICOM, as a CT."""

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest

from hale.cli.app import run

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
sys.path.insert(0, str(Path(__file__).parents[1] / "prep"))
from ct_head import Head, head
from dicom_series import FLAIR_TIMES, T1_TIMES, TO_LPS, Exam, Stack, write_classic, write_localiser

COARSE = ("--set", "prep.spacing_mm=4", "--set", "prep.shape=[48,48,40]")
TWO = ("--method", "intensity-default", "--set", 'prep.slots=[["T1w"],["FLAIR"]]', *COARSE)


@pytest.fixture(scope="module")
def real(shared_data, tmp_path_factory) -> Path:
    """Three contrasts of a patient, brain-extracted, at 2 mm: a_T1w, a_T2w, a_FLAIR."""
    folder = tmp_path_factory.mktemp("real")
    for contrast in ("T1w", "T2w", "FLAIR"):
        path = shared_data / f"mslub/sub-07/anat/sub-07_space-MNI_{contrast}.nii.gz"
        half = nib.load(path).slicer[::2, ::2, ::2]
        nib.save(half, folder / f"a_{contrast}.nii.gz")
    return folder


@pytest.fixture
def detect(place, tmp_path) -> Callable[..., int]:
    """Run `hale detect` into ``tmp_path / "out"``, without a report."""

    def run_it(*arguments: str | Path) -> int:
        where = ("--out", str(tmp_path / "out"), "--cache", str(place.cache), "--workers", "1")
        return run(["detect", "--no-report", *where, *map(str, arguments)])

    return run_it


@pytest.fixture
def found(tmp_path) -> Callable[[], dict]:
    return lambda: json.loads((tmp_path / "out/detection.json").read_text(encoding="utf-8"))


def test_contrasts_in_either_order_give_one_map_and_what_is_unused_is_said(
    detect, real, tmp_path, found, capsys
):
    t1, t2, flair = (real / f"a_{c}.nii.gz" for c in ("T1w", "T2w", "FLAIR"))
    assert detect("--t1w", t1, "--flair", flair, *TWO) == 0
    assert capsys.readouterr().out.splitlines() == [
        "note: already brain-extracted: its background is one value",
        "map and ranks only: not calibrated",
        str(tmp_path / "out"),
    ]
    first = nib.load(tmp_path / "out/anomaly.nii.gz")
    values = np.asarray(first.dataobj)
    assert detect("--flair", flair, "--t2w", t2, "--t1w", t1, *TWO, "--overwrite") == 0
    assert "note: not used by this model: T2w" in capsys.readouterr().out
    assert found()["contrasts"] == ["T1w", "FLAIR"]
    assert [seen["agrees"] for seen in found()["quality"]["contrasts"]] == [True, True]
    assert np.array_equal(nib.load(tmp_path / "out/anomaly.nii.gz").dataobj, values)
    assert first.shape == nib.load(t1).shape
    assert values.max() > 0


def test_a_missing_contrast_is_refused_by_name(detect, real, capsys, line):
    assert detect("--flair", real / "a_FLAIR.nii.gz", *TWO) == 2
    assert "a: is FLAIR, the model takes T1w + FLAIR" in line(capsys)
    assert detect(real / "a_FLAIR.nii.gz", *TWO) == 2
    said = "is one file, the model takes T1w + FLAIR; give --t1w FILE --flair FILE"
    assert said in line(capsys)


def test_another_contrast_is_refused_by_name_and_by_side_car_unless_insisted(
    detect, real, tmp_path, capsys, line, found
):
    t1, t2 = real / "a_T1w.nii.gz", real / "a_T2w.nii.gz"
    assert detect("--t1w", t1, "--flair", t2, *TWO) == 2
    assert "is given as FLAIR, but says T2w (description 'a t2w')" in line(capsys)
    nameless = shutil.copy(t2, tmp_path / "b.nii.gz")
    times = '{"ScanningSequence": "SE", "EchoTime": 0.1, "RepetitionTime": 5.0}'
    (tmp_path / "b.json").write_text(times)
    assert detect("--t1w", t1, "--flair", nameless, *TWO) == 2
    said = line(capsys)
    assert "b.nii.gz: is given as FLAIR, but says T2w" in said
    assert "--insist" in said
    assert detect("--t1w", t1, "--flair", nameless, *TWO, "--insist") == 0
    assert found()["contrasts"] == ["T1w", "FLAIR"]


def test_a_renamed_flair_is_refused_by_its_intensities_unless_insisted(
    place, detect, real, tmp_path, capsys, line, found
):
    scan = shutil.copy(real / "a_FLAIR.nii.gz", tmp_path / "scan.nii.gz")
    model = ("--model", place.model)
    assert detect(scan, *model) == 2
    assert "scan: called T1w, looks like FLAIR (ventricles" in line(capsys)
    assert detect(scan, *model, "--insist", "--report") == 0
    assert "quality, refuse: called T1w, looks like FLAIR" in capsys.readouterr().out
    quality = found()["quality"]
    assert quality["verdict"] == "refuse"
    (seen,) = quality["contrasts"]
    assert (seen["claimed"], seen["recognised"], seen["agrees"]) == ("T1w", "FLAIR", False)
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "Quality control refuses this scan; the user insisted" in page
    assert "Called T1w, looks like FLAIR" in page


@pytest.fixture(scope="module")
def bids(real, tmp_path_factory) -> Path:
    """sub-1: two T1w runs; sub-2: two sessions; sub-3: no FLAIR."""
    folder = tmp_path_factory.mktemp("bids")
    for name, contrast in (
        ("sub-1/anat/sub-1_run-1_T1w", "T1w"),
        ("sub-1/anat/sub-1_run-2_T1w", "T1w"),
        ("sub-1/anat/sub-1_FLAIR", "FLAIR"),
        ("sub-2/ses-1/anat/sub-2_ses-1_acq-mprage_T1w", "T1w"),
        ("sub-2/ses-1/anat/sub-2_ses-1_FLAIR", "FLAIR"),
        ("sub-2/ses-2/anat/sub-2_ses-2_T1w", "T1w"),
        ("sub-2/ses-2/anat/sub-2_ses-2_FLAIR", "FLAIR"),
        ("sub-3/anat/sub-3_T1w", "T1w"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(real / f"a_{contrast}.nii.gz", folder / f"{name}.nii.gz")
    return folder


def test_a_subject_with_two_runs_is_refused_by_name_and_settled(
    detect, bids, tmp_path, capsys, line, found
):
    assert detect(bids / "sub-1", *TWO) == 2
    said = line(capsys)
    assert "sub-1: has 2 T1w scans: sub-1_run-1_T1w.nii.gz, sub-1_run-2_T1w.nii.gz" in said
    assert "--entity" in said
    assert detect(bids / "sub-1", *TWO, "--entity", "run-2") == 0
    files = found()["provenance"]["input_files"]
    assert files == ["sub-1_run-2_T1w.nii.gz", "sub-1_FLAIR.nii.gz"]


def test_a_session_is_one_exam_and_a_subject_of_two_is_two(detect, bids, tmp_path, found):
    assert detect(bids / "sub-2/ses-1", *TWO) == 0
    assert found()["id"] == "sub-2_ses-1"
    assert detect(bids / "sub-2", *TWO, "--overwrite") == 0
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {"sub-2_ses-1", "sub-2_ses-2"}


def test_a_cohort_goes_on_where_a_subject_lacks_a_contrast(detect, bids, tmp_path, capsys):
    assert detect(bids, *TWO, "--entity", "run-1") == 3
    said = capsys.readouterr()
    assert "failed sub-3: sub-3: is T1w, the model takes T1w + FLAIR" in said.out
    assert "3 scans done (0 before), map and ranks only: not calibrated" in said.out
    with (tmp_path / "out/cohort.tsv").open(encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert {name: row["status"] for name, row in rows.items()} == {
        "sub-1": "done",
        "sub-2_ses-1": "done",
        "sub-2_ses-2": "done",
        "sub-3": "failed",
    }
    assert "is T1w, the model takes T1w + FLAIR" in rows["sub-3"]["reason"]


@pytest.fixture(scope="module")
def dicom(real, tmp_path_factory) -> Path:
    """A localiser, a sagittal T1w in shuffled files and a FLAIR, in one folder."""
    folder, who = tmp_path_factory.mktemp("dicom") / "exam", Exam()
    t1, flair = (stack(real / f"a_{c}.nii.gz") for c in ("T1w", "FLAIR"))
    write_localiser(folder, t1, exam=who, number=1)
    tags = {"SeriesNumber": 3, "SeriesDescription": "Sag T1", **T1_TIMES}
    write_classic(folder, t1.turned("PIL"), tags, exam=who, shuffle=1)
    tags = {"SeriesNumber": 5, "SeriesDescription": "Ax FLAIR", **FLAIR_TIMES}
    write_classic(folder, flair.turned("LPS"), tags, exam=who)
    return folder


def stack(path: Path) -> Stack:
    image = nib.load(path)
    values = np.asarray(image.dataobj).clip(0)
    return Stack(values=np.rint(values).astype(np.int16), affine=image.affine)


def test_a_dicom_folder_gets_a_mask_on_its_own_slices(
    place, detect, dicom, tmp_path, capsys, found
):
    assert detect(dicom, "--model", place.model) == 0
    assert "note: T1w: DICOM series 3" in capsys.readouterr().out
    assert found()["id"] == "exam"
    mask = nib.load(tmp_path / "out/mask.nii.gz")
    labels = np.asarray(mask.dataobj)
    assert (labels > 0).any()
    segmentation = hd.seg.segread(tmp_path / "out/mask.seg.dcm")
    assert segmentation.number_of_segments == labels.max() == len(found()["lesions"])
    volume = segmentation.get_volume(combine_segments=True)
    assert placed(volume.array, TO_LPS @ volume.affine) == placed(labels, mask.affine)


def placed(labels: np.ndarray, affine: np.ndarray) -> dict[tuple[float, ...], int]:
    """Return label by position, mm to 0.1."""
    index = np.argwhere(labels)
    mm = (index @ affine[:3, :3].T + affine[:3, 3]).round(1) + 0.0
    return dict(zip(map(tuple, mm.tolist()), labels[tuple(index.T)].tolist(), strict=True))


def test_a_series_can_be_named_and_what_is_there_is_shown(
    place, detect, dicom, capsys, line, found
):
    assert run(["series", str(dicom), "--json"]) == 0
    rows = {row["series"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["3"]["contrast"], rows["5"]["contrast"]) == ("T1w", "FLAIR")
    assert all("localiser" in rows[key]["problems"][0] for key in set(rows) - {"3", "5"})
    assert detect(dicom, "--model", place.model, "--series", "T1w=9") == 2
    assert "--series T1w=9: there is no such series among" in line(capsys)
    assert detect(dicom, "--model", place.model, "--series", "T1w=5") == 2
    assert "exam: called T1w, looks like FLAIR" in line(capsys)
    assert detect(dicom, "--method", "intensity", "--series", "FLAIR=5") == 0
    assert found()["contrasts"] == ["FLAIR"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--method", "atlas"), "--method atlas: learns from healthy scans, not from one"),
        (("--method", "ae-default"), "--method ae-default: learns from healthy scans"),
        (("--method", "nosuch"), "--method nosuch: is neither a method nor a recipe"),
        (("--method", "intensity", "--model", "m"), "--model and --method: are both given"),
        ((), "--model and --method: are both missing"),
    ],
    ids=["learns", "recipe that learns", "unknown", "both", "neither"],
)
def test_what_finds_is_a_model_or_a_method_for_single_scans(
    given, said, detect, real, capsys, line
):
    assert detect(real / "a_T1w.nii.gz", *given) == 2
    assert said in line(capsys)


def test_one_slice_needs_no_brain_extraction_and_no_registration(
    detect, shared_data, tmp_path, found
):
    scan = shared_data / "soop/sub-1271/anat/sub-1271_space-MNI_FLAIR.nii.gz"
    assert detect(scan, "--method", "intensity") == 0
    assert found()["contrasts"] == ["FLAIR"]
    assert not {"extract", "register", "bias"} & set(found()["seconds"])
    path = scan.with_name("sub-1271_space-MNI_desc-lesion_mask.nii.gz")
    lesion = np.asarray(nib.load(path).dataobj) > 0
    brain = np.asarray(nib.load(tmp_path / "out/brain.nii.gz").dataobj) > 0
    values = np.asarray(nib.load(tmp_path / "out/anomaly.nii.gz").dataobj)
    assert values[lesion & brain].mean() > 2 * values[brain & ~lesion].mean()


def test_asymmetry_where_the_scanner_put_the_head_is_refused(detect, real, tmp_path, capsys, line):
    image = nib.load(real / "a_T1w.nii.gz")
    away = image.affine.copy()
    away[0, 3] += 40
    moved = tmp_path / "moved_T1w.nii.gz"
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), away), moved)
    assert detect(moved, "--method", "asymmetry") == 2
    said = line(capsys)
    assert "asymmetry: needs template space" in said
    assert "--method asymmetry-default" in said


@pytest.fixture(scope="module")
def ct() -> Head:
    return head(turn=(10.0, -6.0, 8.0))


def test_a_ct_gets_a_map_in_which_blood_leads(detect, ct, tmp_path, found):
    scan = ct.save(tmp_path / "head.nii.gz")
    assert detect(scan, "--contrast", "CT", "--method", "intensity") == 0
    brain = np.asarray(nib.load(tmp_path / "out/brain.nii.gz").dataobj) > 0
    assert 2 * (brain & ct.brain).sum() / (brain.sum() + ct.brain.sum()) > 0.95
    prep = found()["provenance"]["recipe"]["prep"]
    assert (prep["normalise"], prep["window"]) == ("window", [0.0, 80.0])
    values = np.asarray(nib.load(tmp_path / "out/anomaly.nii.gz").dataobj)
    top = values > np.quantile(values[brain], 1 - 0.5 * ct.blood.sum() / brain.sum())
    assert (top & ct.blood).sum() > 0.95 * top.sum()


def test_a_ct_is_refused_by_a_model_of_mr_named_or_not(place, detect, ct, tmp_path, capsys, line):
    scan = ct.save(tmp_path / "head.nii.gz")
    assert detect(scan, "--contrast", "CT", "--model", place.model) == 2
    assert "head: is CT, the model takes T1w" in line(capsys)
    assert detect(scan, "--model", place.model) == 2
    said = line(capsys)
    assert "head: is a CT (values down to -1" in said
    assert "--contrast CT" in said


def test_a_ct_without_hounsfield_units_is_refused_unless_its_brain_is_given(
    detect, ct, tmp_path, capsys, line, found
):
    scan = ct.save(tmp_path / "sub-1_CT.nii.gz", plus=1024)
    assert detect(scan, "--method", "intensity") == 2
    said = line(capsys)
    assert "sub-1: its values are no Hounsfield units" in said
    assert "--brain-mask" in said
    mask = tmp_path / "brain.nii.gz"
    nib.save(nib.Nifti1Image(ct.brain.astype(np.uint8), ct.volume.grid.affine), mask)
    window = ("--set", "prep.window=[1024,1104]")
    assert detect(scan, "--method", "intensity", "--brain-mask", mask, *window) == 0
    assert found()["notes"] == ["brain mask given by the user"]
    written = np.asarray(nib.load(tmp_path / "out/brain.nii.gz").dataobj) > 0
    assert np.array_equal(written, ct.brain)
