"""SparK's network: the numbers in brackets are the acceptance checks of its specification."""

from threading import Thread

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hale.nets.blocks import parameters
from hale.nets.resnet import ResNet, enlarged, normed
from hale.nets.spark import MaskedAutoEncoder
from hale.train.spark import drawn

TINY = {"width": 4, "blocks": (1, 2, 1, 1)}


def tiny(*, drop: float = 0.0, seed: int = 0) -> MaskedAutoEncoder:
    """A network whose norms have seen something."""
    torch.manual_seed(seed)
    net = MaskedAutoEncoder(ResNet(1, **TINY, drop=drop), 1).train()
    with torch.no_grad():
        net(torch.rand(4, 1, 96, 96), torch.rand(4, 1, 3, 3) < 0.5)
    return net


def masks(count: int = 2, seed: int = 0) -> torch.Tensor:
    return drawn(torch.Size((count, 1, 3, 3)), 3, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def published() -> MaskedAutoEncoder:
    with torch.device("meta"):
        return MaskedAutoEncoder(ResNet(1), 1).eval()


def test_has_the_parameters_of_the_published_network(published):
    """[1]"""
    assert parameters(published.encoder) == 23_501_760
    assert parameters(published.decoder) == 10_304_913
    assert sum(parameters(fill.project) for fill in published.densify) == 4_146_112
    assert sum(parameters(fill.norm) for fill in published.densify) == 7_680
    assert sum(fill.token.numel() for fill in published.densify) == 3_840
    assert parameters(published) == 37_964_305


def test_costs_what_is_published(published):
    """[3]"""
    x, active = torch.zeros(1, 1, 96, 96, device="meta"), masks(1).to("meta")
    with FlopCounterMode(display=False) as counter:
        published(x, active)
    assert counter.get_total_flops() / 1e9 == pytest.approx(3.65, rel=0.01)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_hidden_reaches_features_or_reconstruction(training):
    """[4]"""
    net, active = tiny().train(training), masks()
    x = torch.rand(2, 1, 96, 96)
    other = torch.where(enlarged(active, x), x, 7 * torch.rand(2, 1, 96, 96) - 3)
    with torch.no_grad():
        for a, b in zip(*(net.encoder.features(y, active) for y in (x, other)), strict=True):
            assert torch.equal(a, b)
        assert torch.equal(net(x, active), net(other, active))
        assert not torch.equal(net(x, ~active), net(other, ~active))


@pytest.mark.parametrize("training", [True, False])
def test_features_of_hidden_cells_are_0_at_all_scales(training):
    """[5]"""
    net, active = tiny(drop=0.5).train(training), masks()
    with torch.no_grad():
        scales = net.encoder.features(torch.rand(2, 1, 96, 96), active)
    for h in scales:
        where = enlarged(active, h).expand_as(h)
        assert not h[~where].any()
        assert h[where].any()


@pytest.mark.parametrize("training", [True, False])
def test_with_all_cells_seen_it_is_the_dense_network(training):
    """[6]"""
    encoder = tiny().encoder.train(training).double()
    dense = ResNet(1, **TINY, drop=0.0).train(training).double()
    dense.load_state_dict(encoder.state_dict())
    x, every = torch.rand(2, 1, 96, 96).double(), torch.ones(2, 1, 3, 3, dtype=torch.bool)
    with torch.no_grad():
        for a, b in zip(encoder.features(x, every), dense.features(x), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("plane", [(96, 96), (79, 95), (157, 189)])
def test_returns_the_size_that_it_was_given(plane):
    """[9]"""
    cells = tuple(-(-side // 32) for side in plane)
    x, active = torch.rand(2, 1, *plane), torch.rand(2, 1, *cells) < 0.5
    net = tiny().eval()
    with torch.no_grad():
        assert net(x, active).shape == x.shape
        sides = [h.shape[-1] for h in net.encoder.features(x, active)]
    assert sides == [cells[1] * n for n in (8, 4, 2, 1)]


def test_the_sparse_norm_learns_from_what_is_seen_alone():
    """[10]"""
    norm, active = torch.nn.BatchNorm2d(5, momentum=1), masks()
    h = torch.randn(2, 5, 6, 6)
    where = enlarged(active, h)
    y = normed(norm, h * where, active)
    seen = h.movedim(1, -1)[where[:, 0]]  # (vectors, c)
    torch.testing.assert_close(norm.running_mean, seen.mean(0))
    torch.testing.assert_close(norm.running_var, seen.var(0))
    vectors = y.movedim(1, -1)[where[:, 0]]
    torch.testing.assert_close(vectors.mean(0), torch.zeros(5), rtol=0, atol=1e-5)
    assert not y[~where.expand_as(y)].any()


def test_a_token_stands_where_nothing_is_seen():
    fill, active = tiny().densify[0].eval(), torch.zeros(1, 1, 3, 3, dtype=torch.bool)
    with torch.no_grad():
        y = fill(torch.zeros(1, 128, 3, 3), active)
        expected = fill.project(fill.token.expand(1, 128, 3, 3))
    assert torch.equal(y, expected)
    assert float(fill.token.detach().abs().max()) <= 0.02


def test_the_decoder_adds_a_scale_before_each_of_four_blocks():
    """Features are 32, 16, 8, 4 channels; without the finer ones it begins from the coarsest."""
    decoder = tiny().decoder.eval()
    sizes = [(32, 3), (16, 6), (8, 12), (4, 24)]
    dense = [torch.rand(1, c, n, n) for c, n in sizes]
    with torch.no_grad():
        h = dense[0]
        for n, block in enumerate(decoder.blocks):
            h = block(h + dense[n] if n in (1, 2, 3) else h)
        assert torch.equal(decoder(dense), decoder.head(h))
        assert len(decoder.blocks) == 5


def test_two_networks_with_other_masks_do_not_disturb_each_other():
    """[12]"""
    nets, seen = [tiny(seed=n).eval() for n in (1, 2)], [masks(seed=n) for n in (1, 2)]
    x = torch.rand(2, 1, 96, 96)
    with torch.no_grad():
        alone = [net(x, active) for net, active in zip(nets, seen, strict=True)]
    together: list[list[torch.Tensor]] = [[], []]

    def run(n: int) -> None:
        with torch.no_grad():
            together[n] += [nets[n](x, seen[n]) for _ in range(5)]

    threads = [Thread(target=run, args=(n,)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in (0, 1):
        assert all(torch.equal(y, alone[n]) for y in together[n])
