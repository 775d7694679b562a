import pytest
import torch

from hale.nets.sequential_vae import SequentialVAE


def net() -> SequentialVAE:
    torch.manual_seed(0)
    return SequentialVAE(1, (16, 16), latent=4, width=4).eval()


def test_neighbours_matter_within_a_sequence_and_not_beyond():
    x = torch.rand(6, 1, 16, 16)
    changed = x.clone()
    changed[0] += 1
    with torch.no_grad():
        before, after = (net()(y, length=3).x_hat for y in (x, changed))
    assert not torch.equal(before[2], after[2])
    torch.testing.assert_close(before[3:], after[3:])


def test_all_slices_are_one_sequence_unless_told():
    x = torch.rand(6, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(net()(x).x_hat, net()(x, length=6).x_hat)
        assert not torch.allclose(net()(x).x_hat, net()(x, length=3).x_hat)


@pytest.mark.parametrize("plane", [(157, 189), (33, 40)])
def test_returns_the_size_that_it_was_given(plane):
    with torch.no_grad():
        passed = SequentialVAE(2, plane, latent=4, width=4).eval()(torch.zeros(3, 2, *plane))
    assert passed.x_hat.shape == (3, 2, *plane)
    assert passed.divergence.shape == (3,)


def test_computes_in_bfloat16():
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        passed = net()(torch.rand(3, 1, 16, 16))
    assert torch.isfinite(passed.x_hat).all()
    assert passed.divergence.dtype == torch.float32
