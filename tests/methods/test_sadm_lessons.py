"""What a step of SADM's training is given: slices, anomalies, lesions, and what the base leaves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hale.core.errors import Refused
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


def test_half_of_the_slices_are_drawn_from_those_with_lesion(labelled):
    cases = marked(labelled)
    ill = cases.lesion.flatten(1).any(1)
    assert 0 < ill.sum() < len(cases)  # 3 slices of each case
    training = Training(space=labelled[0].scan.space, cases=labelled, held_out_cases=labelled[:1])
    learnt, watched = SADMCases().materials(training)
    share = float(ill.float().mean())
    assert shown(learnt) == pytest.approx(0.5 + 0.5 * share, abs=0.04)
    assert watched is not None
    assert len(watched) == len(cases) // 2
    assert shown(Balanced(cases, cases, 0.0)) == pytest.approx(share, abs=0.04)
    assert shown(Balanced(cases[ill.nonzero()[:, 0]], cases, 1.0)) == 1


def shown(material: Balanced) -> float:
    """Which share of the slices that are drawn shows lesion."""
    which = torch.randint(len(material), (2000,), generator=draw())
    return float(material[which].lesion.flatten(1).any(1).float().mean())


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_rest_may_be_healthy(labelled, healthy, share):
    training = Training(space=labelled[0].scan.space, cases=labelled, healthy=healthy)
    learnt, watched = SADMCases(others=Others.HEALTHY, share=share).materials(training)
    drawn = learnt[torch.arange(400)].lesion.flatten(1).any(1)
    assert float(drawn.float().mean()) == share
    assert watched is None
    assert not unmarked(axial(healthy)).lesion.any()


def test_every_slice_of_either_kind_can_be_drawn(labelled, healthy):
    training = Training(space=labelled[0].scan.space, cases=labelled, healthy=healthy)
    learnt, _ = SADMCases(others=Others.HEALTHY).materials(training)
    seen = learnt[torch.arange(len(learnt))]
    ill = seen.lesion.flatten(1).any(1)
    assert len(seen.x[ill].unique(dim=0)) == len(learnt.ill)
    assert len(seen.x[~ill].unique(dim=0)) == len(learnt.rest)


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_a_batch_is_the_same_however_it_is_shared(labelled, processes):
    training = Training(space=labelled[0].scan.space, cases=labelled)
    learnt, _ = SADMCases().materials(training)
    which = torch.randint(len(learnt), (4,), generator=draw())  # of four, each has one
    whole = learnt[which]
    for rank in range(processes):
        part = learnt[which[rank::processes]]
        assert torch.equal(part.x, whole.x[rank::processes])
        assert torch.equal(part.lesion, whole.lesion[rank::processes])


def test_cases_without_any_lesion_teach_nothing(labelled):
    empty = [replace(case, lesion=np.zeros_like(case.lesion)) for case in labelled]
    training = Training(space=labelled[0].scan.space, cases=empty, held_out_cases=labelled)
    with pytest.raises(Refused, match=f"cases {empty[0].scan.id}, .*: no lesion is left in them"):
        SADMCases().materials(training)


@pytest.mark.parametrize("method", [TINY, SADMCases(width=4)])
def test_a_level_that_the_base_lacks_is_refused_before_anything_is_learnt(training, method):
    run = FabricRun(device="cpu", precision=Precision.FULL)
    with pytest.raises(Refused, match="level 1000: there are 1000 levels of noise, 0 to 999"):
        replace(method, levels=(1000,)).fit(training, run)
    assert run.steps_done == 0
