"""The blocks, written again as formulas."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hale.nets.unet_blocks import Attention, Resample, ResidualBlock, norm


def alive(block: nn.Module) -> nn.Module:
    """Weights as after training, in double precision."""
    torch.manual_seed(0)
    for parameter in block.parameters():
        nn.init.normal_(parameter, mean=0.1, std=0.2)
    return block.double()


def halved(x):
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4


def doubled(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def conv(x, layer):
    """Convolve, the size kept; a linear layer is a 1 x 1 convolution."""
    weight = layer.weight if layer.weight.dim() == 4 else layer.weight[..., None, None]
    return F.conv2d(x, weight, layer.bias, padding="same")


def normed(x, layer):
    """Over four channels or more, of which there are 32 groups at most."""
    groups = x.unflatten(1, (min(32, x.shape[1] // 4), -1))
    mean = groups.mean((2, 3, 4), keepdim=True)
    variance = groups.var((2, 3, 4), keepdim=True, correction=0)
    y = ((groups - mean) / (variance + 1e-5).sqrt()).flatten(1, 2)
    return y * layer.weight[:, None, None] + layer.bias[:, None, None]


def silu(x):
    return x * torch.sigmoid(x)


@pytest.mark.parametrize("scales", [True, False])
@pytest.mark.parametrize(
    ("come", "go", "resample"),
    [
        (16, 16, Resample.NONE),
        (24, 16, Resample.NONE),
        (16, 16, Resample.HALVE),
        (16, 16, Resample.DOUBLE),
    ],
)
def test_residual_block_is_that_of_the_specification(come, go, resample, scales):
    block = alive(ResidualBlock(come, go, 10, scales=scales, resample=resample))
    x, e = torch.randn(2, come, 8, 6).double(), torch.randn(2, 10).double()
    size = {Resample.NONE: lambda h: h, Resample.HALVE: halved, Resample.DOUBLE: doubled}[resample]
    h = conv(size(silu(normed(x, block.before[0]))), block.first)
    told = (silu(e) @ block.embed[1].weight.T + block.embed[1].bias)[..., None, None]
    if scales:
        g, b = told[:, :go], told[:, go:]
        h = normed(h, block.norm) * (1 + g) + b
    else:
        h = normed(h + told, block.norm)
    across = size(x) if come == go else conv(size(x), block.skip)
    torch.testing.assert_close(block(x, e), across + conv(silu(h), block.second))


@pytest.mark.parametrize(("channels", "heads"), [(256, 4), (64, 1), (16, 1)])
def test_attention_is_that_of_the_specification(channels, heads):
    """Query, key, value before heads; both of a product scaled by the fourth root."""
    attention = alive(Attention(channels))
    x, size = torch.randn(2, channels, 3, 5).double(), channels // heads
    expected = []
    for one in conv(normed(x, attention.norm), attention.qkv):
        query, key, value = one.flatten(1).split(channels)
        told = []
        for head in range(heads):
            q, k, v = (h[head * size : (head + 1) * size] for h in (query, key, value))
            weight = torch.softmax((q * size**-0.25).T @ (k * size**-0.25), 1)  # query x key
            told.append(v @ weight.T)
        expected.append(torch.cat(told).unflatten(1, (3, 5)))
    told = conv(torch.stack(expected), attention.project)
    assert attention.heads == heads
    torch.testing.assert_close(attention(x), x + told)


def test_attention_follows_the_block():
    block = alive(ResidualBlock(8, 8, 10, scales=True, attends=True))
    x, e = torch.randn(2, 8, 4, 4).double(), torch.randn(2, 10).double()
    whole, attend = block(x, e), block.attend
    block.attend = nn.Identity()
    torch.testing.assert_close(whole, attend(block(x, e)))


@pytest.mark.parametrize("resample", Resample)
def test_a_new_block_changes_nothing_but_the_size(resample):
    block = ResidualBlock(8, 8, 10, scales=True, resample=resample, attends=True)
    size = {Resample.NONE: lambda h: h, Resample.HALVE: halved, Resample.DOUBLE: doubled}[resample]
    x = torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(block(x, torch.randn(2, 10)), size(x))


@pytest.mark.parametrize(
    ("channels", "groups"),
    [(128, 32), (256, 32), (384, 32), (512, 32), (64, 16), (48, 12), (8, 2), (7, 1), (2, 1)],
)
def test_groups_of_a_norm(channels, groups):
    assert norm(channels).num_groups == groups
