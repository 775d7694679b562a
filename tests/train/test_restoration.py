from dataclasses import replace

import numpy as np
import pytest
import torch

from hale.core.method import Training
from hale.core.run import Precision
from hale.nets.implicit_field import multiplied_out
from hale.train.classes import Palette, centres_of
from hale.train.points import volumes_of
from hale.train.restoration import Restoration, Start, Target, decoded, found_code
from hale.train.run import FabricRun

TINY = Restoration(
    code=8,
    width=48,
    frequencies=4,
    dropout=0.0,
    lr=1e-2,
    code_lr=5.0,
    epochs=60,
    halve_every=20,
    volumes=2,
    points=512,
    mode_filter=1,
    fit_lr=2e-2,
    fit_iterations=(60,),
    fit_points=(512,),
    fixed_points=1024,
)


@pytest.fixture(scope="module")
def toy(healthy):
    """A toy model that has learnt brains which differ in how bright their halves are."""
    scans = [lit(scan, n / 3) for n, scan in enumerate(healthy)]
    centres = centres_of(scans, Palette.COHORT)
    run = FabricRun(device="cpu", precision=Precision.FULL)
    learnt = TINY.grow(Training(space=scans[0].space, healthy=scans), centres, run)
    net = TINY.field(1, normed=False)
    net.load_state_dict(multiplied_out(learnt.field))
    net.requires_grad_(requires_grad=False).eval()
    where = torch.from_numpy(TINY.positions(scans[0].space.grid))
    targets = [Target(volume=v, where=where) for v in volumes_of(scans, centres, TINY)]
    return net, learnt, targets


def lit(scan, share: float):
    image = scan.image.copy()
    image[:, 8:] += np.float32(share)
    return replace(scan, image=image * scan.brain)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_stored_code_of_a_training_brain_explains_it_better_than_a_random_one(toy):
    net, learnt, targets = toy
    fixed = targets[0].volume.near
    stored = [target.loss(net, learnt.codes.weight[n], fixed) for n, target in enumerate(targets)]
    drawn = torch.randn(20, TINY.code, generator=torch.Generator().manual_seed(0)) / TINY.code**0.5
    for target, loss in zip(targets, stored, strict=True):
        assert loss < torch.stack([target.loss(net, code, fixed) for code in drawn]).mean()


def test_a_restoration_beats_its_start_and_leaves_the_network_alone(toy):
    net, learnt, targets = toy
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    mean_code = learnt.mean_code()
    kept = mean_code.clone()
    for target in targets[::3]:
        found = found_code(net, mean_code, target, TINY, rng())
        fixed = target.volume.draw(TINY.fixed_points, TINY.inside, rng())
        assert found.loss < float(target.loss(net, mean_code, fixed))
        assert found.iterations > 0
        assert found.code.norm() <= TINY.bound + 1e-6
    assert torch.equal(mean_code, kept)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name])
        assert tensor.grad is None


def test_stops_when_nothing_is_gained(toy):
    net, learnt, targets = toy
    patient = replace(TINY, fit_iterations=(200,), patience=2, progress=0.5)
    found = found_code(net, learnt.mean_code(), targets[0], patient, rng())
    assert found.iterations < 200
    never = replace(TINY, fit_iterations=(30, 5), fit_points=(64, 128), patience=0)
    assert found_code(net, learnt.mean_code(), targets[0], never, rng()).iterations == 35


def test_further_attempts_are_taken_only_if_better(toy):
    net, learnt, targets = toy
    brief = replace(TINY, fit_iterations=(10,))
    one = found_code(net, learnt.mean_code(), targets[0], brief, rng())
    three = found_code(net, learnt.mean_code(), targets[0], replace(brief, attempts=3), rng())
    assert three.loss <= one.loss


def test_a_random_start_has_the_published_spread(toy):
    net, learnt, targets = toy
    none = replace(
        TINY, start=Start.RANDOM, fit_iterations=(1,), fit_lr=1e-9, patience=0, fit_bounded=False
    )
    drawn = [found_code(net, learnt.mean_code(), targets[0], none, rng(n)).code for n in range(40)]
    assert float(torch.stack(drawn).std()) == pytest.approx(1 / 8**0.5, rel=0.1)


def test_decoding_in_batches_equals_decoding_at_once(toy):
    net, learnt, targets = toy
    where = targets[0].where.repeat(3, 1)
    found = decoded(net, learnt.mean_code(), where, device="cpu", precision=Precision.FULL)
    assert found.shape == (len(where), 10)
    with torch.no_grad():
        torch.testing.assert_close(found, net(learnt.mean_code()[None], where[None])[0])


def test_as_many_phases_as_numbers_of_points():
    with pytest.raises(ValueError, match="fit_points"):
        Restoration(fit_iterations=(1, 2), fit_points=(3,))
