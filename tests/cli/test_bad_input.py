"""Every kind of bad input gets its own one-line answer and status 2, and leaves nothing behind."""

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

Maker = Callable[[Path, np.ndarray, np.ndarray], Path]


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
    assert [p.name for p in tmp_path.rglob("*") if p.name.startswith(".")] == []
    assert not out.exists()
