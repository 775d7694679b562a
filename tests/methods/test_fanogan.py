from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hale.core.errors import Refused
from hale.core.method import Training
from hale.core.run import Precision
from hale.methods import fanogan
from hale.methods.fanogan import FAnoGAN, Trio, frozen, gradient_penalty
from hale.recipe import build_recipe
from hale.train.learn import held_out_loss
from hale.train.run import FabricRun
from hale.train.slices import axial

TINY = FAnoGAN(latent=8, width=4, lr=1e-2, batch=8, steps=70, validate_every=5)


def run(**settings) -> FabricRun:
    return FabricRun(**{"device": "cpu", "precision": Precision.FULL, **settings})


@pytest.fixture
def taught(monkeypatch) -> list[str]:
    """Who learns at each step, in order."""
    names: list[str] = []
    for name in ("critic", "generator", "encoder"):
        whole = getattr(Trio, f"teach_{name}")

        def watched(trio, *given, name=name, whole=whole):
            names.append(name)
            return whole(trio, *given)

        monkeypatch.setattr(Trio, f"teach_{name}", watched)
    return names


def test_defaults_are_the_specified_ones():
    method = FAnoGAN()
    assert (method.latent, method.lr, method.batch) == (128, 1e-4, 32)
    assert (method.penalty, method.critic_steps, method.kappa) == (10, 5, 1)
    assert method.fresh
    assert method.whole_gradient
    assert method.steps == 7 * 19_200
    assert fanogan.BETAS == (0.5, 0.9)
    assert method.clip == 0


def test_a_schedule_is_refused():
    with pytest.raises(Refused, match=r"schedule: 'cosine' is not to be had"):
        build_recipe({"method": {"name": "fanogan", "schedule": "cosine"}})


@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (2, 2, 5, 7)])
def test_penalty_is_none_for_a_linear_critic_of_unit_slope_over_all_pixels(shape):
    slope = torch.randn(shape[1:])
    slope /= slope.norm()
    for scale, penalty in [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0)]:
        found = gradient_penalty(
            lambda x, scale=scale: (scale * slope * x).sum((1, 2, 3)), torch.rand(shape)
        )
        assert float(found) == pytest.approx(penalty, abs=1e-5)


def test_penalty_over_one_axis_wants_another_slope():
    """The defect: columns of slope 1, together a slope of sqrt(8), count as right."""
    x = torch.rand(3, 1, 8, 8)
    columns = torch.zeros(1, 8, 8)
    columns[:, 2] = 1
    assert float(gradient_penalty(lambda x: columns * x, x, whole=False)) == 0
    assert float(gradient_penalty(lambda x: columns * x, x)) == pytest.approx((8**0.5 - 1) ** 2)


def test_penalty_teaches_the_critic_also_in_half_precision():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.LeakyReLU(0.3), nn.Conv2d(4, 1, 3))
    x = torch.rand(2, 1, 8, 8)
    gradients = []
    for enabled in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            gradient_penalty(net, x).backward()
        gradients.append(net[0].weight.grad.clone())
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0.1, atol=0.02)


def test_one_step_in_seven_teaches_the_generator_and_one_the_encoder(taught, healthy):
    TINY.fit(Training(space=healthy[0].space, healthy=healthy), run())
    assert taught == (["critic"] * 5 + ["generator"]) * 10 + ["encoder"] * 10


def test_a_time_budget_cuts_both_phases_in_proportion(taught, healthy):
    seconds = iter(np.arange(0, 1e6, 10.0))  # 10 s between two looks, about two a step
    few = run(budget_minutes=24.0, clock=lambda: float(next(seconds)))
    endless = replace(TINY, steps=10_000, critic_steps=1)
    endless.fit(Training(space=healthy[0].space, healthy=healthy), few)
    assert not few.finished
    assert 60 < len(taught) < 150
    shares = [taught.count(name) / len(taught) for name in ("critic", "generator", "encoder")]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.03)


@pytest.mark.parametrize("fresh", [True, False])
def test_a_round_of_the_critic_sees_new_slices_or_the_same(fresh, healthy, monkeypatch):
    seen = []
    monkeypatch.setattr(Trio, "teach_critic", lambda _, slices, step: seen.append(slices.x))
    method = replace(TINY, fresh=fresh, steps=14)
    method.fit(Training(space=healthy[0].space, healthy=healthy), run())
    assert len(seen) == 10
    assert all(torch.equal(x, seen[0]) != fresh for x in seen[1:5])
    assert not torch.equal(seen[5], seen[0])


