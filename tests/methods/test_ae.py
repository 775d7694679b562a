from dataclasses import replace

import numpy as np
import pytest
import torch

from hale.core.method import Training
from hale.core.run import Precision
from hale.methods.ae import AE
from hale.nets.autoencoder import AutoEncoder
from hale.train.learn import held_out_loss, mean_l1
from hale.train.run import FabricRun
from hale.train.slices import axial

TINY = AE(latent=8, width=4, lr=1e-2, batch=8, steps=30, validate_every=10)


def run(**settings) -> FabricRun:
    return FabricRun(device="cpu", precision=Precision.FULL, **settings)


def test_defaults_are_the_specified_ones():
    method = AE()
    assert (method.latent, method.lr, method.batch) == (128, 1e-4, 32)
    assert (method.steps, method.dropout) == (19_200, 0.0)


def test_keeps_the_weights_that_did_best_on_the_held_out(healthy, held_out):
    """At this rate it leaps past them."""
    leaping = replace(TINY, lr=3e-2, steps=20, validate_every=2)
    training = Training(space=healthy[0].space, healthy=healthy, held_out=held_out)
    good = leaping.fit(training, run())
    fixed = axial(held_out)
    kept = held_out_loss(good.net, fixed, mean_l1, device="cpu")
    last = leaping.fit(Training(space=healthy[0].space, healthy=healthy), run())
    assert kept < 0.6 * held_out_loss(last.net, fixed, mean_l1, device="cpu")


def test_held_out_loss_weighs_every_slice_the_same(held_out):
    net = AutoEncoder(1, (16, 16), latent=4, width=4).eval()
    slices = axial(held_out)
    with torch.no_grad():
        expected = (net(slices.x) - slices.x).abs().mean()
    assert held_out_loss(net, slices, mean_l1, device="cpu") == pytest.approx(
        float(expected), rel=1e-5
    )


def test_two_golden_numbers(healthy, held_out, ill):
    """Seed 0 on the phantom; a change here is a change of the method."""
    training = Training(space=healthy[0].space, healthy=healthy, held_out=held_out)
    found = TINY.fit(training, run(seed=0)).score(ill.scan)
    lesion, brain = found.values[ill.lesion].mean(), found.values[ill.scan.brain].mean()
    assert np.array([lesion, brain]) == pytest.approx([0.60657, 0.14239], rel=0.05)
