import pytest
import torch

from hale.nets.latent import divergence, drawn


def test_the_prior_does_not_diverge_from_itself():
    assert not divergence(torch.zeros(3, 128), torch.zeros(3, 128)).any()


def test_a_mean_of_1_costs_half_a_nat_per_number():
    assert torch.equal(
        divergence(torch.ones(3, 128), torch.zeros(3, 128)), torch.full((3, 128), 0.5)
    )


def test_agrees_with_torch():
    mu, log_sigma = torch.randn(5, 7), torch.randn(5, 7)
    posterior = torch.distributions.Normal(mu, log_sigma.exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0, 1))
    torch.testing.assert_close(divergence(mu, log_sigma), expected)


def test_samples_have_the_mean_and_the_spread():
    draw = torch.Generator().manual_seed(0)
    z = drawn(torch.full((20_000,), 2.0), torch.full((20_000,), -1.0), draw)
    assert float(z.mean()) == pytest.approx(2, abs=0.02)
    assert float(z.std()) == pytest.approx(0.3679, rel=0.02)


def test_without_a_generator_it_is_the_mean():
    mu = torch.randn(4)
    assert drawn(mu, torch.zeros(4), None) is mu
