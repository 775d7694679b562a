import pytest
import torch
from torch import nn

from hale.core.errors import Refused
from hale.core.method import Training
from hale.core.run import Precision
from hale.recipe import build_recipe
from hale.train.learn import Lessons, Schedule, held_out_loss, mean_l1
from hale.train.run import FabricRun
from hale.train.slices import axial


class Gain(nn.Module):
    """One number: the smallest network there is."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gain * x


def taught(lessons: Lessons, healthy, held_out=()) -> tuple[Gain, list[float]]:
    """Return the network and the learning rate at each step."""
    own, rates = Gain(), []
    adam = torch.optim.Adam(own.parameters(), lr=lessons.lr)
    adam.register_step_post_hook(lambda self, *_: rates.append(self.param_groups[0]["lr"]))
    training = Training(space=healthy[0].space, healthy=healthy, held_out=held_out)
    run = FabricRun(device="cpu", precision=Precision.FULL)
    lessons.teach(own, training, run, mean_l1, adam)
    return own, rates


def test_learns(healthy):
    own, rates = taught(Lessons(lr=0.1, steps=30, batch=4), healthy)
    assert float(own.gain.detach()) == pytest.approx(1, abs=0.3)
    assert rates == [0.1] * 30


def test_the_rate_falls_along_a_cosine(healthy):
    _, rates = taught(Lessons(lr=0.1, steps=4, batch=4, schedule=Schedule.COSINE), healthy)
    assert rates == pytest.approx([0.1, 0.0853553, 0.05, 0.0146447], rel=1e-5)


def test_the_rate_goes_up_again_after_half_a_wave(healthy):
    lessons = Lessons(lr=0.1, steps=6, batch=4, schedule=Schedule.COSINE, half_wave=2)
    assert taught(lessons, healthy)[1] == pytest.approx([0.1, 0.05, 0, 0.05, 0.1, 0.05])


@pytest.mark.parametrize("clip", [0.0, 1e-3, 1.0])
def test_the_gradient_is_limited_as_the_lessons_say(clip, healthy):
    own = Gain()
    sgd, norms = torch.optim.SGD(own.parameters(), lr=1e-6), []
    sgd.register_step_pre_hook(lambda *_: norms.append(float(own.gain.grad.abs())))
    training = Training(space=healthy[0].space, healthy=healthy)
    run = FabricRun(device="cpu", precision=Precision.FULL, clip_norm=1e-6)

    def steep(net, slices, draw):
        return 100 * mean_l1(net, slices, draw)

    Lessons(steps=2, batch=4, clip=clip).teach(own, training, run, steep, sgd)
    assert all(norm == pytest.approx(clip, rel=1e-2) if clip else norm > 1 for norm in norms)


def test_waves_that_the_schedule_has_not_are_refused():
    with pytest.raises(Refused, match=r"half_wave: schedule = 'constant' has no waves"):
        build_recipe({"method": {"name": "ae", "half_wave": 5}})


def test_the_best_weights_on_the_held_out_are_kept(healthy, held_out):
    """At this rate the gain runs past 1, which is best."""
    lessons = Lessons(lr=0.3, steps=12, batch=4, validate_every=1)
    kept, _ = taught(lessons, healthy, held_out)
    last, _ = taught(lessons, healthy)
    losses = [held_out_loss(n, axial(held_out), mean_l1, device="cpu") for n in (kept, last)]
    assert losses[0] < losses[1]


def test_so_many_held_out_slices_are_looked_at_spread_over_all(held_out):
    seen = []

    def watched(net, slices, draw):
        seen.append(slices.x)
        return slices.x.mean()

    slices = axial(held_out)
    held_out_loss(Gain(), slices, watched, device="cpu", most=5)
    (looked_at,) = seen
    step = len(slices) / 5
    assert torch.equal(looked_at, slices.x[[int(n * step) for n in range(5)]])
