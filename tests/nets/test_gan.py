import pytest
import torch
from torch import nn

from hale.nets.blocks import parameters
from hale.nets.gan import Critic, Generator, LatentEncoder, Restorer, SpatialNorm


def trio(plane: tuple[int, int], contrasts: int = 1, width: int = 32, latent: int = 128):
    return (
        Generator(contrasts, plane, latent=latent, width=width),
        Critic(contrasts, plane, width=width),
        LatentEncoder(contrasts, plane, latent=latent, width=width),
    )


@pytest.mark.parametrize(
    ("size", "counts"), [(96, (989_729, 263_201, 554_576)), (128, (1_239_937, 267_905, 783_952))]
)
def test_has_the_parameters_of_its_layers(size, counts):
    """By hand, of the first at 128: dense 528,384, convolutions 668,033, norms 43,520."""
    with torch.device("meta"):
        assert tuple(parameters(net) for net in trio((size, size))) == counts


@pytest.mark.parametrize(("size", "bottleneck"), [(96, 12), (128, 16)])
def test_levels_of_the_critic_and_its_patches(size, bottleneck):
    with torch.device("meta"):
        _, critic, _ = trio((size, size))
        x = torch.zeros(2, 1, size, size)
        assert critic.features(x).shape == (2, 128, bottleneck, bottleneck)
        assert critic.patches(x).shape == (2, 1, bottleneck, bottleneck)
        assert critic(x).shape == (2,)


def test_generates_intensities_and_encodes_into_the_open_cube():
    generate, _, encode = trio((16, 24), contrasts=2, width=4, latent=5)
    x_hat = generate(100 * torch.randn(3, 5))
    assert x_hat.shape == (3, 2, 16, 24)
    assert 0 <= x_hat.min() < x_hat.max() <= 1
    z = encode(100 * torch.randn(3, 2, 16, 24))
    assert z.shape == (3, 5)
    assert z.abs().max() <= 1


@pytest.mark.parametrize("plane", [(16, 16), (157, 189), (33, 40)])
def test_restores_a_slice_of_any_size(plane):
    whole = tuple(side + -side % 8 for side in plane)
    generate, _, encode = trio(whole, contrasts=2, width=4, latent=5)
    with torch.no_grad():
        assert Restorer(encode, generate).eval()(torch.rand(1, 2, *plane)).shape == (1, 2, *plane)


def test_norm_is_over_the_pixels_of_one_channel_of_one_slice():
    norm, x = SpatialNorm((8, 12)), 5 + 3 * torch.randn(2, 4, 8, 12)
    y = norm(x)
    torch.testing.assert_close(y.mean((2, 3)), torch.zeros(2, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std((2, 3), correction=0), torch.ones(2, 4), atol=1e-3, rtol=0)
    assert norm.weight.shape == norm.bias.shape == (8, 12)
    torch.testing.assert_close(norm(x[:1])[0], y[0])


def test_only_the_encoder_mixes_slices():
    kinds = [{type(layer) for layer in net.modules()} for net in trio((16, 16), width=4)]
    assert [nn.BatchNorm2d in kind for kind in kinds] == [False, False, True]
    assert [SpatialNorm in kind for kind in kinds] == [True, True, False]


def test_the_critic_scores_slices_one_by_one():
    _, critic, _ = trio((16, 16), width=4)
    x = torch.rand(3, 1, 16, 16)
    torch.testing.assert_close(critic(x)[1:2], critic(x[1:2]))
    torch.testing.assert_close(critic(x), critic.patches(x).mean((1, 2, 3)))
