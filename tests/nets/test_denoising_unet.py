import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hale.nets.blocks import Block, StandardisedConv2d, parameters
from hale.nets.denoising_unet import DenoisingUNet


def test_has_the_parameters_of_the_published_network():
    assert parameters(DenoisingUNet(1)) == 7_701_825


def test_costs_what_is_published():
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        DenoisingUNet(1)(torch.zeros(1, 1, 96, 96))
    assert counter.get_total_flops() / 1e9 == pytest.approx(10.3, rel=0.01)


def test_groups_of_the_four_levels():
    norms = [
        [layer.num_groups for layer in block if isinstance(layer, nn.GroupNorm)]
        for block in DenoisingUNet(1).down
    ]
    assert norms == [[8, 8], [16, 16], [16, 16], [32, 32]]


def test_has_four_levels():
    with torch.no_grad():
        levels = DenoisingUNet(1, width=4).levels(torch.zeros(1, 1, 96, 96))
    assert [tuple(h.shape[1:]) for h in levels] == [
        (4, 96, 96),
        (8, 48, 48),
        (16, 24, 24),
        (32, 12, 12),
    ]


@pytest.mark.parametrize("plane", [(16, 16), (157, 189), (33, 40), (8, 40), (5, 3)])
def test_returns_the_size_that_it_was_given(plane):
    with torch.no_grad():
        assert DenoisingUNet(2, width=4)(torch.zeros(1, 2, *plane)).shape == (1, 2, *plane)


def test_activates_before_it_normalises():
    kinds = [type(layer) for layer in Block(1, 8)]
    assert kinds == [StandardisedConv2d, nn.SiLU, nn.GroupNorm] * 2


def test_standardised_filters_mind_neither_scale_nor_offset():
    conv = StandardisedConv2d(3, 4, 3, padding=1, padding_mode="reflect")
    x = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        before = conv(x)
        conv.weight.mul_(3).add_(0.7)
        torch.testing.assert_close(conv(x), before, rtol=1e-3, atol=1e-4)
