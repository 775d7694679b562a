import numpy as np
import pytest
from skimage import metrics as sk

from hale.metrics.reconstruction import l1, psnr, ssim

SHAPE = (24, 22, 20)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    x = rng.random(SHAPE, np.float32)
    x_hat = np.clip(x + 0.1 * rng.standard_normal(SHAPE), 0, 1).astype(np.float32)
    brain = np.zeros(SHAPE, bool)
    brain[4:-4, 4:-4, 4:-4] = True
    return x, x_hat, brain


@pytest.mark.parametrize("data_range", [1.0, 2.5])
def test_agrees_with_scikit_image(images, data_range):
    x, x_hat, brain = images
    everywhere = np.ones(SHAPE, bool)
    _, similarities = sk.structural_similarity(
        x.astype(float),
        x_hat.astype(float),
        data_range=data_range,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    for region in (everywhere, brain):
        expected = similarities[region].mean()
        assert ssim(x, x_hat, region, data_range=data_range) == pytest.approx(expected, abs=1e-9)
        inside = x[region].astype(float), x_hat[region].astype(float)
        expected = sk.peak_signal_noise_ratio(*inside, data_range=data_range)
        assert psnr(x, x_hat, region, data_range=data_range) == pytest.approx(expected)


def test_by_hand():
    x, x_hat = np.zeros((2, 5, 5, 5), np.float32)
    brain = np.zeros(x.shape, bool)
    brain[0, 0, :4] = True
    x_hat[0, 0, 0], x_hat[0, 0, 1], x_hat[4] = 0.2, -0.1, 9
    assert l1(x, x_hat, brain) == pytest.approx(0.3 / 4)
    assert psnr(x, x_hat, brain) == pytest.approx(-10 * np.log10(0.05 / 4))


def test_a_perfect_reconstruction_and_no_brain(images):
    x, _, brain = images
    assert (l1(x, x, brain), psnr(x, x, brain)) == (0, np.inf)
    assert ssim(x, x, brain) == pytest.approx(1)
    nothing = brain & False
    assert np.isnan([figure(x, x, nothing) for figure in (l1, psnr, ssim)]).all()


def test_what_lies_outside_the_brain_does_not_count(images):
    x, x_hat, brain = images
    far = x_hat.copy()
    far[0] += 5  # 4 voxels off; the window reaches 5
    assert l1(x, far, brain) == l1(x, x_hat, brain)
    assert psnr(x, far, brain) == psnr(x, x_hat, brain)
    inner = brain.copy()
    inner[4] = False
    inner[5] = False
    assert ssim(x, far, inner) == pytest.approx(ssim(x, x_hat, inner))
