"""What a step of SADM's training is given: slices, anomalies, lesions, and what the base leaves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hale.core.method import Precision, Training
from hale.data.lesions.synthetic import Kind
from hale.methods.ddpm import DDPM
from hale.methods.sadm import (
    SADM,
    Balanced,
    Others,
    SADMCases,
    marked,
    unmarked,
    with_anomalies,
)
from hale.nets.siamese_unet import SiameseUNet
from hale.train.run import FabricRun
from hale.train.segmenting import Marked, SegmentationLoss, restored_once
from hale.train.slices import axial

TINY = SADM(width=4, lr=1e-2, batch=4, steps=10, augment=False)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def training(healthy):
    space = healthy[0].space
    plain = DDPM(width=8, multipliers=(1, 2), blocks=1, batch=4, steps=2, augment=False)
    run = FabricRun(device="cpu", precision=Precision.FULL)
    base = plain.fit(Training(space=space, healthy=healthy), run)
    return Training(space=space, healthy=healthy, base=base)


def test_dice_loss_is_0_where_all_is_found_and_near_1_where_nothing_is():
    lesion = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    lesion[..., :4] = True
    sure = torch.where(lesion, 50.0, -50.0)
    assert float(SegmentationLoss.DICE.of(sure, lesion)) == pytest.approx(0, abs=1e-6)
    # 2 x 0 + 1 over 32 predicted + 32 true + 1
    assert float(SegmentationLoss.DICE.of(-sure, lesion)) == pytest.approx(1 - 1 / 65)


def test_a_training_step_in_its_order(training):
    """Corrupt, restore once from a random level, segment residual and image, compare."""
    seen = []
    net = SiameseUNet(1, width=4)
    net.register_forward_pre_hook(lambda _, args: seen.append(args))
    slices = axial(training.healthy)[torch.arange(4)]

    def mark(given, generator):
        changed = given.x + 0.25 * given.brain
        return Marked(changed, given.brain, given.brain)

    loss = TINY.objective(training.base, mark)(net, slices, draw(3))
    ((residual, x),) = seen
    assert torch.equal(x, slices.x + 0.25 * slices.brain)
    x_hat = restored_once(training.base, x, draw(3)) * slices.brain
    assert torch.equal(residual, x - x_hat)
    assert not residual.requires_grad
    with torch.no_grad():
        logits = net(residual, x)
    wanted = nn.functional.binary_cross_entropy_with_logits(logits, slices.brain.float())
    assert float(loss.detach()) == pytest.approx(float(wanted), rel=1e-6)


def test_levels_of_training_are_all_equally_likely(training):
    seen = []

    def restoring(net, x, noised):
        seen.append(noised[0].t)
        return [torch.zeros_like(x)]

    x = torch.zeros(500, 1, 8, 8)
    restored_once(replace(training.base, restoring=restoring), x, draw())
    (t,) = seen
    assert len(t) == 500
    assert t.min() < 20
    assert 980 <= t.max() < 1000
    assert float(t.float().mean()) == pytest.approx(499.5, abs=40)


def test_anomalies_are_in_the_brain_of_as_many_slices_as_asked_for(healthy):
    """Check 8 of the slices that a step learns from: outside the mask nothing changes."""
    slices = axial(healthy)
    mm = healthy[0].space.grid.spacing
    task = with_anomalies(slices, Kind.DRAEM, share=0.5, mm=mm, draw=draw())
    assert not (task.lesion & ~task.brain).any()
    assert torch.equal(task.x[~task.lesion], slices.x[~task.lesion])
    changed = (task.x != slices.x).flatten(1).any(1).float().mean()
    assert float(changed) == pytest.approx(0.5, abs=0.15)
    none = with_anomalies(slices, Kind.DRAEM, share=0.0, mm=mm, draw=draw())
    assert torch.equal(none.x, slices.x)
    assert not none.lesion.any()
    again = with_anomalies(slices, Kind.DRAEM, share=0.5, mm=mm, draw=draw())
    assert torch.equal(again.x, task.x)


def test_released_anomalies_are_anywhere_in_every_slice(healthy):
    slices = axial(healthy)
    mm = healthy[0].space.grid.spacing
    task = with_anomalies(slices, Kind.DRAEM_RELEASED, share=1.0, mm=mm, draw=draw())
    assert (task.lesion & ~task.brain).any()


@pytest.mark.parametrize("kind", [Kind.FPI, Kind.PII, Kind.SHAPE])
def test_anomalies_made_of_other_scans_are_refused(kind):
    with pytest.raises(ValueError, match="is made of other scans"):
        SADM(anomaly=kind)


def test_half_of_a_step_shows_lesion(labelled):
    cases = marked(labelled)
    ill = cases.lesion.flatten(1).any(1)
    assert 0 < ill.sum() < len(cases)  # 3 slices of each case
    material = SADMCases().materials(
        Training(space=labelled[0].scan.space, cases=labelled, held_out_cases=labelled[:1])
    )
    learnt, watched = material
    which = torch.randint(len(learnt), (400,), generator=draw())
    drawn = learnt[which].lesion.flatten(1).any(1)
    assert drawn[:200].all()
    share = float(ill.float().mean())
    assert float(drawn[200:].float().mean()) == pytest.approx(share, abs=0.12)
    assert watched is not None
    assert len(watched) == len(cases) // 2
    released = Balanced(cases, cases, 0.0)[which].lesion.flatten(1).any(1)
    assert float(released.float().mean()) == pytest.approx(share, abs=0.1)


def test_the_rest_of_a_step_may_be_healthy(labelled, healthy):
    training = Training(space=labelled[0].scan.space, cases=labelled, healthy=healthy)
    learnt, watched = SADMCases(others=Others.HEALTHY).materials(training)
    drawn = learnt[torch.arange(40)].lesion.flatten(1).any(1)
    assert drawn.tolist() == 20 * [True] + 20 * [False]
    assert watched is None
    assert not unmarked(axial(healthy)).lesion.any()


def test_a_case_without_any_lesion_teaches_all_the_same(labelled):
    empty = [replace(case, lesion=np.zeros_like(case.lesion)) for case in labelled]
    learnt, _ = SADMCases().materials(Training(space=labelled[0].scan.space, cases=empty))
    assert len(learnt[torch.arange(8)]) == 8
