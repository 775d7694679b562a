import pytest
import torch

from hale.nets.autoencoder import VariationalAutoEncoder
from hale.nets.latent import Passed
from hale.train.elbo import Restoration, descended, negative_elbo, slope, total_variation


def test_loss_is_a_sum_over_pixels_plus_the_weighted_divergence():
    x = torch.rand(2, 1, 4, 4)
    passed = Passed(x + 0.5, torch.tensor([3.0, 4.0]))
    torch.testing.assert_close(negative_elbo(passed, x, 0.1), torch.tensor([8.3, 8.4]))


def test_loss_of_a_perfect_twin_with_the_prior_for_posterior_is_0():
    x = torch.rand(2, 1, 4, 4)
    assert not negative_elbo(Passed(x, torch.zeros(2)), x, 1.0).any()


def test_slope_agrees_with_finite_differences_slice_by_slice():
    torch.manual_seed(0)
    net = VariationalAutoEncoder(1, (16, 16), latent=3, width=4).double().eval()
    x = torch.rand(2, 1, 16, 16, dtype=torch.float64)

    def loss(y):
        mu, log_sigma = (head(net.features(y)) for head in (net.mu, net.log_sigma))
        return (mu.square() + log_sigma.exp()).sum(1)

    step = torch.zeros_like(x)
    step[1, 0, 5, 6] = 1e-6
    with torch.no_grad():
        by_hand = (loss(x + step) - loss(x - step)) / 2e-6
    assert by_hand[0] == 0
    assert slope(loss, x)[1, 0, 5, 6] == pytest.approx(float(by_hand[1]), rel=1e-4)


def test_total_variation_counts_every_pair_of_neighbours():
    x = torch.zeros(2, 1, 4, 4)
    x[1, 0, 1, 1] = 2
    assert total_variation(x).tolist() == [0, 8]


def test_descent_brings_a_slice_to_what_is_likely_and_only_in_the_brain():
    x = torch.zeros(1, 1, 8, 8)
    x[0, 0, 2:4, 2:4] = 1
    x[0, 0, 6, 6] = 1  # outside the brain
    brain = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    brain[..., 6:, :] = False
    twin = descended(lambda y: 5 * y.square().sum((1, 2, 3)), x, brain, Restoration(200, 0.02, 0.0))
    assert twin[brain].abs().max() < 1e-3
    assert torch.equal(twin[~brain], x[~brain])


def test_total_variation_holds_back_what_a_single_pixel_gains():
    x = torch.zeros(1, 1, 8, 8)
    x[0, 0, 4, 4] = 1
    brain = torch.ones(1, 1, 8, 8, dtype=torch.bool)

    def loss(y):
        return y.abs().sum((1, 2, 3))

    free = descended(loss, x, brain, Restoration(50, 0.02, 0.0))
    held = descended(loss, x, brain, Restoration(50, 0.02, 1.0))
    assert free[0, 0, 4, 4] < 0.05
    assert held[0, 0, 4, 4] > 0.8
