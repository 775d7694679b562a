import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hale.core.errors import Refused
from hale.nets.blocks import parameters
from hale.nets.implicit_field import ImplicitField, encoded, from_public, multiplied_out

LAYERS = [162_816, *[263_168] * 2, 100_744, *[263_168] * 4, 5_130]


def old_style() -> dict[str, torch.Tensor]:
    """Weights under the names of the public code."""
    net = ImplicitField()
    spelt = {"original0": "weight_g", "original1": "weight_v"}
    weights = {"L_mult": 2.0 ** torch.arange(10.0).reshape(1, 1, 10)}
    for name, tensor in net.state_dict().items():
        layer, _, kind = name.replace("parametrizations.weight.", "").rpartition(".")
        grown = tensor + 0.05 * torch.randn(tensor.shape)
        weights[f"{layer}.{spelt.get(kind, kind)}"] = grown
    return weights


def public_forward(weights, x):
    """The public network in eval mode: weights multiplied out by hand, one row of ``x`` a point."""
    angles = x[:, 256:, None] * torch.pi * weights["L_mult"].flatten()
    encoding = torch.cat([angles.sin().flatten(1), angles.cos().flatten(1)], 1)
    come = hidden = torch.cat([x[:, :256], encoding], 1)
    for n in range(8):
        if n == 4:
            hidden = torch.cat([hidden, come], 1)
        g, v = weights[f"lin{n}.weight_g"], weights[f"lin{n}.weight_v"]
        weight = g * v / v.norm(dim=1, keepdim=True)
        hidden = torch.relu(hidden @ weight.T + weights[f"lin{n}.bias"])
    return hidden @ weights["lin8.weight"].T + weights["lin8.bias"]


def test_parameters_of_each_layer():
    net = ImplicitField()
    assert [parameters(layer) for layer in net.children()] == LAYERS
    assert parameters(net) == 1_847_698


def test_a_point_is_259_numbers_and_316_when_encoded():
    net = ImplicitField()
    code, position = torch.zeros(1, 256), torch.zeros(1, 1, 3)
    assert code.shape[1] + position.shape[2] == 259
    assert code.shape[1] + encoded(position, 10).shape[2] == 316 == net.lin0.in_features
    assert net.lin4.in_features == net.lin3.out_features + 316 == 512
    assert net(code, position).shape == (1, 1, 10)


@pytest.mark.parametrize(("points", "mflop"), [(1, 3.680), (10_000, 3.680 * 0.86)])
def test_operations_per_point(points, mflop):
    """Of one point; of many points of one brain, whose code is multiplied once: 14 % less."""
    net = ImplicitField(normed=False).to("meta").eval()
    code, position = (torch.zeros(s, device="meta") for s in ((1, 256), (1, points, 3)))
    with FlopCounterMode(display=False) as counter:
        net(code, position)
    tolerance = 1e-3 if points == 1 else 5e-3
    assert counter.get_total_flops() / points / 1e6 == pytest.approx(mflop, rel=tolerance)


def test_encoding_of_the_middle_and_of_a_quarter():
    middle = encoded(torch.zeros(1, 3), 10)[0]
    assert torch.equal(middle, torch.cat([torch.zeros(30), torch.ones(30)]))
    quarter = encoded(torch.tensor([[0.5, 0, 0]]), 10)[0]
    assert quarter[0] == pytest.approx(1)
    assert quarter[1] == pytest.approx(0, abs=1e-6)  # sin(2 pi 0.5)
    assert quarter[10] == 0  # y begins
    assert quarter[30] == pytest.approx(0, abs=1e-6)  # cos(pi 0.5)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_weights_give_what_the_public_network_gave(prefix):
    weights = old_style()
    net = ImplicitField().eval()
    net.load_state_dict(from_public({prefix + k: v for k, v in weights.items()}))
    code, position = torch.randn(1, 256) / 16, torch.rand(1, 50, 3) * 2 - 1
    rows = torch.cat([code.expand(50, -1), position[0]], 1)
    expected = public_forward(weights, rows)
    with torch.no_grad():
        torch.testing.assert_close(net(code, position)[0], expected, rtol=0, atol=1e-5)
        plain = ImplicitField(normed=False).eval()
        plain.load_state_dict(multiplied_out(net))
        torch.testing.assert_close(plain(code, position)[0], expected, rtol=0, atol=1e-5)


def test_other_frequencies_are_refused():
    weights = {**old_style(), "L_mult": torch.arange(10.0)}
    with pytest.raises(Refused, match="L_mult"):
        from_public(weights)


def test_codes_of_one_batch_do_not_mix():
    net = ImplicitField(code=8, width=64, frequencies=4).eval()
    codes, positions = torch.randn(2, 8), torch.rand(2, 5, 3)
    with torch.no_grad():
        both = net(codes, positions)
        alone = [net(codes[n : n + 1], positions[n : n + 1])[0] for n in range(2)]
    torch.testing.assert_close(both, torch.stack(alone))


def test_dropout_acts_in_training_alone():
    net = ImplicitField(code=8, width=64, frequencies=4, dropout=0.5)
    code, position = torch.randn(1, 8), torch.rand(1, 5, 3)
    assert not torch.equal(net.train()(code, position), net(code, position))
    assert torch.equal(net.eval()(code, position), net(code, position))


def test_every_layer_but_the_last_is_normed():
    normed = [name for name, _ in ImplicitField().named_parameters() if "original0" in name]
    assert len(normed) == 8
    assert isinstance(ImplicitField().lin8, nn.Linear)


def test_a_width_without_room_is_refused():
    with pytest.raises(Refused, match="leaves no room"):
        ImplicitField(code=256, width=316)
