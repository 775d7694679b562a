"""Behaviour of a tiny network; the check is the acceptance check of the specification."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hale.core.errors import Refused
from hale.nets.blocks import to_channels_last
from hale.nets.unet import Embedding, UNet, sinusoid
from hale.nets.unet_blocks import Attention


def tiny(**told) -> UNet:
    """Weights that are all alive, as after training."""
    torch.manual_seed(0)
    net = UNet(**{"channels": 1, "width": 16, "blocks": 1, **told})
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return net.eval()


def given(*plane: int, channels: int = 1, condition: int = 0):
    """Two slices, their times, and their conditions."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(2, channels, *plane, generator=draw)
    c = torch.randn(2, condition, generator=draw) if condition else None
    return x, torch.tensor([3, 900]), c


@pytest.mark.parametrize("embedding", Embedding)
def test_is_zero_before_training(embedding):
    """Check 2 of ddpm, and of check 7 of cddpm what concerns the start."""
    net = UNet(1, width=8, condition=6, embedding=embedding)
    x, t, c = given(96, 96, condition=6)
    y = net(x, t, 100 * c)
    assert y.shape == x.shape
    assert not y.any()  # (0 + 1) / 2 = 0.5


@pytest.mark.parametrize("plane", [(96, 96), (157, 189), (33, 40), (5, 3), (1, 1)])
def test_takes_a_slice_of_any_size(plane):
    x, t, _ = given(*plane, channels=2)
    with torch.no_grad():
        assert tiny(channels=2)(x, t).shape == (2, 2, *plane)


def test_pads_with_zeros_and_crops():
    net = tiny()
    x, t, _ = given(15, 18)
    with torch.no_grad():
        whole = net(F.pad(x, (0, 2, 0, 1)), t)
        torch.testing.assert_close(net(x, t), whole[..., :15, :18], rtol=0, atol=0)


def test_every_skip_goes_where_it_belongs():
    """Last in, first out, behind what comes from below."""
    net = tiny(condition=6)
    x, t, c = given(16, 16, condition=6)
    encoder, decoder = net.encoder, net.decoder
    with torch.no_grad():
        e = torch.cat([net.time(sinusoid(t, 16)), net.given(c)], 1)
        stem = net.stem(x)
        full = encoder[0](stem, e)
        to_half = encoder[1](full, e)
        half = encoder[2](to_half, e)
        to_quarter = encoder[3](half, e)
        quarter = encoder[4](to_quarter, e)
        h = net.middle[1](net.middle[0](quarter, e), e)
        h = decoder[0](torch.cat([h, quarter], 1), e)
        h = decoder[2](decoder[1](torch.cat([h, to_quarter], 1), e), e)
        h = decoder[3](torch.cat([h, half], 1), e)
        h = decoder[5](decoder[4](torch.cat([h, to_half], 1), e), e)
        h = decoder[6](torch.cat([h, full], 1), e)
        h = decoder[7](torch.cat([h, stem], 1), e)
        torch.testing.assert_close(net(x, t, c), net.head(h), rtol=0, atol=0)


def test_swapped_conditions_change_the_output():
    """Check 7 of cddpm, with weights that live as after training."""
    for mlp in (True, False):
        net = tiny(condition=6, condition_mlp=mlp)
        x, t, c = given(16, 16, condition=6)
        with torch.no_grad():
            change = (net(x, t, c) - net(x, t, c.flip(0))).abs().amax((1, 2, 3))
        assert change.min() > 1e-3


@pytest.mark.parametrize("embedding", Embedding)
def test_time_changes_the_output(embedding):
    """At a width where norms of single channels would undo an additive embedding."""
    net = tiny(width=8, embedding=embedding)
    x, t, _ = given(16, 16)
    with torch.no_grad():
        assert (net(x, t) - net(x, t + 90)).abs().amax((1, 2, 3)).min() > 1e-3
        torch.testing.assert_close(net(x, t), net(x, t.float()), rtol=0, atol=0)


def test_slices_do_not_mind_each_other():
    net = tiny(condition=6)
    x, t, c = given(16, 16, condition=6)
    with torch.no_grad():
        torch.testing.assert_close(net(x, t, c)[:1], net(x[:1], t[:1], c[:1]))


def test_encoder_learns_from_the_third_step_on():
    """Check 5 of cddpm: head, then second convolutions, then the embedding leave 0."""
    torch.manual_seed(0)
    encoder, net = nn.Linear(64, 6), UNet(1, width=8, blocks=1, condition=6)
    everything = [*encoder.parameters(), *net.parameters()]
    optimiser = torch.optim.Adam(everything, lr=1e-2)
    x, t, _ = given(8, 8)
    learns = []
    for _ in range(4):
        optimiser.zero_grad()
        F.l1_loss(net(x, t, encoder(x.flatten(1))), x + 1).backward()
        learns.append(bool(encoder.weight.grad.any()))
        optimiser.step()
    assert learns == [False, False, True, True]
    assert all(parameter.grad.any() for parameter in everything)


