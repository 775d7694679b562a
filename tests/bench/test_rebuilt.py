"""How a healthy scan is rebuilt, against scikit-image and hand-worked pictures."""

import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from hale.bench.rebuilt import rebuilt
from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Volume

sys.path.insert(0, str(Path(__file__).parent))
from made_data import AFFINE, write

SHAPE = (30, 34, 28)


@pytest.fixture
def brain() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[6:24, 8:26, 5:22] = True
    return mask


def volume(values: np.ndarray) -> Volume:
    return Volume(values=values.astype(np.float32), grid=Grid(shape=SHAPE, affine=AFFINE))


def picture_of(folder: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    write(folder / "pseudo_healthy.nii.gz", values.astype(np.float32), affine)
    return folder / "pseudo_healthy.nii.gz"


def test_the_scan_itself_is_rebuilt_without_a_fault(brain, tmp_path):
    scan = np.random.default_rng(0).random(SHAPE) * 900
    found = rebuilt(volume(scan), picture_of(tmp_path, scan), brain)

    assert found["l1"] == 0
    assert found["ssim"] == pytest.approx(1)
    assert found["psnr"] == np.inf


def test_a_known_difference_counts_in_parts_of_the_99th_percentile(brain, tmp_path):
    scan = np.full(SHAPE, 200.0)
    found = rebuilt(volume(scan), picture_of(tmp_path, scan - 20), brain)

    assert found["l1"] == pytest.approx(0.1)
    assert found["psnr"] == pytest.approx(20)


def test_figures_are_those_of_scikit_image_and_nothing_around_the_brain_counts(brain, tmp_path):
    rng = np.random.default_rng(1)
    scan = rng.random(SHAPE) * 500
    other = scan + 60 * rng.standard_normal(SHAPE)
    found = rebuilt(volume(scan), picture_of(tmp_path, np.where(brain, other, 0)), brain)

    unit = np.percentile(scan.astype(np.float32)[brain], 99)
    x, y = np.where(brain, scan / unit, 0), np.where(brain, other / unit, 0)
    _, every = structural_similarity(
        x, y, data_range=1, gaussian_weights=True, use_sample_covariance=False, full=True
    )
    assert found["ssim"] == pytest.approx(every[brain].mean(), abs=1e-5)
    expected = peak_signal_noise_ratio(x[brain], y[brain], data_range=1)
    assert found["psnr"] == pytest.approx(expected, abs=1e-4)


def test_a_picture_elsewhere_is_refused_and_no_brain_says_nothing(brain, tmp_path):
    scan = np.ones(SHAPE)
    with pytest.raises(Refused, match="another grid"):
        rebuilt(volume(scan), picture_of(tmp_path, scan, np.eye(4)), brain)
    assert rebuilt(volume(scan), picture_of(tmp_path, scan), np.zeros(SHAPE, bool)) == {}
