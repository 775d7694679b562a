import pytest
import torch

from hale.diffusion.noise import Noise, bilinear, coarse_noise, drawn

EVERY = pytest.mark.parametrize("noise", Noise)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_coarse_noise_is_weaker_between_the_points_of_its_grid():
    x = torch.zeros(500, 1, 96, 96)
    grid = coarse_noise(x, std=0.2, cell=1, draw=draw())
    assert grid.std() == pytest.approx(0.2, rel=0.01)
    field = coarse_noise(x, std=0.2, cell=8, draw=draw())
    assert field.shape == x.shape
    assert 0.1 < field.std() < grid.std()
    assert abs(float(field.mean())) < 0.005


def test_coarse_noise_is_smooth():
    field = coarse_noise(torch.zeros(8, 1, 96, 96), std=0.2, cell=8, draw=draw())
    assert field.diff(dim=-1).abs().mean() < 0.3 * field.abs().mean()


def test_coarse_noise_fits_slices_that_are_no_multiple_of_its_cell():
    x = torch.zeros(2, 2, 157, 189)
    assert coarse_noise(x, std=0.2, cell=8, draw=draw()).shape == x.shape


def test_two_golden_numbers_of_coarse_noise():
    """Seed 0; a change here is a change of what DAE is taught with."""
    field = coarse_noise(torch.zeros(1, 2, 16, 16), std=0.2, cell=8, draw=draw())
    assert field[0, 0, 0, :2].tolist() == pytest.approx([-0.1009923, -0.0824235], abs=1e-6)


@EVERY
def test_noise_is_its_generators(noise):
    """Check 9: again from the same seed, other from the next, other on the next call."""
    shape = (2, 3, 40, 33)
    generator = draw(5)
    first, second = drawn(noise, shape, generator), drawn(noise, shape, generator)
    assert first.shape == shape
    assert first.dtype == torch.float32
    assert torch.equal(first, drawn(noise, shape, draw(5)))
    assert not torch.equal(first, second)
    assert not torch.equal(first, drawn(noise, shape, draw(6)))


@EVERY
def test_noise_is_independent_of_torchs_own_state(noise):
    torch.manual_seed(0)
    first = drawn(noise, (1, 1, 16, 16), draw())
    torch.manual_seed(1)
    assert torch.equal(first, drawn(noise, (1, 1, 16, 16), draw()))


@EVERY
def test_each_slice_and_channel_has_its_own(noise):
    maps = drawn(noise, (20, 20, 48, 48), draw()).flatten(0, 1).flatten(1)
    correlation = torch.corrcoef(maps)[~torch.eye(400, dtype=torch.bool)]
    assert abs(float(correlation.mean())) < 0.02
    assert float(correlation.max()) < 0.99


@EVERY
def test_noise_covers_the_background(noise):
    """Check 10: corners and rim too, where no brain is. The first pixel of simplex is 0."""
    maps = drawn(noise, (30, 1, 96, 96), draw())
    assert (maps != 0).float().mean() > 0.999
    rim = torch.ones(96, 96, dtype=torch.bool)
    rim[8:-8, 8:-8] = False
    assert float(maps[..., rim].std()) > 0.8 * float(maps.std())


@pytest.mark.parametrize(
    ("noise", "std"),
    [(Noise.SIMPLEX, 0.58), (Noise.GAUSSIAN, 1.0), (Noise.PYRAMID, 1.0), (Noise.COARSE, 0.69)],
)
def test_noise_has_the_spread_that_is_said(noise, std):
    maps = drawn(noise, (400, 1, 96, 96), draw(1))
    assert float(maps.square().mean().sqrt()) == pytest.approx(std, abs=0.02)
    assert abs(float(maps.mean())) < 0.05


def test_pyramid_is_coarser_than_gaussian_noise_and_finer_than_coarse():
    def kept(noise: Noise, cell: int) -> float:
        """Share of the variance that means over cells keep: 1 / cell^2 for white noise."""
        maps = drawn(noise, (100, 1, 96, 96), draw())
        return float(torch.nn.functional.avg_pool2d(maps, cell).var() / maps.var())

    for cell in (2, 8):
        assert kept(Noise.GAUSSIAN, cell) == pytest.approx(cell**-2, rel=0.05)
        assert kept(Noise.GAUSSIAN, cell) < kept(Noise.PYRAMID, cell) < kept(Noise.COARSE, cell)


def test_pyramid_of_a_pixel_of_two():
    """By hand: 2 x 2, levels of 2 and 1: n = (g + 0.8 h) / sqrt(1.64), h one number."""
    maps = drawn(Noise.PYRAMID, (20000, 1, 2, 2), draw())[:, 0].flatten(1)
    covariance = torch.cov(maps.T)
    expected = (torch.eye(4) + 0.64) / 1.64
    torch.testing.assert_close(covariance, expected, rtol=0, atol=0.03)


def test_weights_between_points_are_torchs():
    grid = torch.randn(1, 1, 3, 5, generator=draw())
    usual = torch.nn.functional.interpolate(grid, size=(7, 12), mode="bilinear")
    torch.testing.assert_close(bilinear(3, 7) @ grid @ bilinear(5, 12).T, usual)
    assert torch.equal(bilinear(1, 4), torch.ones(4, 1))


def test_sides_need_not_be_equal():
    for noise in Noise:
        assert drawn(noise, (1, 2, 157, 9), draw()).shape == (1, 2, 157, 9)
