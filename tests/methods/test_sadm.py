"""Acceptance checks of SADM (sadm.md, section 8); 7 to 9 are with the anomalies, 13 the pipeline's.

Checks 7 to 9: tests/data/lesions; 13: tests/pipeline/test_cases.py.
"""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hale.core.errors import Refused
from hale.core.method import BASE, Training
from hale.core.run import Precision
from hale.data.lesions.synthetic import Kind
from hale.methods.cddpm import CDDPM
from hale.methods.ddpm import DDPM
from hale.methods.sadm import (
    SADM,
    SADMCases,
)
from hale.nets.blocks import StandardisedConv2d, parameters
from hale.nets.siamese_unet import SiameseUNet
from hale.post.edges import median
from hale.post.settings import DataRange
from hale.post.ssim import similarity
from hale.train.run import FabricRun
from hale.train.segmented import Segmented
from hale.train.segmenting import SegmentationLoss
from hale.train.slices import axial

TINY = SADM(width=4, lr=1e-2, batch=4, steps=10, augment=False)
GUIDED = CDDPM(
    width=8,
    multipliers=(1, 2),
    blocks=1,
    condition=8,
    encoder_width=4,
    encoder_blocks=(1, 1, 1, 1),
    batch=4,
    steps=2,
    augment=False,
)
STAGES = {
    "enc 0": 37_824,
    "enc 1": 221_952,
    "enc 2": 886_272,
    "enc 3": 3_542_016,
    "dec 2": 9_178_624,
    "dec 1": 2_295_552,
    "dec 0": 574_336,
    "head": 129,
}


def run(seed: int = 0) -> FabricRun:
    return FabricRun(device="cpu", precision=Precision.FULL, seed=seed)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def base(healthy):
    """A conditioned model: its encoder has batch norms."""
    return GUIDED.fit(Training(space=healthy[0].space, healthy=healthy), run())


@pytest.fixture(scope="module")
def training(healthy, base):
    return Training(space=healthy[0].space, healthy=healthy, base=base)


@pytest.fixture(scope="module")
def detector(training) -> Segmented:
    return TINY.fit(training, run())


@pytest.fixture(scope="module")
def published() -> SiameseUNet:
    return SiameseUNet(1)


def test_published_network_has_its_parameters(published, healthy):
    """Check 1: in all, with its base, and stage by stage."""
    assert parameters(published) == 16_736_705
    with torch.device("meta"):
        guided = CDDPM()._network(healthy[0].space)
    assert parameters(guided) + parameters(published) == 85_356_034
    found = {f"enc {n}": parameters(block) for n, block in enumerate(published.down)}
    for n, (grow, up) in enumerate(zip(published.grow, published.up, strict=True)):
        found[f"dec {2 - n}"] = parameters(grow) + parameters(up)
    assert {**found, "head": parameters(published.head)} == STAGES


def test_published_network_costs_what_is_stated():
    """Check 2."""
    with torch.device("meta"):
        net, x = SiameseUNet(1), torch.zeros(1, 1, 96, 96)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x, x)
    assert counter.get_total_flops() / 1e9 == pytest.approx(33.8, rel=0.01)


def test_one_encoder_looks_at_residual_and_image():
    """Checks 3 and 4: each block twice; the size stays."""
    net, calls = SiameseUNet(1, width=4), []
    for block in net.down:
        block.register_forward_hook(lambda block, *_: calls.append(block))
    x = torch.rand(2, 1, 96, 96)
    with torch.no_grad():
        assert net(x - 0.5, x).shape == (2, 1, 96, 96)
    assert [sum(one is block for one in calls) for block in net.down] == [2, 2, 2, 2]


def test_groups_and_filters_of_the_published_network(published):
    """Checks 4 and 5."""
    groups = [
        {layer.num_groups for layer in block if isinstance(layer, nn.GroupNorm)}
        for block in published.down
    ]
    assert groups == [{8}, {16}, {16}, {32}]
    for layer in published.modules():
        if isinstance(layer, StandardisedConv2d):
            w = layer.weight.detach().double()
            mean, std = w.mean((1, 2, 3), keepdim=True), w.std((1, 2, 3), keepdim=True)
            seen = (w - mean) / (std + 1e-5)
            assert seen.mean((1, 2, 3)).abs().max() < 1e-6
            assert (seen.std((1, 2, 3)) - 1).abs().max() < 5e-3


def test_standardised_filters_are_what_a_block_convolves_with():
    """Check 5: the layer itself, against the formula."""
    layer = StandardisedConv2d(3, 2, 3, bias=False)
    seen = layer(torch.eye(27).reshape(27, 3, 3, 3))[:, :, 0, 0].T.detach()  # the filters
    assert seen.mean(1).abs().max() < 1e-6
    assert (seen.std(1) - 1).abs().max() < 5e-3


def test_base_is_as_it_was_after_ten_steps(training, detector):
    """Check 6: every tensor, the statistics of its batch norms among them, and no gradient."""
    before = GUIDED.fit(replace(training, base=None), run()).net.state_dict()
    assert any(name.endswith("running_mean") for name in before)
    for held in (training.base.net, detector.base.net):
        after = held.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert not held.training
        assert all(p.grad is None and not p.requires_grad for p in held.parameters())


