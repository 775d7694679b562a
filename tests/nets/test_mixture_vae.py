import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hale.nets.blocks import parameters
from hale.nets.mixture_vae import (
    CLUSTERS,
    FREE,
    MixtureVAE,
    cluster_prior,
    conditional_prior,
    responsibilities,
)


def draw() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def components() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(2, CLUSTERS, 3, 4, generator=draw()), torch.randn(2, CLUSTERS, 3, 4)


def test_has_the_parameters_of_the_published_network():
    with torch.device("meta"):
        assert parameters(MixtureVAE(1)) == 409_623


@pytest.mark.parametrize(("size", "gigaflop"), [(256, 12.5), (96, 1.76)])
def test_costs_what_is_published(size, gigaflop):
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        MixtureVAE(1)(torch.zeros(1, 1, size, size))
    assert counter.get_total_flops() / 1e9 == pytest.approx(gigaflop, rel=0.01)


@pytest.mark.parametrize(("size", "side"), [(256, 64), (96, 24)])
def test_latent_has_a_quarter_of_the_side(size, side):
    with torch.device("meta"):
        net = MixtureVAE(1)
        assert net.heads(net.encode(torch.zeros(1, 1, size, size))).shape == (1, 4, side, side)


@pytest.mark.parametrize("plane", [(16, 16), (157, 189), (33, 40)])
def test_returns_the_size_that_it_was_given(plane):
    with torch.no_grad():
        passed = MixtureVAE(2, width=4)(torch.zeros(1, 2, *plane))
    assert passed.x_hat.shape == (1, 2, *plane)
    assert passed.divergence.shape == (1,)


def test_responsibilities_are_shares_of_nine():
    p = responsibilities(torch.randn(2, 1, 3, 4), *components())
    assert p.shape == (2, 9, 3, 4)
    torch.testing.assert_close(p.sum(1), torch.ones(2, 3, 4))


def test_responsibilities_are_those_of_the_gaussian_density():
    z, (mean, log_inverse) = torch.randn(2, 1, 3, 4), components()
    density = torch.distributions.Normal(mean, (-log_inverse / 2).exp()).log_prob(z).exp()
    expected = density / density.sum(1, keepdim=True)
    torch.testing.assert_close(responsibilities(z, mean, log_inverse), expected)


def test_equal_components_share_equally_and_cost_the_free_nats():
    same = torch.zeros(2, CLUSTERS, 3, 4)
    p = responsibilities(torch.randn(2, 1, 3, 4), same, same)
    torch.testing.assert_close(p, torch.full_like(p, 1 / 9))
    assert torch.equal(cluster_prior(p), torch.full((2, 1, 3, 4), FREE))


def test_one_sure_component_costs_log_nine():
    p = torch.zeros(1, CLUSTERS, 1, 1)
    p[0, 3] = 1
    p.requires_grad_()
    cost = cluster_prior(p)
    assert float(cost.detach()) == pytest.approx(2.1972, rel=1e-4)
    cost.sum().backward()
    assert torch.isfinite(p.grad).all()


def test_conditional_prior_is_the_mean_divergence_from_the_components():
    mu, log_variance = torch.randn(2, 1, 3, 4), torch.randn(2, 1, 3, 4)
    mean, log_inverse = components()
    p = torch.softmax(torch.randn(2, CLUSTERS, 3, 4), 1)
    posterior = torch.distributions.Normal(mu, (log_variance / 2).exp())
    kl = torch.distributions.kl_divergence(
        posterior, torch.distributions.Normal(mean, (-log_inverse / 2).exp())
    )
    torch.testing.assert_close(
        conditional_prior(p, mu, log_variance, mean, log_inverse), (p * kl).sum(1, keepdim=True)
    )


def test_divergence_is_a_sum_over_positions():
    torch.manual_seed(0)
    net = MixtureVAE(1, width=4)
    with torch.no_grad():
        small, large = (net(torch.zeros(1, 1, n, n)).divergence for n in (64, 128))
    assert 3.5 < float(large / small) < 4.5  # the border alone differs


def test_is_repeatable_without_a_draw_and_stochastic_with_one():
    net = MixtureVAE(1, width=4)
    x = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(net(x).x_hat, net(x).x_hat)
        assert not torch.equal(net(x, draw()).x_hat, net(x).x_hat)
