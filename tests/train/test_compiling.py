import shutil
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from hale.core.errors import Refused
from hale.core.run import Precision
from hale.methods.cddpm import guided
from hale.nets.conditioned_unet import ConditionedUNet
from hale.nets.resnet import ResNet
from hale.nets.unet import UNet
from hale.train.compiling import compile_nets, refuse_without_compiler
from hale.train.denoiser import Denoiser, Diffusion
from hale.train.run import FabricRun
from hale.train.segmented import Segmented

HAS_COMPILER = any(shutil.which(name) for name in ("c++", "g++", "clang++"))


class Tiny(nn.Module):
    """A network with something to draw."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.drop = nn.Conv2d(1, 2, 3, padding=1), nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(torch.tanh(self.conv(x))).sum(1, keepdim=True)


@dataclass
class Owner:
    """What a detector is, as far as its network is concerned."""

    net: nn.Module
    name: str = "owner"


def learnt(*, compiled: bool, **settings) -> Tiny:
    torch.manual_seed(0)
    own = Tiny()
    run = FabricRun(device="cpu", precision=Precision.FULL, compiled=compiled, **settings)
    net, adam = run.setup(own, torch.optim.Adam(own.parameters(), lr=0.1))
    for step in run.steps(6, net=net, adam=adam):
        x = torch.randn(2, 1, 8, 8, generator=step.generator)
        step.descend((net.train()(x) - x).square().mean())
    return own


def assert_near(one: nn.Module, other: nn.Module) -> None:
    weights = other.state_dict()
    assert list(one.state_dict()) == list(weights) == ["conv.weight", "conv.bias"]
    for name, weight in one.state_dict().items():
        torch.testing.assert_close(weight, weights[name], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_network_learns_the_same_but_for_rounding(tmp_path):
    """Dropout included; checkpoints of one are read by the other, and scores are the same."""
    if not HAS_COMPILER:
        with pytest.raises(Refused, match=r"torch\.compile does not work here"):
            refuse_without_compiler("cpu")
        return
    refuse_without_compiler("cpu")
    counters.clear()
    plain = learnt(compiled=False)
    assert not counters["stats"]
    quick = learnt(compiled=True, folder=tmp_path, save_steps=3)
    assert counters["stats"]["unique_graphs"] >= 1
    assert_near(quick, plain)
    assert_near(learnt(compiled=False, folder=tmp_path, save_steps=3, resume=3), plain)
    x = torch.randn(2, 1, 8, 8)
    owner = Owner(net=quick.eval())
    graphs = counters["stats"]["unique_graphs"]
    with torch.inference_mode():
        expected = owner.net(x)
        compile_nets(owner)
        torch.testing.assert_close(owner.net(x), expected)
    assert counters["stats"]["unique_graphs"] > graphs
    assert type(owner.net) is Tiny
    assert_near(owner.net, plain)


def test_what_is_called_is_what_is_compiled(monkeypatch):
    """Of a conditioned U-Net its parts, and the networks of what a detector builds on."""
    seen = []
    monkeypatch.setattr(nn.Module, "compile", lambda net, **_: seen.append(net))
    encoder = ResNet(1, out=4, width=4, blocks=(1, 1, 1, 1))
    net = ConditionedUNet(encoder, UNet(1, width=4, multipliers=(1,), blocks=1, condition=4))
    base = Denoiser(net=net, restoring=guided, diffusion=Diffusion(), at=(499,))
    compile_nets(base)
    assert seen == [base.net.encoder, base.net.unet]
    seen.clear()
    above = Segmented(net=Tiny(), base=base, at=(499,))
    compile_nets(above)
    assert seen == [above.net, above.base.net.encoder, above.base.net.unet]
    calls = []
    for part in (base.net, base.net.encoder, base.net.unet):
        part.register_forward_hook(lambda part, *_: calls.append(part))
    x = torch.zeros(1, 1, 32, 32)
    base.pictures(x, [x, x], (249, 499))
    assert calls == [base.net.encoder, base.net.unet, base.net.unet]


def test_without_a_compiler_it_is_refused_by_name(monkeypatch):
    def broken(function, **_):
        def call(*_):
            raise RuntimeError("no C++ compiler\nand how to get one")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(Refused, match=r"--compile: torch.compile does not work here \(no C\+\+ c"):
        refuse_without_compiler("cpu")