def test_importing_seeds_nothing():
    """Check 10."""
    program = """
import random, numpy, torch, rich.style  # which draws a number when it is imported
before = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
import hale.methods.sadm, hale.data.lesions.synthetic
after = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
assert before == after
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("width", [DataRange.ONE, DataRange.VOLUME])
def test_a_perfect_picture_leaves_the_probability(detector, ill, width):
    """Check 11: the similarity is 1 everywhere."""
    scan = ill.scan
    p = np.random.default_rng(0).random(scan.brain.shape, np.float32)
    assert (similarity(scan.image[0], scan.image[0], scan.space.grid) == 1).all()
    found = replace(detector, data_range=width).combined(scan, scan.image, p)
    np.testing.assert_array_equal(found, p * scan.brain)


def test_score_is_within_its_range_and_the_brain(detector, ill):
    """Check 12: 1 - SSIM of at most 2, and a probability."""
    scan = ill.scan
    ones = np.ones(scan.brain.shape, np.float32)
    found = detector.combined(scan, 1 - scan.image, ones)
    assert (found[~scan.brain] == 0).all()
    assert found[scan.brain].min() >= 1
    assert found.max() <= 3
    scored = detector.score(scan).values
    assert (scored[~scan.brain] == 0).all()
    assert 0 <= scored.min() <= scored.max() <= 3


def test_zero_log_odds_lose_ln_2():
    """Check 14."""
    lesion = torch.rand(2, 1, 8, 8, generator=draw()) > 0.5
    loss = SegmentationLoss.BCE.of(torch.zeros(2, 1, 8, 8), lesion)
    assert float(loss) == pytest.approx(np.log(2), abs=1e-6)


def test_score_is_the_mean_over_levels_in_the_stated_order(detector, ill):
    """Median of (1 - SSIM) M of the mean picture, plus the mean probability."""
    scan = ill.scan
    pictures = [detector.base.reconstruct(scan, level=level) for level in (249, 499, 749)]
    x_hat = np.mean(pictures, axis=0)
    p = np.mean([detector.probability(scan, one) for one in pictures], axis=0)
    apart = (1 - similarity(scan.image[0], x_hat[0], scan.space.grid)) * scan.brain
    expected = median(apart.astype(np.float32), scan.brain, width=5) + p
    found = detector.score(scan)
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    np.testing.assert_allclose(found.pseudo_healthy, x_hat, atol=1e-6)
    weighed = replace(detector, balance=0.25).score(scan).values
    np.testing.assert_allclose(weighed, 0.25 * (expected - p) + 0.75 * p, atol=1e-6)
    one = replace(detector, at=(499,)).score(scan).pseudo_healthy
    np.testing.assert_array_equal(one, detector.reconstruct(scan, level=499))


def test_probability_is_what_the_segmenter_makes_of_residual_and_image(detector, ill):
    scan = ill.scan
    x_hat = detector.reconstruct(scan, level=249)
    slices = axial([scan])
    residual = slices.x - axial([replace(scan, image=x_hat)]).x
    with torch.no_grad():
        p = detector.net(residual, slices.x).sigmoid()[:, 0].numpy()
    k = np.flatnonzero(scan.brain.any((0, 1)))
    expected = np.zeros(scan.brain.shape, np.float32)
    expected[..., k] = np.moveaxis(p, 0, -1)
    found = detector.probability(scan, x_hat)
    np.testing.assert_allclose(found, expected * scan.brain, atol=1e-5)


def test_place_and_seed_are_those_of_the_base_too(detector, ill):
    moved = replace(detector, seed=7, precision=Precision.BF16)
    assert (moved.base.seed, moved.base.precision) == (7, Precision.BF16)
    assert (moved.base.device, moved.device) == ("cpu", "cpu")
    other = replace(detector, seed=7)
    assert (other.score(ill.scan).values != detector.score(ill.scan).values).any()


def test_only_a_diffusion_model_is_built_on(training, detector):
    with pytest.raises(Refused, match="base: is none, not a diffusion model"):
        TINY.fit(replace(training, base=None), run())
    with pytest.raises(Refused, match="base: is a Segmented, not a diffusion model"):
        TINY.fit(replace(training, base=detector), run())


def test_any_diffusion_model_is_built_on(training, healthy, ill):
    plain = DDPM(width=8, multipliers=(1, 2), blocks=1, batch=4, steps=1, augment=False)
    base = plain.fit(replace(training, base=None), run())
    found = replace(TINY, steps=1).fit(replace(training, base=base), run())
    assert found.score(ill.scan).values[ill.scan.brain].any()


@pytest.mark.parametrize("method", [SADM(), SADMCases()])
def test_cannot_be_restored_without_its_base(method, detector, ill):
    with pytest.raises(Refused, match="cannot work without the diffusion model"):
        method.restore(detector.state(), ill.scan.space)


def test_state_holds_the_base(training, detector):
    state = detector.state()
    below = {name.removeprefix(BASE) for name in state if name.startswith(BASE)}
    assert below == training.base.state().keys()
    assert len(state) == len(below) + len(detector.net.state_dict())


def test_defaults_are_the_specified_ones():
    for method in (SADM(), SADMCases()):
        assert (method.lr, method.steps, method.batch, method.width) == (5e-5, 7_200, 32, 64)
        assert (method.levels, method.share) == ((249, 499, 749), 0.5)
        assert (method.loss, method.balance) == (SegmentationLoss.BCE, None)
    assert SADM().anomaly is Kind.DRAEM


def test_two_golden_numbers(detector, ill):
    """Seed 0 on the phantom; a change here is a change of the method."""
    found = detector.score(ill.scan)
    lesion, brain = found.values[ill.lesion].mean(), found.values[ill.scan.brain].mean()
    assert np.array([lesion, brain]) == pytest.approx([1.04468, 0.31032], rel=0.05)
