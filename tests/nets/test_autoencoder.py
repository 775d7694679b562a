import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hale.nets.autoencoder import AutoEncoder, VariationalAutoEncoder
from hale.nets.blocks import parameters


@pytest.mark.parametrize(("size", "count"), [(96, 1_520_529), (128, 1_627_249)])
def test_has_the_parameters_of_the_published_network(size, count):
    assert parameters(AutoEncoder(1, (size, size))) == count


@pytest.mark.parametrize(("size", "count"), [(96, 1_815_569), (128, 1_758_449)])
def test_variational_one_has_the_parameters_of_the_published_network(size, count):
    assert parameters(VariationalAutoEncoder(1, (size, size))) == count


@pytest.mark.parametrize(("size", "bottleneck"), [(96, 12 * 12 * 16), (128, 8 * 8 * 16)])
def test_squeezes_a_slice_through_the_bottleneck(size, bottleneck):
    net = AutoEncoder(1, (size, size)).eval()
    flat = {}
    net.encode[-2].register_forward_pre_hook(lambda _, args: flat.update(shape=args[0].shape))
    assert net.encode(torch.zeros(2, 1, size, size)).shape == (2, 128)
    assert flat["shape"] == (2, bottleneck)


@pytest.mark.parametrize(("size", "bottleneck"), [(96, 2304), (128, 1024)])
def test_variational_one_has_two_heads_on_the_same_bottleneck(size, bottleneck):
    net = VariationalAutoEncoder(1, (size, size)).eval()
    with torch.no_grad():
        assert net.features(torch.zeros(2, 1, size, size)).shape == (2, bottleneck)
        mu, log_sigma = net.posterior(torch.zeros(2, 1, size, size))
    assert mu.shape == log_sigma.shape == (2, 128)


@pytest.mark.parametrize(
    ("kind", "gigaflop"), [(AutoEncoder, 0.714), (VariationalAutoEncoder, 0.715)]
)
def test_costs_what_is_published(kind, gigaflop):
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        kind(1, (96, 96)).eval()(torch.zeros(1, 1, 96, 96))
    assert counter.get_total_flops() / 1e9 == pytest.approx(gigaflop, rel=0.01)


@pytest.mark.parametrize("plane", [(16, 16), (157, 189), (96, 80), (33, 40)])
def test_variational_one_returns_the_size_that_it_was_given(plane):
    net = VariationalAutoEncoder(2, plane, latent=4, width=4).eval()
    with torch.no_grad():
        passed = net(torch.zeros(1, 2, *plane))
    assert passed.x_hat.shape == (1, 2, *plane)
    assert passed.divergence.shape == (1,)


def test_divergence_is_summed_over_the_latent():
    net = VariationalAutoEncoder(1, (16, 16), latent=6, width=4).eval()
    torch.nn.init.zeros_(net.mu.weight)
    torch.nn.init.ones_(net.mu.bias)
    torch.nn.init.zeros_(net.log_sigma.weight)
    torch.nn.init.zeros_(net.log_sigma.bias)
    with torch.no_grad():
        assert net(torch.rand(2, 1, 16, 16)).divergence.tolist() == [3, 3]


@pytest.mark.parametrize("plane", [(16, 16), (157, 189), (96, 80), (33, 40)])
def test_returns_the_size_that_it_was_given(plane):
    net = AutoEncoder(2, plane, latent=4, width=4).eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 2, *plane)).shape == (1, 2, *plane)


def test_drops_nothing_when_it_is_evaluated():
    net = AutoEncoder(1, (16, 16), latent=64, width=4, dropout=0.5).eval()
    x = torch.rand(2, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(net(x), net(x))
        net.decode[0].train()
        net.encode[-1].train()
        assert not torch.equal(net(x), net(x))
