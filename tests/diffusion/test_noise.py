import pytest
import torch

from hale.diffusion.noise import coarse_noise


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
