"""Acceptance checks of the conditioned diffusion model (cddpm.md, section 7)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.method import Training
from hale.core.scan import Contrast, Space
from hale.methods.cddpm import CDDPM, guided
from hale.nets.blocks import parameters
from hale.nets.resnet import ResNet
from hale.nets.state import arrays
from hale.recipe import bundled, read_recipe
from hale.train.denoiser import Noised
from hale.train.denoising import posed
from hale.train.run import FabricRun
from hale.train.slices import Slices

TINY = CDDPM(
    width=8,
    multipliers=(1, 2),
    blocks=1,
    condition=8,
    encoder_width=4,
    encoder_blocks=(1, 1, 1, 1),
    lr=1e-2,
    batch=4,
    steps=20,
    augment=False,
)


def slices(count: int = 4, side: int = 32) -> Slices:
    x = torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(0))
    return Slices(x, torch.ones(count, 1, side, side, dtype=torch.bool))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fit(method: CDDPM, healthy, **given):
    training = Training(space=healthy[0].space, healthy=healthy, **given)
    return method.fit(training, FabricRun(device="cpu"))


@pytest.fixture(scope="module")
def detector(healthy):
    return fit(TINY, healthy)


@pytest.mark.parametrize(("condition", "encoder"), [(512, 24_550_848), (128, 23_764_032)])
def test_has_the_published_parameters(healthy, condition, encoder):
    """Checks 1 and 10."""
    with torch.device("meta"):
        net = CDDPM(condition=condition)._network(healthy[0].space)
    assert parameters(net.encoder) == encoder
    assert net.unet.condition == condition
    if condition == 512:
        assert parameters(net.unet) == 44_068_481
        assert parameters(net) == 68_619_329


def test_every_block_is_told_1024_numbers(healthy):
    """Check 2: of 512 each from the time and the condition, to twice its channels."""
    with torch.device("meta"):
        net = CDDPM()._network(healthy[0].space)
    sizes = {tuple(w.shape) for n, w in net.unet.named_parameters() if w.ndim == 2}
    assert {(2 * channels, 1024) for channels in (128, 256)} <= sizes
    assert net.encoder(torch.zeros(2, 1, 96, 96, device="meta")).shape == (2, 512)


def test_the_encoder_sees_the_slice_and_the_network_its_noised_twin():
    """Check 3: at level 0 that is within 0.01 of 2x - 1 plus 0.0064 n."""
    method, x = TINY, slices()
    process = method.diffusion
    noise = process.maps((4, 1, 32, 32), generator())
    t = torch.zeros(4, dtype=torch.long)
    x_t = process.noised(2 * x.x - 1, noise, t)
    assert (x_t - (2 * x.x - 1) - 0.0064 * noise).abs().max() < 0.01
    seen = {}

    class Spy(torch.nn.Module):
        def forward(self, x_t, t, x):
            seen.update(x_t=x_t, x=x)
            return x_t

    method.loss(Spy(), x, generator())
    torch.testing.assert_close(seen["x"], x.x)
    torch.testing.assert_close(seen["x_t"], posed(x, method, generator(), training=True).noised.x_t)


def test_the_encoder_sees_what_is_to_be_restored_when_it_is_augmented():
    task = posed(slices(), replace(TINY, augment=True), generator(), training=True)
    assert not torch.equal(task.x, slices().x)
    torch.testing.assert_close(task.target, 2 * task.x - 1)


def test_starts_from_a_pretrained_encoder_but_for_its_last_layer(healthy):
    """Check 4: nothing else is new, and nothing is left over."""
    torch.manual_seed(7)
    pretrained = arrays(ResNet(1, width=4, blocks=(1, 1, 1, 1)))
    one_step = replace(TINY, steps=1, lr=1e-12)
    state = fit(one_step, healthy, pretrained=pretrained).state()
    own = {n.removeprefix("encoder."): a for n, a in state.items() if n.startswith("encoder.")}
    assert own.keys() - pretrained.keys() == {"fc.weight", "fc.bias"}
    for name, array in pretrained.items():
        if "running" not in name:  # the step has moved those
            np.testing.assert_allclose(own[name], array, atol=1e-6)
    with pytest.raises(Refused):
        fit(one_step, healthy, pretrained=arrays(ResNet(1, width=8, blocks=(1, 1, 1, 1))))


def test_the_encoder_begins_to_learn_with_the_third_step():
    """Check 5: layers that begin at 0 let nothing through before."""
    torch.manual_seed(0)
    net = TINY._network(space_of_slices())
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    moved = []
    for number in range(6):
        adam.zero_grad()
        TINY.loss(net.train(), slices(), generator(number)).backward()
        grads = [p.grad for p in net.encoder.parameters()]
        moved.append(any(g is not None and g.abs().max() > 0 for g in grads))
        adam.step()
    assert moved[:3] == [False, False, True]
    untaught = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert untaught == []


def space_of_slices() -> Space:
    grid = Grid(shape=(32, 32, 4), affine=np.eye(4))
    return Space(slots=((Contrast.T1W,),), grid=grid)


def test_scoring_changes_no_statistics_and_is_repeatable(detector, healthy):
    """Check 6."""
    before = {name: array.copy() for name, array in detector.state().items()}
    first = detector.score(healthy[0]).values
    np.testing.assert_array_equal(detector.score(healthy[0]).values, first)
    for name, array in detector.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_the_condition_matters_once_it_is_learnt(detector):
    """Check 7: two slices whose conditions are exchanged are restored otherwise."""
    x = slices(2, 16).x
    one = Noised(x_t=torch.zeros_like(x), t=torch.full((2,), 499))
    with torch.no_grad():
        (own,) = guided(detector.net, x, [one])
        (exchanged,) = guided(detector.net, x.flip(0), [one])
        untrained = TINY._network(space_of_slices()).eval()
        (nothing,) = guided(untrained, x, [one])
    assert not torch.allclose(own, exchanged)
    assert (nothing == 0).all()


def test_the_encoder_runs_once_for_all_levels(healthy):
    """Check 8."""
    with torch.device("meta"):
        net = CDDPM()._network(healthy[0].space).eval()
        x = torch.zeros(1, 1, 96, 96)
        noised = [Noised(x_t=x, t=torch.zeros(1, dtype=torch.long)) for _ in range(3)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        guided(net, x, noised)
    assert counter.get_total_flops() / 1e9 == pytest.approx(449, rel=0.005)


def test_the_picture_of_three_levels_is_the_mean_of_three_pictures(detector, healthy):
    """Check 9."""
    singles = [detector.reconstruct(healthy[0], level=level) for level in (249, 499, 749)]
    np.testing.assert_allclose(
        detector.reconstruct(healthy[0]), np.mean(singles, axis=0), atol=1e-6
    )


def test_stochastic_depth_is_of_training_alone():
    """Check 11."""
    encoder = ResNet(1, out=8, width=4, blocks=(2, 2, 2, 2), drop=0.5)
    x = slices(2).x
    with torch.no_grad():
        still = [encoder.eval()(x) for _ in range(10)]
        shaken = [encoder.train()(x) for _ in range(10)]
    assert all(torch.equal(still[0], again) for again in still)
    assert any(not torch.equal(shaken[0], again) for again in shaken)


def test_feature_sizes_of_a_slice_of_96():
    """Check 12."""
    with torch.device("meta"):
        features = ResNet(1).features(torch.zeros(1, 1, 96, 96))
    assert [tuple(f.shape[1:]) for f in features] == [
        (256, 24, 24),
        (512, 12, 12),
        (1024, 6, 6),
        (2048, 3, 3),
    ]


def test_presets_are_what_is_published():
    methods = {n: read_recipe(bundled()[f"cddpm-{n}"]).method for n in ("paper", "released")}
    paper, released = methods["paper"], methods["released"]
    assert (paper.condition, paper.condition_mlp, paper.lr, paper.steps) == (
        128,
        False,
        1e-5,
        19200,
    )
    assert (released.condition, released.lr, released.steps) == (512, 1e-4, 14_400)
    assert paper.levels == released.levels == (249, 499, 749)