def test_checkpointing_changes_no_number():
    """Check 1 of pddpm too: names and shapes are those of ddpm."""
    nets = [tiny(checkpointing=told, condition=6).train() for told in (False, True)]
    plain, saving = ({k: v.shape for k, v in net.state_dict().items()} for net in nets)
    assert plain == saving
    x, t, c = given(16, 16, condition=6)
    for net in nets:
        net(x, t, c).square().mean().backward()
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=0)


def test_sinusoid_by_hand():
    """64 cosines, then 64 sines: frequencies 1, 10^(-1/16), ..., 10^(-63/16)."""
    waves = sinusoid(torch.tensor([0, 1, 250, 999]), 128)
    assert waves.shape == (4, 128)
    assert waves.dtype == torch.float32
    torch.testing.assert_close(waves[0], torch.cat([torch.ones(64), torch.zeros(64)]))
    for row, k, cosine, sine in (
        (1, 0, 0.5403023, 0.8414710),  # 1 rad
        (2, 32, -0.8011436, 0.5984721),  # 2.5 rad
        (3, 16, 0.8074587, -0.5899242),  # 99.9 rad
        (3, 63, 0.9933531, 0.1151070),  # 0.11536272 rad
    ):
        expected = torch.tensor([cosine, sine])
        torch.testing.assert_close(waves[row, [k, 64 + k]], expected, atol=2e-5, rtol=0)


def test_foreign_attention_is_refused():
    """Defect 6 of ddpm: sizes that no level has were ignored."""
    with pytest.raises(Refused, match=r"attention at 12 pixels.*96, 48, 24"):
        UNet(1, width=8, attention=(48, 12))
    levels = UNet(1, width=8, blocks=1, attention=(40,), size=157).modules()  # 160, 80, 40
    assert sum(isinstance(layer, Attention) for layer in levels) == 1 + 1 + 2


def test_a_condition_that_is_missing_or_unwanted():
    x, t, c = given(8, 8, condition=6)
    with pytest.raises(ValueError, match="condition of 6"):
        tiny(condition=6)(x, t)
    with pytest.raises(ValueError, match="condition of 0"):
        tiny()(x, t, c)


def test_pixels_stay_channels_last():
    """No layer copies from one layout to the other, in float32 or bfloat16."""
    net, seen = to_channels_last(tiny(width=32, attention=(48,)), "cpu"), []

    def look(layer, x, y):
        for h in (*x, y):
            if h.dim() == 4 and h.shape[1] > 1:
                seen.append((type(layer), h.is_contiguous(memory_format=torch.channels_last)))

    for layer in [*net.modules()][1:]:
        layer.register_forward_hook(look)
    for kind in (torch.float32, torch.bfloat16):
        net.to(kind)
        with torch.no_grad():
            net(*given(96, 96)[:2])
    assert len(seen) > 100
    assert {layer for layer, is_last in seen if not is_last} == set()


def test_layouts_agree():
    net, x = tiny(attention=(8,), size=16), given(16, 16)[:2]
    with torch.no_grad():
        plain = net(*x)
        torch.testing.assert_close(to_channels_last(net, "cpu")(*x), plain, rtol=1e-4, atol=1e-5)


def taught() -> UNet:
    """A little: with random weights every layer amplifies what bfloat16 rounds away."""
    torch.manual_seed(0)
    net = to_channels_last(UNet(1, width=16, blocks=1, condition=6), "cpu")
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    x, t, c = given(8, 8, condition=6)
    for _ in range(30):
        optimiser.zero_grad()
        F.l1_loss(net(x, t, c), x.tanh()).backward()
        optimiser.step()
    return net.eval()


def test_bfloat16_is_near_float32():
    """Of the weights, and of autocast, which leaves the embedding in float32."""
    net, (x, t, c) = taught(), given(32, 32, condition=6)
    with torch.no_grad():
        exact = net(x, t, c)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = net(x, t, c.bfloat16())
        half = net.to(torch.bfloat16)(x, t, c)
        given_half = net(x.bfloat16(), t.float(), c.bfloat16())
    for near in (cast, half):
        assert near.dtype == torch.bfloat16
        assert (near.float() - exact).abs().max() < 2e-2 * exact.abs().max()
    torch.testing.assert_close(half, given_half, rtol=0, atol=0)


def test_embedding_is_float32_under_autocast():
    net, (_, t, c) = tiny(condition=6), given(8, 8, condition=6)
    embedded = []
    net.given.register_forward_hook(lambda _layer, _c, e: embedded.append(e))
    with torch.no_grad():
        net(given(8, 8)[0], t, c)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            net(given(8, 8)[0], t, c)
    torch.testing.assert_close(embedded[0], embedded[1], rtol=0, atol=0)


def test_learns_under_autocast():
    """Every tensor gets a gradient in float32."""
    net = to_channels_last(tiny(condition=6), "cpu").train()
    x, t, c = given(16, 16, condition=6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = net(x, t, c.bfloat16())
    F.l1_loss(y.float(), x).backward()
    for parameter in net.parameters():
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()
