import numpy as np
import pytest
import torch

from hale.core.errors import Refused
from hale.nets.autoencoder import AutoEncoder
from hale.nets.state import arrays, load


def net(width: int = 4) -> AutoEncoder:
    return AutoEncoder(1, (16, 16), latent=4, width=width).eval()


def test_there_and_back():
    a, b = net(), net()
    load(b, arrays(a))
    x = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(a(x), b(x))


def test_arrays_are_copies_in_float32():
    source = net()
    for array in arrays(source).values():
        assert array.dtype == np.float32
        array[...] = 7
    assert not any((tensor == 7).all() for tensor in source.state_dict().values())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda state: state.popitem(), "is missing"),
        (lambda state: state.update(stranger=np.zeros(1, "f4")), "none of this method's"),
        (lambda state: state.update(arrays(net(width=8))), "this recipe's is"),
    ],
)
def test_another_network_is_refused(change, why):
    state = dict(arrays(net()))
    change(state)
    with pytest.raises(Refused, match=why):
        load(net(), state)
