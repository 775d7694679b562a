"""Counts at the published size; the check is the acceptance check of the specification."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hale.nets.blocks import parameters
from hale.nets.unet import Embedding, UNet
from hale.nets.unet_blocks import Attention, Resample, ResidualBlock

STAGES = {
    Embedding.ADDITIVE: {
        "time": 328_704,
        "stem": 1_280,
        "encoder 0": 1_084_032,
        "down 0": 361_344,
        "encoder 1": 3_675_392,
        "down 1": 1_312_512,
        "encoder 2": 3_937_536,
        "middle": 2_625_024,
        "attention": 263_680,
        "decoder 2": 8_136_704,
        "up 2": 1_312_512,
        "decoder 1": 7_808_768,
        "up 1": 1_312_512,
        "decoder 0": 2_331_904,
        "head": 1_409,
    },
    Embedding.SCALE_SHIFT: {
        "time": 328_704,
        "stem": 1_280,
        "encoder 0": 1_281_024,
        "down 0": 427_008,
        "encoder 1": 4_069_376,
        "down 1": 1_443_840,
        "encoder 2": 4_331_520,
        "middle": 2_887_680,
        "attention": 263_680,
        "decoder 2": 8_662_016,
        "up 2": 1_443_840,
        "decoder 1": 8_334_080,
        "up 1": 1_443_840,
        "decoder 0": 2_594_560,
        "head": 1_409,
    },
}
CONDITIONED = {
    "time": 328_704,
    "condition": 525_312,
    "stem": 1_280,
    "encoder 0": 1_674_240,
    "down 0": 558_080,
    "encoder 1": 4_855_808,
    "down 1": 1_705_984,
    "encoder 2": 5_117_952,
    "middle": 3_411_968,
    "attention": 263_680,
    "decoder 2": 9_710_592,
    "up 2": 1_705_984,
    "decoder 1": 9_382_656,
    "up 1": 1_705_984,
    "decoder 0": 3_118_848,
    "head": 1_409,
}


def full(**told) -> UNet:
    """The published size, without memory for its weights."""
    with torch.device("meta"):
        return UNet(1, **told)


def stages(net: UNet) -> dict[str, int]:
    """Parameters of each."""
    encoder = [parameters(block) for block in net.encoder]
    decoder = [parameters(block) for block in net.decoder]
    attention = parameters(net.middle[0].attend)
    condition = {"condition": parameters(net.given)} if net.condition else {}
    return {
        "time": parameters(net.time),
        **condition,
        "stem": parameters(net.stem),
        "encoder 0": sum(encoder[:3]),
        "down 0": encoder[3],
        "encoder 1": sum(encoder[4:7]),
        "down 1": encoder[7],
        "encoder 2": sum(encoder[8:]),
        "middle": parameters(net.middle) - attention,
        "attention": attention,
        "decoder 2": sum(decoder[:4]),
        "up 2": decoder[4],
        "decoder 1": sum(decoder[5:9]),
        "up 1": decoder[9],
        "decoder 0": sum(decoder[10:]),
        "head": parameters(net.head),
    }


def flop(net: nn.Module, *given: torch.Tensor) -> float:
    """Of one forward pass, in 10^9."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(*given)
    return counter.get_total_flops() / 1e9


@pytest.mark.parametrize("embedding", Embedding)
def test_parameters_of_each_stage(embedding):
    """Check 1 of ddpm."""
    net = full(embedding=embedding)
    assert stages(net) == STAGES[embedding]
    total = {Embedding.ADDITIVE: 34_493_313, Embedding.SCALE_SHIFT: 37_513_857}
    assert parameters(net) == total[embedding]


def test_parameters_of_each_stage_with_a_condition():
    """Check 1 of cddpm."""
    net = full(condition=512)
    assert stages(net) == CONDITIONED
    assert parameters(net) == 44_068_481


def test_embedding_of_time_and_condition():
    """Checks 2 and 10 of cddpm: 512 + 512, through layers of 512; as published 512 + 128."""
    for condition, mlp, size in ((512, True, 1024), (128, True, 1024), (128, False, 640)):
        net = full(condition=condition, condition_mlp=mlp)
        for block in net.modules():
            if isinstance(block, ResidualBlock):
                assert block.embed[1].weight.shape == (2 * block.first.out_channels, size)
        shapes = [tuple(layer.shape) for layer in net.given.parameters()]
        expected = [(512, condition), (512,), (512, 512), (512,)] if mlp else []
        assert shapes == expected
    # 384 inputs less: of 512 outputs; or, without layers of 525,312, of 2 x 5,888 outputs
    assert parameters(full(condition=128)) == 43_871_873
    assert parameters(full(condition=128, condition_mlp=False)) == 39_021_185


def test_costs_what_is_published():
    """Check 3 of ddpm; check 11 of pddpm, whose four boxes of a slice are a batch of four."""
    x, t = torch.zeros(4, 1, 96, 96, device="meta"), torch.zeros(4, device="meta")
    assert flop(full(), x[:1], t[:1]) == pytest.approx(149.1, rel=0.005)
    assert flop(full(), x, t) == pytest.approx(596, rel=0.005)
    c = torch.zeros(1, 512, device="meta")
    assert flop(full(condition=512), x[:1], t[:1], c) == pytest.approx(149.1, rel=0.005)


def test_attention_at_two_levels_costs_more():
    """Section 4 of ddpm: what the public code's configuration would have been."""
    net = full(attention=(48, 24))
    assert parameters(net) == 37_513_857 + 14 * 263_680  # 41.2 million
    x, t = torch.zeros(1, 1, 96, 96, device="meta"), torch.zeros(1, device="meta")
    assert flop(net, x, t) == pytest.approx(200, rel=0.005)


def test_one_attention_at_24_pixels_with_four_heads():
    """Check 4 of ddpm."""
    net, seen = full(), []
    (attention,) = (layer for layer in net.modules() if isinstance(layer, Attention))
    attention.register_forward_hook(lambda _layer, x, _y: seen.append(tuple(x[0].shape)))
    net(torch.zeros(2, 1, 96, 96, device="meta"), torch.zeros(2, device="meta"))
    assert seen == [(2, 256, 24, 24)]
    assert attention.heads == 4
    assert 256 // attention.heads == 64


def test_channels_of_the_skips():
    """Check 5 of ddpm, and what the decoder gets with them."""
    net, skips = full(), []
    for layer in (net.stem, *net.encoder):
        layer.register_forward_hook(lambda _layer, _x, y: skips.append(y.shape[1]))
    net(torch.zeros(1, 1, 96, 96, device="meta"), torch.zeros(1, device="meta"))
    assert skips == [128] * 5 + [256] * 7
    comes = [b.first.in_channels for b in net.decoder if b.resample is Resample.NONE]
    assert comes == [512] * 7 + [384] * 2 + [256] * 3


def test_pixels_of_the_levels():
    net, seen = full(), []
    for block in (*net.encoder, *net.decoder):
        block.register_forward_hook(lambda _block, _x, y: seen.append(y.shape[-1]))
    net(torch.zeros(1, 1, 96, 96, device="meta"), torch.zeros(1, device="meta"))
    encoder = [96] * 3 + [48] * 4 + [24] * 4
    assert seen == encoder + [24] * 4 + [48] * 5 + [96] * 5


def test_pddpm_is_the_same_network():
    """Check 1 of pddpm."""
    net = full(checkpointing=True)
    assert parameters(net) == 37_513_857
    shapes = {name: tensor.shape for name, tensor in full().state_dict().items()}
    assert {name: tensor.shape for name, tensor in net.state_dict().items()} == shapes
