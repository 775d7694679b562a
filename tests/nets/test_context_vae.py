"""The network of StRegA: every published size, the public names, and one copy of the weights."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hale.core.errors import Refused
from hale.nets.blocks import parameters
from hale.nets.context_vae import Activation, ContextVAE, adopt, fitted, lent, moved, shapes

PUBLIC = {
    "enc.start.conv.weight": (16, 1, 3, 3),
    "enc.middle_blocks.1.conv.weight": (64, 16, 3, 3),
    "enc.middle_blocks.3.conv.weight": (256, 64, 3, 3),
    "enc.middle_blocks.5.conv.weight": (1024, 256, 3, 3),
    "enc.end.conv.weight": (2048, 1024, 16, 16),
    "dec.start.conv.weight": (1024, 1024, 16, 16),
    "dec.middle_blocks.1.conv.weight": (1024, 256, 4, 4),
    "dec.middle_blocks.3.conv.weight": (256, 64, 4, 4),
    "dec.middle_blocks.5.conv.weight": (64, 16, 4, 4),
    "dec.end.conv.weight": (16, 1, 4, 4),
    **{
        f"{half}.{place}.activation.weight": (1,)
        for half in ("enc", "dec")
        for place in ("start", "middle_blocks.1", "middle_blocks.3", "middle_blocks.5")
    },
}
COMPACT = (16, 32, 64, 128, 256)
LEAKY = {"kernel": 4, "activation": Activation.LEAKY}


def on_meta(**settings) -> ContextVAE:
    with torch.device("meta"):
        return ContextVAE(1, **settings)


def small() -> ContextVAE:
    torch.manual_seed(0)
    return ContextVAE(1, size=32, maps=(4, 8), latent=6)


def test_the_public_weights_are_18_tensors_of_these_names_and_shapes():
    found = shapes(on_meta())
    assert found == PUBLIC
    assert len(found) == 18


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({}, 812_295_576),
        (LEAKY, 814_252_544),
        ({"latent": 256}, 208_315_800),
        ({"maps": (64, 128, 256), "latent": 256}, 202_352_198),
        ({"size": 128, "latent": 512}, 107_652_504),
        ({"size": 128, "latent": 512, **LEAKY}, 109_609_472),
        ({"maps": (16, 32, 64, 256), "latent": 256}, 50_805_656),
        ({"maps": COMPACT, "latent": 256}, 13_671_322),
    ],
)
def test_every_size_has_its_parameters(settings, count):
    assert parameters(on_meta(**settings)) == count


def test_what_goes_in_and_comes_out():
    coded = on_meta()(torch.zeros(3, 1, 256, 256, device="meta"))
    assert coded.x_hat.shape == (3, 1, 256, 256)
    assert coded.mu.shape == coded.log_sigma.shape == (3, 1024, 1, 1)


@pytest.mark.parametrize(
    ("settings", "gflop"),
    [
        ({}, 6.03),
        ({"maps": (16, 32, 64, 256), "latent": 256}, 0.53),
        ({"maps": COMPACT, "latent": 256}, 0.46),
    ],
)
def test_what_a_slice_costs(settings, gflop):
    net = on_meta(**settings)
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 1, 256, 256, device="meta"))
    assert counter.get_total_flops() / 1e9 == pytest.approx(gflop, abs=0.005)


@pytest.mark.parametrize("plane", [(32, 32), (19, 22), (33, 41), (31, 40)])
def test_slices_of_any_size_come_back_in_their_place(plane):
    x = torch.rand(2, 1, *plane)
    square = fitted(x, (32, 32))
    assert square.shape == (2, 1, 32, 32)
    back = fitted(square, plane)
    kept = fitted(fitted(torch.ones_like(x), (32, 32)), plane) > 0
    assert torch.equal(back[kept], x[kept])
    assert kept.sum() == 2 * min(plane[0], 32) * min(plane[1], 32)
    assert small()(x).x_hat.shape == x.shape


def test_without_noise_z_is_its_mean_and_noise_moves_it():
    net, x = small(), torch.rand(2, 1, 32, 32)
    first, second = net(x), net(x, torch.zeros(2, 6))
    assert torch.equal(first.x_hat, second.x_hat)
    assert not torch.equal(net(x, torch.ones(2, 6)).x_hat, first.x_hat)


def test_a_wild_sigma_is_bounded():
    net = small()
    with torch.no_grad():
        net.enc.end.conv.weight.mul_(1e6)
    coded = net(torch.rand(2, 1, 32, 32), torch.ones(2, 6))
    assert coded.log_sigma.abs().max() == 10
    assert torch.isfinite(coded.x_hat).all()


def test_restoring_holds_the_weights_once():
    """From arrays to a network that was never real, to its twin that scores: one memory."""
    state = {name: np.array(array) for name, array in lent(small()).items()}
    net = ContextVAE(1, size=32, maps=(4, 8), latent=6).to("meta")
    adopt(net, state)
    twin = moved(net, "cpu")
    for name in ("enc.end.conv.weight", "dec.start.conv.weight"):
        assert twin.get_parameter(name).data_ptr() == state[name].ctypes.data
        assert lent(twin)[name].ctypes.data == state[name].ctypes.data
    held = sum(array.nbytes for array in state.values())
    shared = sum(
        state[name].nbytes
        for name in state
        if twin.get_parameter(name).data_ptr() == state[name].ctypes.data
    )
    assert shared > 0.9 * held
    x = torch.rand(2, 1, 32, 32)
    assert torch.allclose(twin(x).x_hat, small()(x).x_hat, atol=1e-6)


def test_of_the_public_weights_less_than_two_percent_are_copied():
    sizes = {name: np.prod(shape) for name, shape in PUBLIC.items()}
    copied = sum(n for name, n in sizes.items() if max(PUBLIC[name][2:], default=0) in (3, 4))
    assert copied / sum(sizes.values()) < 0.02


def test_lent_arrays_cannot_be_written_to_and_are_copied_when_adopted():
    state = lent(small())
    with pytest.raises(ValueError, match="read-only"):
        state["enc.end.conv.weight"][:] = 0
    net = small()
    adopt(net, state)
    assert (
        net.get_parameter("enc.end.conv.weight").data_ptr()
        != state["enc.end.conv.weight"].ctypes.data
    )


def test_a_foreign_state_is_refused_by_name():
    state = dict(lent(small()))
    del state["dec.end.conv.weight"]
    with pytest.raises(Refused, match=r"dec\.end\.conv\.weight.*is missing"):
        adopt(small(), state)
