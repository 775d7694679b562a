"""Acceptance checks of the diffusion model: score, levels, noise, loss (ddpm.md, section 9)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.method import Training
from hale.core.scan import Scan, Space
from hale.diffusion.process import Target
from hale.methods.ddpm import DDPM
from hale.recipe import build_recipe, bundled, read_recipe
from hale.train.denoiser import about
from hale.train.denoising import Maps, posed
from hale.train.run import FabricRun
from hale.train.slices import Slices, together

TINY = DDPM(width=8, multipliers=(1, 2), blocks=1, lr=1e-2, batch=4, steps=6, augment=False)


class Says(nn.Module):
    """A network that says the same whatever it is given, and counts how often it is asked."""

    def __init__(self, answer=0.0):
        super().__init__()
        self.answer = answer
        self.asked = []

    def forward(self, x_t, t, *_):
        self.asked.append((x_t, t))
        return self.answer if torch.is_tensor(self.answer) else torch.full_like(x_t, self.answer)


def slices(count: int = 4, side: int = 16) -> Slices:
    x = torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(0))
    return Slices(x, torch.ones(count, 1, side, side, dtype=torch.bool))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def detector(healthy):
    return TINY.fit(Training(space=healthy[0].space, healthy=healthy), FabricRun(device="cpu"))


def test_at_initialisation_the_picture_is_grey(healthy):
    """Check 2: the head starts at 0, which is 0.5 of 0 to 1."""
    untrained = TINY.detector(
        TINY.unet(healthy[0].space), lambda net, x, n: [net(o.x_t, o.t) for o in n]
    )
    x_hat = untrained.reconstruct(healthy[0])
    assert (x_hat[:, healthy[0].brain] == 0.5).all()


def test_same_seed_same_map_another_seed_another(detector, healthy):
    """Check 9."""
    scan = healthy[0]
    first = detector.score(scan).values
    np.testing.assert_array_equal(detector.score(scan).values, first)
    assert (replace(detector, seed=1).score(scan).values != first).any()


def test_noise_of_a_step_is_one_map_for_each_slice_or_one_for_all():
    """Check 9: `released` has one map a batch."""
    each = posed(slices(), TINY, generator(), training=True).noise
    one = posed(slices(), replace(TINY, noise_maps=Maps.BATCH), generator(), training=True).noise
    assert len({tuple(n.flatten().tolist()) for n in each}) == 4
    assert len({tuple(n.flatten().tolist()) for n in one}) == 1


def test_a_scan_is_scored_with_one_map_for_each_level_and_draw(healthy):
    """Checks 9 and 14: a pass for each level and batch of slices, one map for all of them."""
    scan, net = healthy[0], Says()
    shown = TINY.detector(net, lambda net, x, noised: [net(one.x_t, one.t) for one in noised])
    maps = {level: shown._noise(scan, level, 0) for level in TINY.levels}
    assert not torch.equal(maps[249], maps[499])
    assert not torch.equal(maps[499], shown._noise(scan, 499, 1))
    net = shown.net
    net.asked.clear()
    shown.reconstruct(scan)
    levels = int(scan.brain.any((0, 1)).sum())
    assert sum(len(t) for _, t in net.asked) == 3 * levels
    for x_t, t in net.asked:
        abar = shown.diffusion.levels.alpha_bar[int(t[0])]
        k_noise = (x_t[:, 0, 0, 0] + abar.sqrt()) / (1 - abar).sqrt()  # the corner is 0, so -1
        expected = maps[int(t[0])][0, 0, 0, 0].expand(len(x_t))
        torch.testing.assert_close(k_noise, expected, check_dtype=False, rtol=1e-4, atol=1e-5)


def test_a_gpu_restores_a_published_volume_in_one_pass_a_cpu_in_batches():
    """Check 14: 50 slices; on a CPU eight at once are as fast, and each is restored once."""
    assert together("cuda:0") >= 50
    assert together("cpu") == 8


def test_noise_covers_the_background_too():
    """Check 10."""
    task = posed(slices(), TINY, generator(), training=True)
    assert (task.noise != 0).float().mean() > 0.99


def test_saying_the_slice_costs_nothing_and_saying_nothing_its_mean():
    """Check 12."""
    x = slices()
    task = posed(x, TINY, generator(), training=True)
    torch.testing.assert_close(task.target, 2 * x.x - 1)
    exact = TINY.loss(Says(2 * x.x - 1), x, generator())
    nothing = TINY.loss(Says(0.0), x, generator())
    assert exact == 0
    torch.testing.assert_close(nothing, (2 * x.x - 1).abs().mean())


def test_the_picture_of_three_levels_is_the_mean_of_three_pictures(detector, healthy):
    """Check 13."""
    singles = [detector.reconstruct(healthy[0], level=level) for level in (249, 499, 749)]
    np.testing.assert_allclose(
        detector.reconstruct(healthy[0]), np.mean(singles, axis=0), atol=1e-6
    )


def test_a_level_that_does_not_exist_is_refused(detector, healthy):
    with pytest.raises(Refused, match="level 1000"):
        detector.reconstruct(healthy[0], level=1000)
    with pytest.raises(Refused, match="level 1000"):
        build_recipe({"method": {"name": "ddpm", "levels": [1000]}})


@pytest.mark.parametrize("target", list(Target))
def test_every_target_leads_to_the_slice(healthy, target):
    """Section 7, defect 2: predicting noise divides by sqrt(abar) on the way back."""
    method = replace(TINY, target=target)
    task = posed(slices(), method, generator(), training=True)
    back = method.diffusion.x0_of(task.target, task.noised.x_t, task.noised.t)
    usable = task.noised.t < 900  # later ones are noise alone: the slice is lost in rounding
    torch.testing.assert_close(back[usable], (2 * slices().x - 1)[usable], atol=2e-3, rtol=0)


def test_held_out_slices_are_looked_at_as_they_are_with_the_same_noise():
    """Section 7, defect 5."""
    method = replace(TINY, augment=True)
    first = posed(slices(), method, generator(), training=False)
    again = posed(slices(), method, generator(), training=False)
    torch.testing.assert_close(first.x, slices().x)
    torch.testing.assert_close(first.noised.x_t, again.noised.x_t)
    changed = posed(slices(), method, generator(), training=True)
    assert not torch.equal(changed.x, slices().x)


def test_presets_are_what_is_published():
    recipes = {name: read_recipe(bundled()[f"ddpm-{name}"]) for name in ("paper", "released")}
    paper, released = recipes["paper"].method, recipes["released"].method
    assert (paper.lr, paper.levels, paper.augment, paper.steps) == (1e-5, (499,), True, 19_200)
    assert (released.lr, released.levels, released.augment) == (1e-4, (499,), False)
    assert (released.noise_maps, released.noise_rounded) == (Maps.BATCH, True)
    assert str(released.embedding) == "additive"
    default = read_recipe(bundled()["ddpm-default"]).method
    assert (default.lr, default.levels, default.steps) == (1e-4, (249, 499, 749), 19_200)


def test_the_box_about_a_brain_has_a_margin_and_sides_that_networks_halve():
    brain = np.zeros((40, 30, 3), bool)
    brain[10:21, 12:20, 0] = True
    brain[15, 9, 2] = True
    rows, columns = about(brain)
    assert (rows, columns) == (slice(5, 25), slice(4, 24))
    assert about(np.ones((40, 30, 3), bool)) == (slice(0, 40), slice(0, 30))
    assert about(np.zeros((8, 8, 1), bool)) == (slice(None), slice(None))


def test_a_cropped_scan_is_restored_from_the_same_noise_on_fewer_pixels(healthy):
    wide = on_wider_slices(healthy[0])
    seen = []

    def echo(net, x, noised):
        seen.append(x.shape[-2:])
        return [one.x_t for one in noised]

    whole = TINY.detector(Says(), echo).reconstruct(wide)
    cropped = replace(TINY, crop=True).detector(Says(), echo).reconstruct(wide)
    np.testing.assert_array_equal(cropped, whole)
    assert tuple(seen[0]) == (48, 48)
    assert tuple(seen[-1]) == (24, 24)


def on_wider_slices(scan: Scan) -> Scan:
    edge = ((16, 16), (16, 16), (0, 0))
    grid = Grid(shape=(48, 48, 16), affine=scan.space.grid.affine)
    return Scan(
        id=scan.id,
        space=Space(slots=scan.space.slots, grid=grid),
        image=np.pad(scan.image, ((0, 0), *edge)),
        brain=np.pad(scan.brain, edge),
    )
