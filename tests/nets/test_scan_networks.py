"""The networks for single scans: sizes and names as published, any multiple of 32."""

import pytest
import torch

from hale.nets.blocks import parameters
from hale.nets.scan_autoencoder import Layout, ScanAutoEncoder
from hale.nets.scan_gan import LATENT, Discriminator, Generator, Head


def test_parameters_are_those_of_the_public_code():
    assert parameters(Generator(1, 256, head=Head.TILES)) == 224_977
    assert parameters(Discriminator(1)) == 175_025
    assert parameters(ScanAutoEncoder(1, layout=Layout.WIDE)) == 27_169
    assert parameters(ScanAutoEncoder(1, layout=Layout.DEEP)) == 775_425


def test_weights_are_named_as_in_the_public_code():
    def layers(net: torch.nn.Module, kind: type) -> list[str]:
        return [name for name, module in net.named_modules() if isinstance(module, kind)]

    generator, judge = Generator(1, 256, head=Head.TILES), Discriminator(1)
    assert layers(generator, torch.nn.ConvTranspose2d) == [f"net.{n}" for n in (0, 3, 6, 9, 12)]
    assert layers(generator, torch.nn.BatchNorm2d) == [f"net.{n}" for n in (1, 4, 7, 10)]
    assert layers(judge, torch.nn.Conv2d) == [f"net.{n}" for n in (0, 2, 5, 8, 11)]
    assert layers(judge, torch.nn.BatchNorm2d) == [f"net.{n}" for n in (3, 6, 9)]
    wide = ScanAutoEncoder(1, layout=Layout.WIDE)
    assert layers(wide, torch.nn.Conv2d) == ["encoder.0", "encoder.3"]
    assert layers(wide, torch.nn.ConvTranspose2d) == ["decoder.0", "decoder.2"]


@pytest.mark.parametrize("head", list(Head))
def test_a_generator_makes_slices_from_minus_one_to_one(head):
    with torch.no_grad():
        x = Generator(1, 256, head=head)(10 * torch.randn(2, LATENT))
    assert x.shape == (2, 1, 256, 256)
    assert x.abs().max() <= 1
    assert x.std() > 0


def test_a_discriminator_judges_169_patches_by_their_features():
    judge, x = Discriminator(1).eval(), torch.rand(2, 1, 256, 256)
    with torch.no_grad():
        p, features = judge(x), judge.features(x)
        again = judge.judged(features).sigmoid()
    assert p.shape == (2, 1, 13, 13)
    assert ((p > 0) & (p < 1)).all()
    assert features.shape == (2, 128, 16, 16)
    torch.testing.assert_close(again, p)


def test_tiles_are_independent_and_the_smooth_head_is_not():
    """Change one of 32 x 32 places: with tiles 8 x 8 pixels follow, no more."""
    for head, more in ((Head.TILES, False), (Head.SMOOTH, True)):
        torch.manual_seed(0)
        net = Generator(1, 256, head=head).net[12:]
        h = torch.rand(1, 16, 32, 32)
        other = h.clone()
        other[..., 10, 20] += 1
        with torch.no_grad():
            moved = (net(h) != net(other))[0, 0]
        assert moved[80:88, 160:168].any()
        moved[80:88, 160:168] = False
        assert moved.any() == more


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("size", [64, 96])
def test_an_autoencoder_returns_slices_of_the_size_that_came(layout, size):
    with torch.no_grad():
        x_hat = ScanAutoEncoder(2, layout=layout)(torch.rand(3, 2, size, size))
    assert x_hat.shape == (3, 2, size, size)
    assert ((x_hat > 0) & (x_hat < 1)).all()


def test_the_deep_autoencoder_starts_with_a_picture_not_with_one_grey_value():
    torch.manual_seed(0)
    with torch.no_grad():
        x_hat = ScanAutoEncoder(1).eval()(torch.rand(2, 1, 64, 64))
    assert x_hat.std() > 0.02
