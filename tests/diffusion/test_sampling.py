"""Samplers against a case with a known answer: slices whose every pixel is N(0.3, 0.5).

The best denoiser of x_t = a x0 + s n is then E[x0 | x_t] = m + d^2 a (x_t - a m) / (a^2 d^2 + s^2)
with m = 0.3, d = 0.5, and the way of a pixel without noise keeps (x_t - a m) / sqrt(a^2 d^2 + s^2).
"""

from functools import partial

import pytest
import torch

from hale.diffusion.noise import Noise, drawn
from hale.diffusion.process import noised, weights
from hale.diffusion.sampling import ancestral, ddim, times_from
from hale.diffusion.schedules import Schedule, levels_of

M, D = 0.3, 0.5
COSINE = levels_of(Schedule.COSINE)
SHAPE = (4, 1, 64, 64)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fresh(seed: int = 0, shape: tuple[int, int, int, int] = SHAPE):
    return partial(drawn, Noise.GAUSSIAN, shape, draws(seed))


def never() -> torch.Tensor:
    raise AssertionError


def ideal(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    a, s = weights(t, COSINE, x_t)
    return M + D**2 * a * (x_t - a * M) / (a**2 * D**2 + s**2)


def test_times_are_even_and_end_at_0():
    assert times_from(999, 4) == [999, 666, 333, 0]
    assert times_from(249, 250) == list(range(249, -1, -1))
    assert times_from(499, 1) == [499]


def test_ddim_brings_each_pixel_to_where_the_flow_ends():
    x = torch.randn(SHAPE, generator=draws(1), dtype=torch.float64)
    x0 = ddim(ideal, x, COSINE, times_from(999, 1000), fresh=never)
    # at time 999 x_t is N(0, 1) but for 5e-5 of signal: the end is m + d x
    torch.testing.assert_close(x0, M + D * x, rtol=0, atol=0.02)


def test_ddim_comes_nearer_with_more_steps():
    x = torch.randn(SHAPE, generator=draws(1), dtype=torch.float64)
    far = [
        float((ddim(ideal, x, COSINE, times_from(999, n), fresh=never) - M - D * x).abs().mean())
        for n in (10, 50, 250)
    ]
    assert far[0] > 3 * far[1] > 9 * far[2]


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_samples_are_spread_as_the_data(eta):
    x = torch.randn(SHAPE, generator=draws(1))
    x0 = ddim(ideal, x, COSINE, times_from(999, 250), fresh=fresh(2), eta=eta)
    assert float(x0.mean()) == pytest.approx(M, abs=0.02)
    assert float(x0.std()) == pytest.approx(D, rel=0.03)
    if eta == 1:  # the start is forgotten
        assert abs(float(torch.corrcoef(torch.stack([x.flatten(), x0.flatten()]))[0, 1])) < 0.05


def test_ancestral_samples_are_spread_as_the_data():
    x = torch.randn(SHAPE, generator=draws(1))
    x0 = ancestral(ideal, x, COSINE, times_from(999, 1000), fresh=fresh(2))
    assert float(x0.mean()) == pytest.approx(M, abs=0.02)
    assert float(x0.std()) == pytest.approx(D, rel=0.03)


def test_ancestral_is_ddim_of_eta_1():
    """Two formulas of one distribution, with the same draws, for every pair of times."""
    x = torch.randn(SHAPE, generator=draws(1), dtype=torch.float64)
    for times in ([999, 700, 699, 3, 0], [500]):
        one = ancestral(ideal, x, COSINE, times, fresh=fresh(2))
        other = ddim(ideal, x, COSINE, times, fresh=fresh(2), eta=1.0)
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sampler", [partial(ddim, eta=0.0), partial(ddim, eta=0.7), ancestral])
@pytest.mark.parametrize("times", [[999, 0], [499], [249, 100, 7]])
def test_who_knows_the_slice_gets_it(sampler, times):
    x0 = torch.rand(SHAPE, generator=draws(3))
    x_t = noised(x0, fresh(4)(), torch.full((4,), times[0]), COSINE)
    found = sampler(lambda _x, _t: x0, x_t, COSINE, times, fresh=fresh(5))
    torch.testing.assert_close(found, x0, rtol=0, atol=0)


def test_ddim_on_the_way_stays_where_the_forward_process_would_be():
    """With the true x0 and eta 0 each x_t is a x0 + s n with the n that it began with."""
    x0, n = torch.rand(SHAPE, dtype=torch.float64, generator=draws(3)), fresh(4)().double()
    seen = []

    def knows(x_t, t):
        seen.append((x_t, t))
        return x0

    x_t = noised(x0, n, torch.full((4,), 749), COSINE)
    ddim(knows, x_t, COSINE, [749, 400, 20], fresh=never)
    assert [int(t[0]) for _, t in seen] == [749, 400, 20]
    for x_t, t in seen:
        torch.testing.assert_close(x_t, noised(x0, n, t, COSINE), rtol=0, atol=1e-10)


def test_ancestral_step_by_hand():
    """q(x_r | x_t, x0) is what Bayes makes of q(x_t | x_r) and q(x_r | x0): precisions add."""
    t, r = 600, 300
    a2, b2 = COSINE.alpha_bar[t], COSINE.alpha_bar[r]
    alpha = a2 / b2
    x0, x_t = (torch.full((1, 1, 1, 1), at, dtype=torch.float64) for at in (0.4, -1.1))
    precision = 1 / (1 - b2) + alpha / (1 - alpha)
    mean = (b2.sqrt() * 0.4 / (1 - b2) + alpha.sqrt() * -1.1 / (1 - alpha)) / precision
    seen = []

    def knows(x, _t):
        seen.append(float(x))
        return x0

    for z in (0.0, 1.0):
        ancestral(knows, x_t, COSINE, [t, r], fresh=partial(torch.full, (1, 1, 1, 1), z))
    assert seen[1] == pytest.approx(float(mean), abs=1e-12)
    assert seen[3] == pytest.approx(float(mean + precision**-0.5), abs=1e-12)
