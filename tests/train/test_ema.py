import pytest
import torch
from torch import nn

from hale.core.errors import Refused
from hale.core.method import Training
from hale.core.run import Precision
from hale.recipe import build_recipe
from hale.train.ema import Averaged
from hale.train.learn import Lessons, held_out_loss, mean_l1
from hale.train.run import FabricRun
from hale.train.slices import axial


class Gain(nn.Module):
    """One number that learns, and one that only is."""

    def __init__(self, gain: float = 0.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))
        self.register_buffer("seen", torch.tensor(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gain * x

    def become(self, gain: float) -> None:
        self.gain.data.fill_(gain)
        self.seen += 1


def test_by_hand():
    """The decay is 1/10, then 2/11, then 3/12, and 0.25 from there on.

    1, 0.1 x 1 + 0.9 x 2 = 1.9, 2/11 x 1.9 + 9/11 x 4 = 3.61818, 6.90455, 1.72614.
    """
    net = Gain(1.0)
    averaged = Averaged(net, 0.25)
    expected = 1.0
    for gain, decay in [(2.0, 0.1), (4.0, 2 / 11), (8.0, 0.25), (0.0, 0.25)]:
        net.become(gain)
        averaged.update(net)
        expected = decay * expected + (1 - decay) * gain
        assert float(averaged.weights["gain"]) == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(1.72614, rel=1e-5)
    assert int(averaged.weights["seen"]) == 4


def test_weights_that_stay_are_their_own_average():
    net = nn.Linear(3, 2)
    averaged = Averaged(net, 0.999)
    for _ in range(50):
        averaged.update(net)
    for name, weight in net.state_dict().items():
        torch.testing.assert_close(averaged.weights[name], weight)


def test_a_network_has_the_average_only_inside_the_block():
    net = Gain(1.0)
    averaged = Averaged(net, 0.9)
    net.become(3.0)
    parameter = net.gain
    with averaged.within(net):
        assert float(net.gain.detach()) == 1.0
        assert int(net.seen) == 0
    assert float(net.gain.detach()) == 3.0
    assert int(net.seen) == 1
    assert net.gain is parameter


def taught(lessons: Lessons, healthy, held_out=(), **run) -> tuple[Gain, list[float]]:
    """Return the network, and its weight after each step."""
    own, passed = Gain(), []
    adam = torch.optim.Adam(own.parameters(), lr=lessons.lr)
    adam.register_step_post_hook(lambda *_: passed.append(float(own.gain.detach())))
    training = Training(space=healthy[0].space, healthy=healthy, held_out=held_out)
    told = {"device": "cpu", "precision": Precision.FULL, **run}
    lessons.teach(own, training, FabricRun(**told), mean_l1, adam)
    return own, passed


def test_what_is_kept_is_the_average(healthy):
    own, passed = taught(Lessons(lr=0.1, steps=6, batch=4, ema=0.3), healthy)
    expected = 0.0
    for n, gain in enumerate(passed):
        decay = min(0.3, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * gain
    assert float(own.gain.detach()) == pytest.approx(expected, rel=1e-6)
    assert float(own.gain.detach()) != passed[-1]


def test_the_average_is_off_by_default_and_changes_no_step(healthy):
    own, passed = taught(Lessons(lr=0.1, steps=6, batch=4), healthy)
    assert float(own.gain.detach()) == passed[-1]
    assert taught(Lessons(lr=0.1, steps=6, batch=4, ema=0.9), healthy)[1] == passed


def test_the_best_average_on_the_held_out_is_kept(healthy, held_out):
    """At this rate the gain runs past 1, which is best; looking changes nothing."""
    lessons = Lessons(lr=0.3, steps=12, batch=4, validate_every=1, ema=0.5)
    kept, passed = taught(lessons, healthy, held_out)
    assert passed == taught(lessons, healthy)[1]
    averages, expected = [], 0.0
    for n, gain in enumerate(passed):
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * gain
        averages.append(expected)
    losses = [held_out_loss(Gain(a), axial(held_out), mean_l1, device="cpu") for a in averages]
    best = averages[losses.index(min(losses))]
    assert float(kept.gain.detach()) == pytest.approx(best, rel=1e-6)


def test_a_resumed_run_goes_on_with_its_average(healthy, held_out, tmp_path):
    lessons = Lessons(lr=0.3, steps=12, batch=4, validate_every=5, ema=0.9)
    told = {"folder": tmp_path, "save_steps": 1, "keep": 30}
    straight, _ = taught(lessons, healthy, held_out, **told)
    for step in (1, 7, 12):
        resumed, _ = taught(lessons, healthy, held_out, **told, resume=step)
        assert torch.equal(resumed.gain, straight.gain)


def test_a_method_that_keeps_no_average_refuses_it():
    with pytest.raises(Refused, match=r"ema: 0\.9 is not to be had"):
        build_recipe({"method": {"name": "fanogan", "ema": 0.9}})
