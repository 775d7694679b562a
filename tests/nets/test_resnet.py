"""The encoder of slices: the numbers in brackets are the checks of its specification (cDDPM)."""

import pytest
import torch

from hale.core.errors import Refused
from hale.nets.blocks import parameters
from hale.nets.resnet import Bottleneck, ResNet, fill_encoder
from hale.nets.state import arrays

TINY = {"width": 4, "blocks": (1, 2, 1, 1)}


@pytest.mark.parametrize(("out", "count"), [(512, 24_550_848), (128, 23_764_032), (0, 23_501_760)])
def test_has_the_parameters_of_the_published_network(out, count):
    """[1]"""
    with torch.device("meta"):
        assert parameters(ResNet(1, out=out)) == count


def test_another_contrast_is_another_channel_of_the_first_layer():
    with torch.device("meta"):
        assert parameters(ResNet(3)) - parameters(ResNet(1)) == 2 * 64 * 7 * 7


def test_has_four_scales():
    """[12]"""
    with torch.device("meta"):
        net = ResNet(1)
        scales = net.features(torch.zeros(2, 1, 96, 96))
    sizes = [(256, 24, 24), (512, 12, 12), (1024, 6, 6), (2048, 3, 3)]
    assert [tuple(h.shape[1:]) for h in scales] == sizes
    assert net.scales == [size[0] for size in sizes]


def test_always_says_the_same_when_it_is_not_trained():
    """[11]"""
    net, x = ResNet(1, out=8, **TINY, drop=0.5).eval(), torch.rand(4, 1, 64, 64)
    with torch.no_grad():
        first = net(x)
        assert first.shape == (4, 8)
        assert all(torch.equal(net(x), first) for _ in range(9))


def test_training_skips_more_of_the_deeper_branches():
    net = ResNet(1, width=2, blocks=(3, 4, 6, 3), drop=0.05)
    shares = [layer.drop for layer in net.modules() if isinstance(layer, Bottleneck)]
    assert shares == pytest.approx([0.05 * n / 15 for n in range(16)])


def test_a_skipped_branch_leaves_the_shortcut_and_the_others_make_up_for_it():
    torch.manual_seed(0)
    block, x = Bottleneck(8, 2, stride=1, drop=0.25), torch.rand(1, 8, 4, 4).expand(400, 8, 4, 4)
    for norm in (block.bn1, block.bn2, block.bn3):
        norm.eval()
    with torch.no_grad():
        branch = block.bn3(block.conv3(_relu(block.bn2(block.conv2(_relu(block.conv1(x)))))))
        y = block(x, None)
    skipped = (y == x).flatten(1).all(1)
    assert float(skipped.float().mean()) == pytest.approx(0.25, abs=0.07)
    whole = _relu(x + branch / 0.75)
    torch.testing.assert_close(y[~skipped], whole[~skipped], rtol=1e-4, atol=1e-4)


def _relu(h):
    return h.relu()


def test_the_seed_of_torch_decides_what_is_skipped():
    net, x = ResNet(1, **TINY, drop=0.5).train(), torch.rand(16, 1, 32, 32)
    said = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        said.append(net(x))
    assert torch.equal(said[0], said[1])
    assert not torch.equal(said[0], said[2])


@pytest.mark.parametrize("plane", [(79, 95), (157, 189), (33, 5)])
def test_a_slice_of_any_size_is_as_if_zeros_followed_it(plane):
    net, x = ResNet(2, out=6, **TINY).eval(), torch.rand(1, 2, *plane)
    whole = torch.zeros(1, 2, *(-(-side // 32) * 32 for side in plane))
    whole[..., : plane[0], : plane[1]] = x
    with torch.no_grad():
        torch.testing.assert_close(net(x), net(whole), rtol=0, atol=0)


def test_a_pretrained_encoder_fills_all_but_the_linear_layer():
    """The cDDPM's [4] and SparK's [11]: every tensor but the linear layer's."""
    taught, net = ResNet(1, **TINY), ResNet(1, out=6, **TINY)
    for tensor in taught.state_dict().values():
        if tensor.is_floating_point():
            torch.nn.init.normal_(tensor)
    drawn = net.fc.weight.detach().clone()
    assert fill_encoder(net, arrays(taught)) == ["fc.weight", "fc.bias"]
    filled = net.state_dict()
    for name, tensor in taught.state_dict().items():
        assert torch.equal(filled[name], tensor), name
    assert torch.equal(net.fc.weight, drawn)
    assert fill_encoder(ResNet(1, **TINY), arrays(taught)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"blocks": (1, 1, 1, 1)}, "'layer2.1.bn1.bias': is missing"),
        ({"width": 2}, "'bn1.bias': is (2,), this recipe's is (4,)"),
        ({"out": 6}, "'fc.bias': is none of this method's"),
    ],
)
def test_another_encoder_is_refused_by_its_first_array(change, said):
    other = ResNet(1, **{**TINY, **change})
    with pytest.raises(Refused) as refusal:
        fill_encoder(ResNet(1, out=6, **TINY), arrays(other))
    assert said in str(refusal.value)
    assert "take an encoder of this width and these blocks" in str(refusal.value)
