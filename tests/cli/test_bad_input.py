"""Every kind of bad input gets its own one-line answer and status 2, and leaves nothing behind."""

import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hale.cli.app import run


def image(values: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    made = nib.Nifti1Image(values, affine)
    made.set_qform(None, 0)
    made.set_sform(affine, 1)
    return made


def saved(made: nib.Nifti1Image, path: Path) -> Path:
    nib.save(made, path)
    return path


def patched(path: Path, values: np.ndarray, affine: np.ndarray, **fields) -> Path:
    """Write the scan, then change fields of its header that nibabel itself would not write."""
    data = bytearray(image(values, affine).to_bytes())
    header = nib.Nifti1Header(bytes(data[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    data[:348] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(data)))
    return path


def not_a_file(folder, values, affine):
    (folder / "scan.nii.gz").mkdir()
    return folder / "scan.nii.gz"


def missing(folder, values, affine):
    return folder / "nowhere.nii.gz"


def empty(folder, values, affine):
    (folder / "scan.nii.gz").touch()
    return folder / "scan.nii.gz"


def truncated_gzip(folder, values, affine):
    path = saved(image(values, affine), folder / "scan.nii.gz")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def truncated_plain(folder, values, affine):
    path = saved(image(values, affine), folder / "scan.nii")
    path.write_bytes(path.read_bytes()[:-1000])
    return path


def gzip_cut_in_the_header(folder, values, affine):
    path = saved(image(values, affine), folder / "scan.nii.gz")
    path.write_bytes(path.read_bytes()[:60])
    return path


def text(folder, values, affine):
    path = folder / "scan.nii.gz"
    path.write_text("this is no scan\n" * 40)
    return path


def gzipped_text(folder, values, affine):
    path = folder / "scan.nii.gz"
    path.write_bytes(gzip.compress(b"this is no scan\n" * 40))
    return path


def text_as_mgz(folder, values, affine):
    path = folder / "scan.mgz"
    path.write_bytes(gzip.compress(b"this is no scan\n" * 40))
    return path


def another_suffix(folder, values, affine):
    path = folder / "scan.docx"
    path.write_text("hello")
    return path


def header_without_image(folder, values, affine):
    nib.save(nib.Nifti1Pair(values, affine), folder / "scan.img")
    (folder / "scan.img").unlink()
    return folder / "scan.hdr"


def image_without_header(folder, values, affine):
    nib.save(nib.Nifti1Pair(values, affine), folder / "scan.img")
    (folder / "scan.hdr").unlink()
    return folder / "scan.img"


def four_d(folder, values, affine):
    return saved(image(np.stack([values, values], -1), affine), folder / "scan.nii.gz")


def two_d(folder, values, affine):
    return saved(image(values[:, :, 40], affine), folder / "scan.nii.gz")


def one_slice(folder, values, affine):
    return saved(image(values[:, :, 40:41], affine), folder / "scan.nii.gz")


def rgb(folder, values, affine):
    colour = np.zeros(values.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    return saved(image(colour, affine), folder / "scan.nii.gz")


def complex_numbers(folder, values, affine):
    return saved(image(values.astype(np.complex64), affine), folder / "scan.nii.gz")


def all_constant(folder, values, affine):
    return saved(image(np.full_like(values, 7), affine), folder / "scan.nii.gz")


def all_nan(folder, values, affine):
    return saved(image(np.full(values.shape, np.nan, "f4"), affine), folder / "scan.nii.gz")


def constant_or_nan(folder, values, affine):
    holes = np.where(values > 0, np.nan, 0).astype("f4")
    return saved(image(holes, affine), folder / "scan.nii.gz")


def nan_deep_in_the_brain(folder, values, affine):
    holed = values.astype("f4")
    holed[tuple(slice(n // 2 - 2, n // 2 + 2) for n in values.shape)] = np.nan
    return saved(image(holed, affine), folder / "scan.nii.gz")


def nan_at_the_cortex(folder, values, affine):
    holed = values.astype("f4")
    at = np.argwhere(values > 0)
    tip = tuple(at[at[:, 0].argmin()])
    holed[tuple(slice(n - 3, n + 4) for n in tip)] = np.nan
    return saved(image(holed, affine), folder / "scan.nii.gz")


def infinity_in_the_brain(folder, values, affine):
    holed = values.astype("f4")
    holed[tuple(n // 2 for n in values.shape)] = np.inf
    return saved(image(holed, affine), folder / "scan.nii.gz")


def zero_affine(folder, values, affine):
    path = folder / "scan.nii.gz"
    rows = {f"srow_{axis}": np.zeros(4) for axis in "xyz"}
    return patched(path, values, affine, **rows)


def singular_affine(folder, values, affine):
    return patched(folder / "scan.nii.gz", values, affine, srow_x=affine[1])


def nan_affine(folder, values, affine):
    return patched(folder / "scan.nii.gz", values, affine, srow_x=np.full(4, np.nan))


def sform_against_qform(folder, values, affine):
    made = image(values, affine)
    turned = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    made.set_qform(turned, 1)
    return saved(made, folder / "scan.nii.gz")


def shifted_qform(folder, values, affine):
    made = image(values, affine)
    moved = affine.copy()
    moved[:3, 3] += 25.0
    made.set_qform(moved, 1)
    return saved(made, folder / "scan.nii.gz")


def spacing_against_affine(folder, values, affine):
    pixdim = np.array([1.0, 1, 1, 1, 0, 0, 0, 0])  # the affine says 2 mm
    return patched(folder / "scan.nii.gz", values, affine, pixdim=pixdim)


def microscopic_voxels(folder, values, affine):
    scale = np.diag([1e-3, 1e-3, 1e-3, 1.0])  # an affine in metres
    return saved(image(values, affine @ scale), folder / "scan.nii.gz")


def absurd_size(folder, values, affine):
    return patched(
        folder / "scan.nii.gz", values, affine, dim=[3, 20_000, 20_000, 20_000, 1, 1, 1, 1]
    )


def negative_size(folder, values, affine):
    return patched(folder / "scan.nii.gz", values, affine, dim=[3, -5, 20, 20, 1, 1, 1, 1])


def more_voxels_than_the_file(folder, values, affine):
    i, j, k = values.shape
    return patched(folder / "scan.nii.gz", values, affine, dim=[3, 2 * i, j, k, 1, 1, 1, 1])


def wide_as_a_house(folder, values, affine):
    scale = np.diag([9.0, 9.0, 9.0, 1.0])
    return saved(image(values, affine @ scale), folder / "scan.nii.gz")


def two_grey_values(folder, values, affine):
    return saved(image((values > 0).astype("i2"), affine), folder / "scan.nii.gz")


def another_contrast(folder, values, affine):
    return saved(image(values, affine), folder / "sub-01_FLAIR.nii.gz")


BAD = {
    not_a_file: "holds no T1w scan",
    missing: "there is no such file",
    empty: "is empty (0 bytes)",
    truncated_gzip: "cut off or damaged",
    truncated_plain: "cut off or damaged",
    gzip_cut_in_the_header: "cut off or damaged",
    text: "is not an image that can be read",
    gzipped_text: "is not an image that can be read",
    text_as_mgz: "is not an image that can be read",
    another_suffix: "is not an image file by its name",
    header_without_image: "has no scan.img beside it",
    image_without_header: "has no scan.hdr beside it",
    four_d: "is a 4-D series of 2 volumes",
    two_d: "is a 2-D picture",
    one_slice: "slices, not a volume",
    rgb: "is a colour image (RGB)",
    complex_numbers: "holds complex numbers",
    all_constant: "every voxel is 7",
    all_nan: "holds no finite number",
    constant_or_nan: "every finite voxel is 0",
    nan_deep_in_the_brain: "64 voxels of the brain are NaN or infinite",
    nan_at_the_cortex: "voxels of the brain are NaN or infinite",
    infinity_in_the_brain: "1 voxels of the brain are NaN or infinite",
    zero_affine: "its affine is zero",
    singular_affine: "its affine is singular",
    nan_affine: "its affine holds NaN or infinity",
    sform_against_qform: "sform and qform contradict each other",
    shifted_qform: "sform and qform contradict each other by up to 43 mm",
    spacing_against_affine: "pixdim says 1 x 1 x 1 mm, the affine 2 x 2 x 2 mm",
    microscopic_voxels: "its voxels are 0.002 x 0.002 x 0.002 mm",
    absurd_size: "20000 x 20000 x 20000 voxels, more than any brain scan",
    negative_size: "-5",
    more_voxels_than_the_file: "cut off or damaged",
    wide_as_a_house: "mm wide",
    two_grey_values: "the brain has no contrast",
    another_contrast: "is FLAIR, the model takes T1w",
}


def nothing_is_left(folder: Path) -> bool:
    return [p.name for p in folder.rglob("*") if p.name.startswith(".")] == []


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_a_bad_scan_is_refused_in_one_line_and_leaves_nothing(
    make, place, values, affine, tmp_path, capsys, line
):
    (tmp_path / "in").mkdir()
    scan = make(tmp_path / "in", values, affine)
    out = tmp_path / "results/out"
    assert place.detect(scan, out) == 2
    told = line(capsys)
    assert told.startswith("refused ")
    assert BAD[make] in told
    assert nothing_is_left(tmp_path)
    assert not out.parent.exists()


def noise(shape):
    return np.random.default_rng(0).uniform(0, 1000, shape)


def apple(shape):
    index = np.indices(shape) - np.reshape(shape, (3, 1, 1, 1)) / 2
    radius = 2 * np.sqrt((index**2).sum(0))
    flesh = np.where(radius < 75, 600 * (1 - 0.3 * (radius / 75) ** 2), 0)
    return flesh + 300 * ((radius > 70) & (radius < 75))


def a_few_bright_voxels_in_air(shape):
    rng = np.random.default_rng(0)
    air = np.zeros(shape)
    air[tuple(rng.integers(0, 90, (3, 12)))] = 1000
    return air


NO_BRAIN = {
    noise: "no brain found: the template explains",
    apple: "no brain found: the template explains",
    a_few_bright_voxels_in_air: "no brain found",
}


@pytest.mark.parametrize("make", NO_BRAIN, ids=lambda make: make.__name__)
def test_what_is_no_brain_is_refused(make, place, affine, tmp_path, capsys, line):
    values = make((92, 92, 92)).astype("f4")
    scan = saved(image(values, affine), tmp_path / "scan.nii.gz")
    assert place.detect(scan, tmp_path / "out") == 2
    assert NO_BRAIN[make] in line(capsys)
    assert not (tmp_path / "out").exists()


def another_grid(brain, affine):
    return image(brain[1:].astype("u1"), affine)


def moved_grid(brain, affine):
    shift = np.eye(4)
    shift[0, 3] = 1.0
    return image(brain.astype("u1"), shift @ affine)


def empty_mask(brain, affine):
    return image(np.zeros(brain.shape, "u1"), affine)


def small_mask(brain, affine):
    few = np.zeros(brain.shape, "u1")
    few[40:50, 40:50, 40:50] = 1
    return image(few, affine)


def slab(brain, affine):
    thin = brain.copy()
    thin[: brain.shape[0] // 2 - 14] = False
    thin[brain.shape[0] // 2 + 14 :] = False
    return image(thin.astype("u1"), affine)


def shifted(brain, affine):
    return image(np.roll(brain, 30, axis=1).astype("u1"), affine)


def turned(brain, affine):
    sagittal = [axis for axis, code in enumerate(nib.aff2axcodes(affine)) if code in "SIAP"]
    upright = np.rot90(brain, axes=sagittal)
    fitted = np.zeros_like(brain)
    inner = tuple(slice(min(m, n)) for m, n in zip(upright.shape, brain.shape, strict=True))
    fitted[inner] = upright[inner]
    return image(fitted.astype("u1"), affine)


MASKS = {
    another_grid: "the brain mask lies on another grid than sub-008_T1w.nii.gz",
    moved_grid: "the brain mask lies on another grid than sub-008_T1w.nii.gz",
    empty_mask: "the brain mask is empty",
    small_mask: "no brain found: 8 ml",
    slab: "registration failed: Dice with the template's brain",
    shifted: "registration failed: Dice with the template's brain",
    turned: "no brain found: the template explains",  # the search turns it upright again
}


@pytest.mark.parametrize("make", MASKS, ids=lambda make: make.__name__)
def test_a_brain_mask_that_cannot_be_is_refused(
    make, place, values, affine, tmp_path, capsys, line
):
    mask = saved(make(values > 0, affine), tmp_path / "mask.nii.gz")
    assert place.detect(place.scan, tmp_path / "out", "--brain-mask", str(mask)) == 2
    told = line(capsys)
    assert MASKS[make] in told
    assert ("the bound is 0.85" in told) == ("registration failed" in told)
    assert not (tmp_path / "out").exists()


def test_a_brain_mask_goes_with_one_scan(place, tmp_path, capsys, line):
    assert place.detect(place.healthy, tmp_path / "out", "--brain-mask", str(place.scan)) == 2
    assert "--brain-mask: goes with one scan" in line(capsys)


@pytest.mark.parametrize("out", ["file/out", "/proc/hale/out", "file"])
def test_an_output_folder_that_cannot_be_made_is_refused(out, place, tmp_path, capsys, line):
    (tmp_path / "file").write_text("mine")
    assert place.detect(place.scan, tmp_path / out) == 2
    assert "cannot be written" in (told := line(capsys)) or "is a file" in told
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_output_folder_is_refused_and_kept(place, tmp_path, capsys, line):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert place.detect(place.scan, out) == 2
    assert f"{out}: is not empty; give another --out, or --overwrite" in line(capsys)
    assert [p.name for p in out.iterdir()] == ["mine.txt"]


def test_an_output_folder_that_holds_the_input_is_refused(place, tmp_path, capsys, line):
    scan = tmp_path / "data/scan.nii.gz"
    scan.parent.mkdir()
    scan.write_bytes(place.scan.read_bytes())
    assert place.detect(scan, scan.parent, "--overwrite") == 2
    assert "holds the input" in line(capsys)
    assert place.detect(scan.parent, scan.parent, "--overwrite") == 2
    assert "holds the input" in line(capsys)
    assert scan.is_file()


def test_the_current_folder_is_no_output_folder(place, tmp_path, capsys, line, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert place.detect(place.scan, Path(), "--overwrite") == 2
    assert "--out .: is the current folder" in line(capsys)
    assert tmp_path.is_dir()


def test_two_subjects_with_one_id_fail_by_name_and_nothing_is_mixed(place, tmp_path, capsys):
    for folder in ("a", "b"):
        path = tmp_path / "data" / folder / "sub-01_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(place.scan.read_bytes())
    assert place.detect(tmp_path / "data", tmp_path / "out") == 3
    assert "failed sub-01: sub-01: has 2 T1w scans" in capsys.readouterr().out
    (row,) = (tmp_path / "out/cohort.tsv").read_text().splitlines()[1:]
    assert row.startswith("sub-01\tfailed\t")
    assert not (tmp_path / "out/sub-01").exists()


@pytest.mark.parametrize(
    ("count", "recipe", "said"),
    [
        (0, "intensity-default", "holds no T1w scan"),
        (1, "intensity-default", "0 healthy scans can promise no less than 1/1 = 1"),
        (0, "atlas-default", "holds no T1w scan"),
        (1, "atlas-default", "healthy cohort: 1 scans to fit on; give 2 or more"),
    ],
)
def test_a_healthy_cohort_of_nobody_or_one_is_refused(
    count, recipe, said, place, tmp_path, capsys, line
):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for number in range(count):
        (data / f"sub-{number:02}_T1w.nii.gz").write_bytes(place.scan.read_bytes())
    assert run(["fit", recipe, "--data", str(data), "--out", str(out), "--workers", "1"]) == 2
    assert said in line(capsys)
    assert not out.exists()


def test_a_healthy_cohort_of_one_calibrates_nothing(place, tmp_path, capsys, line):
    data = tmp_path / "data"
    data.mkdir()
    (data / "sub-01_T1w.nii.gz").write_bytes(place.scan.read_bytes())
    out = tmp_path / "out"
    assert run(["calibrate", str(place.model), "--data", str(data), "--out", str(out)]) == 2
    assert "alpha = 0.2" in line(capsys)
    assert not out.exists()


def test_people_meant_for_the_fit_calibrate_nothing(place, tmp_path, capsys, line):
    data = tmp_path / "data"
    shutil.copytree(place.healthy, data)
    rows = [f"sub-{n:03}\t{('fit', 'test')[n % 2]}" for n in range(1, 9)]
    (data / "participants.tsv").write_text("\n".join(["participant_id\tsplit", *rows]))
    out = ("--out", str(tmp_path / "out"), "--max-ram", "4", "--strict-splits")
    assert run(["calibrate", str(place.model), "--data", str(data), *out]) == 2
    assert "its table marks everybody fit or test" in line(capsys)
    for option in ("--entity", "acq-none"), ("--fold", "0"):
        assert run(["calibrate", str(place.model), "--data", str(data), *out, *option]) == 2
        assert "acq-none" in (told := line(capsys)) or "marks everybody" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"participant_id\tsplit\nsub-01\ttrain\n", "its split is 'train'"),
        (b"participant_id\tage\nsub-01\t20\nsub-01\t21\n", "lists sub-01 twice"),
        (b"name,age\nsub-01,20\n", "has no column participant_id"),
        ("participant_id\tname\nsub-01\tJosé\n".encode("latin-1"), "cannot be read"),
    ],
    ids=["split", "twice", "commas", "latin-1"],
)
def test_a_table_that_contradicts_is_refused(table, said, place, tmp_path, capsys, line):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/participants.tsv").write_bytes(table)
    (tmp_path / "data/sub-01_T1w.nii.gz").write_bytes(place.scan.read_bytes())
    assert place.detect(tmp_path / "data", tmp_path / "out") == 2
    assert said in line(capsys)
    assert not (tmp_path / "out").exists()


USAGE = {
    "no such command": ["dance"],
    "no such option": ["detect", "scan.nii.gz", "--model", "m", "--out", "o", "--loud"],
    "a missing option": ["detect", "scan.nii.gz"],
    "no such recipe": ["fit", "no-such-recipe", "--data", "d", "--out", "no/o"],
    "a setting that does not exist": ["recipe", "atlas-default", "--set", "method.speed=9"],
    "a setting of the wrong type": ["recipe", "atlas-default", "--set", "seed=many"],
    "an alpha that is no share": ["calibrate", "m", "--data", "d", "--out", "o", "--alpha", "7"],
    "a step that is none": ["fit", "atlas-default", "--data", "d", "--out", "o", "--resume=soon"],
    "no such method": ["methods", "magic"],
}


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE)
def test_wrong_usage_is_told_in_one_line(arguments, capsys, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert line(capsys).startswith("refused ")
    assert list(tmp_path.iterdir()) == []


def test_a_defect_of_ours_is_one_line_and_keeps_its_traceback(
    place, tmp_path, capsys, line, monkeypatch
):
    def broken(*arguments, **options):
        msg = "a\nbug"
        raise ZeroDivisionError(msg)

    monkeypatch.setattr("hale.pipeline.detect.detect", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert place.detect(place.scan, tmp_path / "out") == 1
    assert line(capsys).startswith("defect ZeroDivisionError: this is our fault")
    (report,) = tmp_path.glob("hale-defect-*.txt")
    assert "ZeroDivisionError: a\nbug" in report.read_text()


def hale(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from hale.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_process_of_its_own_refuses_the_same_way(place, tmp_path):
    scan = tmp_path / "scan.nii.gz"
    scan.write_text("this is no scan")
    out = tmp_path / "out"
    done = hale("detect", str(scan), "--model", str(place.model), "--out", str(out))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "is not an image that can be read" in done.stderr
    assert not out.exists()


def test_help_imports_none_of_the_slow_libraries():
    slow = "torch", "SimpleITK", "scipy.stats", "deepbet", "matplotlib", "nibabel", "pandas"
    code = (
        "import sys; from hale.cli.app import run; status = run(['--help']);"
        f"sys.exit(str([m for m in {slow} if m in sys.modules] or '') or status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "hale detect SCAN.nii.gz" in done.stdout


@pytest.mark.parametrize("command", ["fit", "detect", "calibrate", "evaluate", "recipe", "demo"])
def test_the_help_of_a_command_has_an_example(command, capsys):
    assert run([command, "--help"]) == 0
    assert f"hale {command}" in capsys.readouterr().out.split("Example", 1)[1]
