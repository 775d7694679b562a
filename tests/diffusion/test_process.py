"""Checks 7 and 12 of the specification, and every conversion there and back."""

import pytest
import torch

from hale.diffusion.process import (
    Target,
    eps_of,
    noised,
    reconstructed,
    target_of,
    weights,
    x0_of,
)
from hale.diffusion.schedules import Levels, Schedule, levels_of

COSINE = levels_of(Schedule.COSINE)
EVERY = pytest.mark.parametrize("target", Target)
TIMES = torch.tensor([0, 1, 249, 499, 749, 998, 999])


def slices(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    x0 = 2 * torch.rand(len(TIMES), 2, 5, 4, generator=draw) - 1
    return x0.to(dtype), torch.randn(x0.shape, generator=draw).to(dtype)


def test_weights_are_those_of_a_circle():
    """Check 7, in the precision that networks see."""
    for schedule in Schedule:
        a, s = weights(torch.arange(1000), levels_of(schedule), torch.zeros(1000, 1, 1, 1))
        assert a.dtype == torch.float32
        torch.testing.assert_close(a**2 + s**2, torch.ones_like(a), rtol=0, atol=1e-6)


def test_by_hand():
    """alpha_bar 0.64: x_t = 0.8 x0 + 0.6 n, v = 0.8 n - 0.6 x0."""
    levels = Levels(
        beta=torch.tensor([0.1, 0.2888888], dtype=torch.float64),
        alpha_bar=torch.tensor([0.9, 0.64], dtype=torch.float64),
    )
    x0, n, t = torch.full((1, 1, 1, 1), 0.5), torch.full((1, 1, 1, 1), -2.0), torch.tensor([1])
    assert noised(x0, n, t, levels).item() == pytest.approx(0.8 * 0.5 - 0.6 * 2)
    assert target_of(Target.X0, x0, n, t, levels).item() == 0.5
    assert target_of(Target.EPS, x0, n, t, levels).item() == -2
    assert target_of(Target.V, x0, n, t, levels).item() == pytest.approx(-0.8 * 2 - 0.6 * 0.5)


@EVERY
def test_a_perfect_output_says_slice_and_noise(target):
    """Also where almost no signal, or almost no noise, is left."""
    x0, n = slices()
    x_t = noised(x0, n, TIMES, COSINE)
    out = target_of(target, x0, n, TIMES, COSINE)
    torch.testing.assert_close(x0_of(target, out, x_t, TIMES, COSINE), x0, rtol=0, atol=1e-10)
    torch.testing.assert_close(eps_of(target, out, x_t, TIMES, COSINE), n, rtol=0, atol=1e-10)


@EVERY
def test_any_output_comes_back_from_the_slice_and_the_noise_that_it_says(target):
    """An output need not be right: what it says of x0 and noise gives it, and x_t, again."""
    x_t, out = slices()
    x0 = x0_of(target, out, x_t, TIMES, COSINE)
    n = eps_of(target, out, x_t, TIMES, COSINE)
    atol = 1e-15 * float(max(x0.abs().max(), n.abs().max())) * 10
    torch.testing.assert_close(noised(x0, n, TIMES, COSINE), x_t, rtol=0, atol=atol)
    torch.testing.assert_close(target_of(target, x0, n, TIMES, COSINE), out, rtol=0, atol=atol)


def test_each_slice_has_its_own_time_and_may_share_its_noise():
    x0, n = slices(torch.float32)
    shared = n[:1]
    x_t = noised(x0, shared, TIMES, COSINE)
    assert x_t.dtype == torch.float32
    for k in range(len(TIMES)):
        alone = noised(x0[k : k + 1], shared, TIMES[k : k + 1], COSINE)
        torch.testing.assert_close(x_t[k : k + 1], alone, rtol=0, atol=0)


def test_loss_of_a_perfect_and_of_an_empty_prediction():
    """Check 12, with x0 = 2 x - 1 of intensities x."""
    x = torch.rand(len(TIMES), 1, 6, 6)
    _, n = slices(torch.float32)
    wanted = target_of(Target.X0, 2 * x - 1, n[:, :1].new_zeros(x.shape), TIMES, COSINE)
    assert (wanted - (2 * x - 1)).abs().mean() == 0
    assert (0 - wanted).abs().mean() == (2 * x - 1).abs().mean()


def test_one_step_is_one_call_on_the_noised_slices():
    x0, n = slices()
    seen = []

    def predict(x_t, t):
        seen.append((x_t, t))
        return x_t / 2

    x_hat = reconstructed(predict, x0, n, TIMES, COSINE)
    ((x_t, t),) = seen
    assert torch.equal(t, TIMES)
    assert torch.equal(x_t, noised(x0, n, TIMES, COSINE))
    assert torch.equal(x_hat, x_t / 2)
