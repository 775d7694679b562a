import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from hale.train.intensities import (
    GHOST,
    ORDER,
    bias_field,
    blurred,
    ghosted,
    powered,
    varied,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def disc(count: int = 1) -> torch.Tensor:
    i, j = torch.meshgrid(torch.arange(24), torch.arange(20), indexing="ij")
    inside = ((i - 11.5) ** 2 + (j - 9.5) ** 2 < 64).float()
    x = torch.rand(count, 1, 24, 20, generator=generator()) * 0.8 + 0.1
    return x * inside


def test_same_seed_same_slices_and_the_slices_differ_from_one_another():
    x = disc().expand(40, -1, -1, -1)
    first = varied(x, generator())
    torch.testing.assert_close(varied(x, generator()), first)
    assert not torch.equal(varied(x, generator(1)), first)
    assert len({tuple(one.flatten().tolist()) for one in first}) > 20


def test_leaves_the_slices_that_it_was_given_alone():
    x = disc(4)
    before = x.clone()
    varied(x, generator())
    torch.testing.assert_close(x, before)


def test_what_was_0_to_1_stays_there_and_the_brightest_stays_as_bright():
    x = disc(200)
    made = varied(x, generator())
    assert made.min() >= 0
    torch.testing.assert_close(made.amax((1, 2, 3)), x.amax((1, 2, 3)), rtol=1e-4, atol=1e-5)


def test_as_many_slices_are_left_as_nothing_is_drawn_for():
    """(1 - 0.5)(1 - 0.25)(1 - 0.25)(1 - 0.5) of them: 14 %."""
    x = disc().expand(2000, -1, -1, -1)
    untouched = (varied(x, generator()) == x).all(-1).all(-1).all(-1).float().mean()
    assert float(untouched) == pytest.approx(0.5 * 0.75 * 0.75 * 0.5, abs=0.03)


def test_an_empty_slice_stays_empty():
    assert (varied(torch.zeros(50, 2, 12, 12), generator()) == 0).all()


def test_gamma_is_a_power_that_keeps_signs():
    x = torch.tensor([[[0.25, -0.25, 1.0, 0.0]]])
    torch.testing.assert_close(powered(x, 0.5), torch.tensor([[[0.5, -0.5, 1.0, 0.0]]]))


def test_bias_field_is_the_exponential_of_a_polynomial():
    coefficients = torch.zeros(ORDER + 1, ORDER + 1)
    coefficients[0, 0], coefficients[1, 0], coefficients[0, 2] = 0.1, 0.2, 0.3
    field = bias_field(coefficients, 3, 3)
    assert float(field[1, 1].log()) == pytest.approx(0.1)
    assert float(field[2, 1].log()) == pytest.approx(0.3)
    assert float(field[0, 0].log()) == pytest.approx(0.1 - 0.2 + 0.3)


def test_terms_above_the_degree_do_not_count():
    coefficients = torch.zeros(ORDER + 1, ORDER + 1)
    coefficients[ORDER, 1] = 1.0
    assert (bias_field(coefficients, 5, 5) == 1).all()


def test_blur_is_a_gaussian_of_each_axis():
    x = disc()[0]
    made = blurred(x, (1.5, 0.7))
    expected = gaussian_filter(x[0].numpy(), (1.5, 0.7), mode="nearest", truncate=3.0)
    np.testing.assert_allclose(made[0].numpy(), expected, atol=2e-3)
    flat = torch.full((1, 9, 9), 0.4)
    torch.testing.assert_close(blurred(flat, (2.0, 1.0)), flat)
    torch.testing.assert_close(blurred(x, (0.0, 0.0)), x)


def test_ghosts_stand_at_equal_distances():
    x = torch.zeros(1, 40, 16)
    x[0, 10, 8] = 1.0
    made = ghosted(x, 4, 1.0, axis=-2)
    bright = (made[0, :, 8] > 0.05).nonzero().flatten().tolist()
    assert 10 in bright
    assert (made[0, :, 7] == 0).all()
    untouched = ghosted(x, 4, 0.0, axis=-2)
    torch.testing.assert_close(untouched, x, atol=1e-6, rtol=0)
    assert 0 < GHOST < 1
