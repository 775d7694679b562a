from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion

from hale.core.method import Training
from hale.core.run import Precision
from hale.methods.dae import DAE, brain_error
from hale.train.learn import Schedule, held_out_loss
from hale.train.run import FabricRun
from hale.train.score import Distance, compared
from hale.train.slices import axial

TINY = DAE(width=4, lr=1e-2, batch=8, steps=30)


def test_defaults_are_the_specified_ones():
    method = DAE()
    assert (method.noise, method.cell, method.lr, method.weight_decay) == (0.2, 8, 1e-4, 1e-5)
    assert (method.steps, method.batch, method.width) == (20_000, 32, 64)


def test_error_outside_the_brain_counts_nothing():
    x_hat, x = torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8)
    brain = torch.rand(2, 1, 8, 8) > 0.5
    elsewhere = torch.where(brain, x_hat, torch.rand(2, 1, 8, 8))
    assert torch.equal(brain_error(x_hat, x, brain), brain_error(elsewhere, x, brain))
    assert brain_error(x_hat, x, brain) == pytest.approx(
        float(((x_hat - x)[brain] ** 2).sum()) / x.numel(), rel=1e-5
    )


def test_what_the_network_is_given(healthy, ill, monkeypatch):
    """Noise inside the brain only while it learns; the scan itself when it is tested."""
    seen = []
    forward = DAE._network

    def watched(method, space):
        net = forward(method, space)
        net.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
        return net

    monkeypatch.setattr(DAE, "_network", watched)
    method = DAE(width=4, batch=4, steps=1)
    run = FabricRun(device="cpu", precision=Precision.FULL)
    detector = method.fit(Training(space=healthy[0].space, healthy=healthy), run)
    (noisy,) = seen
    slices = axial(healthy)
    step = next(FabricRun(device="cpu", precision=Precision.FULL).steps(1))
    clean = slices[step.draw(len(slices), size=4)]
    assert torch.equal(noisy[~clean.brain], clean.x[~clean.brain])
    assert (noisy != clean.x)[clean.brain].any()
    seen.clear()
    detector.score(ill.scan)
    assert torch.equal(torch.cat(seen), axial([ill.scan]).x)


def test_keeps_the_weights_that_did_best_on_the_held_out(healthy, held_out):
    """At this rate it leaps past them; the noise on the held-out is the same at each look."""
    run = FabricRun(device="cpu", precision=Precision.FULL)
    method = replace(TINY, lr=0.3, steps=20, validate_every=2, schedule=Schedule.CONSTANT)
    training = Training(space=healthy[0].space, healthy=healthy, held_out=held_out)
    kept = held_out_loss(method.fit(training, run).net, axial(held_out), method.loss, device="cpu")
    run = FabricRun(device="cpu", precision=Precision.FULL)
    last = method.fit(Training(space=healthy[0].space, healthy=healthy), run).net
    again = held_out_loss(last, axial(held_out), method.loss, device="cpu")
    assert kept < 0.6 * again
    assert again == held_out_loss(last, axial(held_out), method.loss, device="cpu")


def test_released_score_is_the_residual_without_the_rim_and_filtered(healthy, ill):
    run = FabricRun(device="cpu", precision=Precision.FULL)
    method = DAE(width=4, batch=4, steps=1, score=Distance.KASCENAS)
    found = method.fit(Training(space=healthy[0].space, healthy=healthy), run).score(ill.scan)
    expected = compared(ill.scan.image, found.pseudo_healthy, ill.scan.brain, Distance.KASCENAS)
    np.testing.assert_array_equal(found.values, expected)
    rim = ill.scan.brain & ~binary_erosion(ill.scan.brain, np.ones((3, 3, 1)))
    assert found.values[rim].max() < found.values.max()


def test_two_golden_numbers(healthy, ill):
    """Seed 0 on the phantom; a change here is a change of the method."""
    run = FabricRun(device="cpu", precision=Precision.FULL, seed=0)
    found = TINY.fit(Training(space=healthy[0].space, healthy=healthy), run).score(ill.scan)
    lesion, brain = found.values[ill.lesion].mean(), found.values[ill.scan.brain].mean()
    assert np.array([lesion, brain]) == pytest.approx([0.82849, 0.07798], rel=0.05)
