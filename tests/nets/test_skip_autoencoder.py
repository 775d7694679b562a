import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hale.nets.blocks import parameters
from hale.nets.skip_autoencoder import Head, SkipAutoEncoder


def test_has_the_parameters_of_the_published_network():
    with torch.device("meta"):
        assert parameters(SkipAutoEncoder(1)) == 10_247_619


@pytest.mark.parametrize(("size", "gigaflop"), [(256, 41.3), (96, 5.8)])
def test_costs_what_is_published(size, gigaflop):
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        SkipAutoEncoder(1).eval()(torch.zeros(1, 1, size, size))
    assert counter.get_total_flops() / 1e9 == pytest.approx(gigaflop, rel=0.01)


@pytest.mark.parametrize("plane", [(16, 16), (48, 32), (157, 189), (33, 40)])
def test_returns_the_size_that_it_was_given(plane):
    net = SkipAutoEncoder(2, width=4).eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 2, *plane)).shape == (1, 2, *plane)


def test_drops_only_while_it_learns():
    net = SkipAutoEncoder(1, width=4, dropout=0.5)
    x = torch.rand(2, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(net.eval()(x), net(x))
        net.drop.train()
        assert not torch.equal(net(x), net(x))


def test_drops_nothing_after_the_first_sum():
    net = SkipAutoEncoder(1, width=4)
    calls = []
    net.drop.register_forward_hook(lambda *_: calls.append(1))
    net(torch.rand(2, 1, 16, 16))
    assert len(calls) == 3


def test_a_linear_head_can_be_negative_and_the_published_one_cannot():
    x = torch.rand(4, 1, 32, 32)
    torch.manual_seed(0)
    linear = SkipAutoEncoder(1, width=4)(x)
    torch.manual_seed(0)
    limited = SkipAutoEncoder(1, width=4, head=Head.TANH)(x)
    assert linear.min() < 0
    assert limited.min() == 0
    assert limited.max() < 1
