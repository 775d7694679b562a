"""Checks 6 and 7 of the specification, and what both schedules are by hand."""

from math import cos, pi

import pytest
import torch

from hale.diffusion.schedules import Schedule, levels_of

EVERY = pytest.mark.parametrize("schedule", Schedule)


def test_cosine_has_the_published_weights():
    """Check 6, and the last level, which only the limit of beta keeps above 0."""
    alpha_bar = levels_of(Schedule.COSINE).alpha_bar
    for t, signal, noise in [
        (249, 0.9203, 0.3911),
        (498, 0.7038, 0.7104),
        (499, 0.7027, 0.7114),
        (749, 0.3798, 0.9251),
        (999, 4.9e-5, 1.0),
    ]:
        assert float(alpha_bar[t].sqrt()) == pytest.approx(signal, abs=1e-4)
        assert float((1 - alpha_bar[t]).sqrt()) == pytest.approx(noise, abs=1e-4)
    assert float(alpha_bar[999].sqrt()) == pytest.approx(4.9e-5, rel=0.01)


def test_cosine_is_the_papers_formula_until_beta_is_limited():
    levels = levels_of(Schedule.COSINE)
    left = [cos((u / 1000 + 0.008) / 1.008 * pi / 2) ** 2 for u in range(1001)]
    expected = torch.tensor(left[1:1000], dtype=torch.float64) / left[0]
    torch.testing.assert_close(levels.alpha_bar[:-1], expected, rtol=1e-9, atol=0)
    assert float(levels.beta[-1]) == 0.999


def test_linear_runs_from_1e_4_to_002():
    levels = levels_of(Schedule.LINEAR)
    assert float(levels.beta[0]) == pytest.approx(1e-4)
    assert float(levels.beta[-1]) == pytest.approx(0.02)
    torch.testing.assert_close(levels.beta.diff(), levels.beta.diff()[:1].expand(999))
    assert float(levels.alpha_bar[1]) == pytest.approx((1 - 1e-4) * (1 - levels.beta[1]))
    assert float(levels.alpha_bar[-1]) == pytest.approx(4.04e-5, rel=0.01)


@EVERY
@pytest.mark.parametrize("count", [10, 250, 1000])
def test_levels_fall_and_no_step_takes_all(schedule, count):
    """Check 6: betas are at most 0.999."""
    levels = levels_of(schedule, count)
    assert len(levels.beta) == len(levels.alpha_bar) == count
    assert (levels.beta > 0).all()
    assert (levels.beta <= 0.999).all()
    assert (levels.alpha_bar > 0).all()
    assert (levels.alpha_bar.diff() < 0).all()


@EVERY
def test_levels_are_the_product_of_what_steps_leave(schedule):
    levels = levels_of(schedule, 20)
    left = 1.0
    for beta, alpha_bar in zip(levels.beta.tolist(), levels.alpha_bar.tolist(), strict=True):
        left *= 1 - beta
        assert alpha_bar == pytest.approx(left, rel=1e-12)


@EVERY
def test_fewer_steps_add_about_as_much(schedule):
    """Half of the way holds half of the signal, whatever the count."""
    many, few = levels_of(schedule, 1000).alpha_bar, levels_of(schedule, 500).alpha_bar
    assert float(few[249]) == pytest.approx(float(many[499]), rel=0.01)