def test_each_update_moves_only_the_network_that_it_teaches(healthy):
    method = replace(TINY, critic_steps=1, steps=3)
    trio = method._trio(healthy[0].space, (own := run()))
    nets = {name: getattr(trio, name).own for name in ("critic", "generator", "encoder")}
    slices = axial(healthy)
    for step, name in zip(own.steps(3), nets, strict=True):
        before = {other: deepcopy(net.state_dict()) for other, net in nets.items()}
        trio.update(slices, step)
        for other, net in nets.items():
            pairs = zip(before[other].values(), net.state_dict().values(), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs) == (other != name)
            assert all(p.requires_grad for p in net.parameters())


def test_a_frozen_network_passes_gradients_and_keeps_none():
    net, x = nn.Linear(2, 1), torch.rand(3, 2, requires_grad=True)
    with frozen(net):
        net(x).sum().backward()
    assert net.weight.grad is None
    assert x.grad is not None
    assert net.weight.requires_grad


def test_keeps_the_encoder_that_did_best_on_the_held_out(healthy, held_out, monkeypatch):
    seen, objectives = [], []

    def watched(net, fixed, objective, *, device):
        seen.append(held_out_loss(net, fixed, objective, device=device))
        objectives.append(objective)
        return seen[-1]

    monkeypatch.setattr(fanogan, "held_out_loss", watched)
    method = replace(TINY, lr=5e-2)
    training = Training(space=healthy[0].space, healthy=healthy, held_out=held_out)
    kept = method.fit(training, run()).net.encode
    assert len(seen) == 3
    assert min(seen) < max(seen)
    loss = held_out_loss(kept, axial(held_out), objectives[0], device="cpu")
    assert loss == pytest.approx(min(seen))


def test_the_encoder_s_loss_is_the_error_of_image_and_features(held_out):
    for kappa in (0.0, 2.0):
        trio = replace(TINY, kappa=kappa)._trio(held_out[0].space, run())
        slices = axial(held_out)
        loss = held_out_loss(trio.encoder.own, slices, trio.encoder_loss, device="cpu")
        with torch.no_grad():
            x_hat = trio.generator.own(trio.encoder.own.eval()(slices.x))
            image = (x_hat - slices.x).square().mean()
            known, found = (trio.critic.own.features(x) for x in (slices.x, x_hat))
            features = (known - found).square().mean()
        assert loss == pytest.approx(float(image + kappa * features), rel=1e-4)


def test_learns_in_half_precision(healthy, held_out):
    training = Training(space=healthy[0].space, healthy=healthy, held_out=held_out)
    half = replace(TINY, steps=14).fit(training, run(precision=Precision.BF16))
    assert half.precision is Precision.BF16
    assert all(np.isfinite(array).all() for array in half.state().values())


def test_the_held_out_loss_is_in_the_arithmetic_of_the_run(held_out):
    trio = TINY._trio(held_out[0].space, run(precision=Precision.BF16))
    seen = []
    trio.encoder.own.register_forward_hook(lambda *given: seen.append(given[-1].dtype))
    held_out_loss(trio.encoder.own, axial(held_out), trio.encoder_loss, device="cpu")
    assert set(seen) == {torch.bfloat16}


def test_the_published_defects_still_learn(healthy):
    published = replace(TINY, steps=14, fresh=False, whole_gradient=False, dropout=0.1)
    detector = published.fit(Training(space=healthy[0].space, healthy=healthy), run())
    assert all(np.isfinite(array).all() for array in detector.state().values())


def test_two_golden_numbers(healthy, held_out, ill):
    """Seed 0 on the phantom; a change here is a change of the method."""
    training = Training(space=healthy[0].space, healthy=healthy, held_out=held_out)
    method = replace(TINY, lr=1e-3, steps=21)  # few and small: a GAN amplifies rounding
    found = method.fit(training, run(seed=0)).score(ill.scan)
    lesion, brain = found.values[ill.lesion].mean(), found.values[ill.scan.brain].mean()
    assert np.array([lesion, brain]) == pytest.approx([0.9409, 0.1633], rel=0.05)
