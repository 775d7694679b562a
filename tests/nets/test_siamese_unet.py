"""The check is the acceptance check of SADM's specification."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hale.nets.blocks import StandardisedConv2d, parameters
from hale.nets.denoising_unet import DenoisingUNet
from hale.nets.resnet import ResNet
from hale.nets.siamese_unet import SiameseUNet
from hale.nets.unet import UNet


def full() -> SiameseUNet:
    """The published size, without memory for its weights."""
    with torch.device("meta"):
        return SiameseUNet(1)


def test_parameters_of_each_stage():
    """Check 1."""
    net = full()
    assert [parameters(block) for block in net.down] == [37_824, 221_952, 886_272, 3_542_016]
    up = [
        parameters(grow) + parameters(block) for grow, block in zip(net.grow, net.up, strict=True)
    ]
    assert up == [9_178_624, 2_295_552, 574_336]
    assert parameters(net.head) == 129
    assert parameters(net) == 16_736_705


def test_parameters_with_the_frozen_network_and_with_one_branch():
    """Check 1."""
    with torch.device("meta"):
        frozen = parameters(UNet(1, condition=512)) + parameters(ResNet(1, out=512))
        assert frozen + parameters(full()) == 85_356_034
        assert parameters(DenoisingUNet(1)) == 7_701_825


def test_costs_what_is_published():
    """Check 2."""
    x = torch.zeros(1, 1, 96, 96, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        full()(x, x)
    assert counter.get_total_flops() / 1e9 == pytest.approx(33.8, rel=0.01)


def test_one_encoder_sees_both():
    """Check 3: each block is called twice, first for the residual."""
    net, seen = SiameseUNet(1, width=4), [[], [], [], []]
    for block, calls in zip(net.down, seen, strict=True):
        block.register_forward_hook(lambda _b, given, _y, calls=calls: calls.append(given[0]))
    residual, x = torch.rand(2, 2, 1, 96, 96)
    net(residual, x)
    assert [len(calls) for calls in seen] == [2, 2, 2, 2]
    assert torch.equal(seen[0][0], residual)
    assert torch.equal(seen[0][1], x)
    assert [calls[0].shape[-1] for calls in seen] == [96, 48, 24, 12]


def test_both_count_and_differently():
    net = SiameseUNet(1, width=4)
    residual, x = torch.randn(2, 1, 1, 16, 16)
    with torch.no_grad():
        logits = net(residual, x)
        for given in ((x, residual), (residual, residual), (x, x)):
            assert (net(*given) - logits).abs().max() > 1e-3


def test_size_of_the_output_and_groups():
    """Check 4: one map, of however many contrasts."""
    norms = [
        [layer.num_groups for layer in block if isinstance(layer, nn.GroupNorm)]
        for block in full().down
    ]
    assert norms == [[8, 8], [16, 16], [16, 16], [32, 32]]
    x = torch.zeros(2, 1, 96, 96, device="meta")
    assert full()(x, x).shape == (2, 1, 96, 96)


@pytest.mark.parametrize("plane", [(16, 16), (157, 189), (33, 40), (5, 3)])
def test_takes_a_slice_of_any_size(plane):
    residual, x = torch.rand(2, 1, 2, *plane)
    with torch.no_grad():
        assert SiameseUNet(2, width=4)(residual, x).shape == (1, 1, *plane)


def test_filters_are_standardised():
    """Check 5, for every layer of an encoder, the widest too."""
    net, filters = SiameseUNet(1, width=64), []
    for conv in net.down.modules():
        if isinstance(conv, StandardisedConv2d):
            conv._conv_forward = lambda _x, weight, _bias: filters.append(weight) or weight
            conv(torch.zeros(conv.out_channels, conv.in_channels, 1, 1))
    assert [tuple(weight.shape[:2]) for weight in filters[::3]] == [(64, 1), (128, 128), (512, 256)]
    for weight in filters:
        assert weight.mean((1, 2, 3)).abs().max() < 1e-6
        assert (weight.std((1, 2, 3)) - 1).abs().max() < 5e-3
