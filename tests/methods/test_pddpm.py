"""Acceptance checks of the patched diffusion model (pddpm.md, section 7)."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hale.core.errors import Refused
from hale.core.method import Training
from hale.methods.ddpm import DDPM
from hale.methods.pddpm import PDDPM, Stitching, stitched, weights
from hale.nets.blocks import parameters
from hale.nets.unet import UNet
from hale.recipe import build_recipe
from hale.train.boxes import Box, cells, grid, random_boxes
from hale.train.denoiser import Noised
from hale.train.denoising import posed
from hale.train.run import FabricRun
from hale.train.slices import Slices

PLANE = (96, 96)
TINY = PDDPM(
    width=8, multipliers=(1, 2), blocks=1, patch=8, lr=1e-2, batch=4, steps=6, augment=False
)


class Asked(nn.Module):
    """Answers with a function of what it is given, and keeps that."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer
        self.given = []

    def forward(self, x_t, t):
        self.given.append(x_t)
        return self.answer(x_t)


def slices(count: int = 4, side: int = 96) -> Slices:
    x = torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(0))
    return Slices(x, torch.ones(count, 1, side, side, dtype=torch.bool))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noised(count: int = 2, side: int = 96) -> tuple[torch.Tensor, Noised]:
    x = slices(count, side).x
    x_t = torch.randn(x.shape, generator=generator())
    return x, Noised(x_t=x_t, t=torch.full((count,), 499))


def test_has_the_network_of_the_plain_model(healthy):
    """Check 1."""
    with torch.device("meta"):
        own, plain = (method.unet(healthy[0].space) for method in (PDDPM(), DDPM()))
    assert parameters(own) == 37_513_857
    shapes = [{n: w.shape for n, w in net.state_dict().items()} for net in (own, plain)]
    assert shapes[0] == shapes[1]


def test_four_boxes_cover_every_pixel_once():
    """Check 2."""
    boxes = PDDPM().grid(PLANE)
    assert boxes == [
        Box(0, 0, 48, 48),
        Box(48, 0, 96, 48),
        Box(0, 48, 48, 96),
        Box(48, 48, 96, 96),
    ]
    assert (sum(box.mask(PLANE).int() for box in boxes) == 1).all()


def test_a_box_counts_columns_by_x_and_rows_by_y():
    mask = Box(2, 5, 4, 6).mask((8, 8))
    assert mask.nonzero().tolist() == [[5, 2], [5, 3]]


def test_the_network_sees_a_clean_slice_but_for_the_box():
    """Check 3."""
    net = Asked(torch.zeros_like)
    x = slices()
    method = replace(TINY, patch=48)
    method.loss(net, x, generator())
    (given,) = net.given
    changed = given != 2 * x.x - 1
    for one in changed[:, 0]:
        rows, columns = one.any(1).nonzero().flatten(), one.any(0).nonzero().flatten()
        assert int(columns[0]) in (0, 48)
        assert int(rows[0]) in (0, 48)
        assert one.float().mean() == pytest.approx(0.25, abs=1e-3)
    task = posed(x, method, generator(), training=True)
    torch.testing.assert_close(given[changed], task.noised.x_t[changed])


def test_the_loss_counts_the_box_alone_as_a_share_of_the_slice():
    """Check 4."""
    x = slices()
    method = replace(TINY, patch=48)
    clean = 2 * x.x - 1
    assert method.loss(Asked(lambda _: clean), x, generator()) == 0
    off = method.loss(Asked(lambda _: clean + 0.3), x, generator())
    assert float(off) == pytest.approx(0.3 / 4, rel=1e-4)


def test_no_gradient_comes_from_outside_the_box():
    """Check 5."""
    x = slices()
    out = torch.zeros_like(x.x, requires_grad=True)
    net = Asked(lambda _: out)
    replace(TINY, patch=48).loss(net, x, generator()).backward()
    inside = net.given[0] != 2 * x.x - 1
    assert (out.grad[~inside] == 0).all()
    assert (out.grad[inside] != 0).float().mean() > 0.99


def test_each_box_is_drawn_as_often():
    """Check 6."""
    counts = torch.zeros(4)
    method = PDDPM()
    x = torch.zeros(10_000, 1, 4, 4)
    inside = replace(method, patch=2)._drawn(x, generator())
    for n, box in enumerate(grid((4, 4), 2, 2)):
        counts[n] = (inside[:, 0] == box.mask((4, 4))).all((1, 2)).float().mean()
    assert (counts - 0.25).abs().max() < 0.015
    assert counts.sum() == pytest.approx(1)


def test_four_patches_a_slice_and_level_from_one_map_of_noise(healthy):
    """Check 7."""
    scan = healthy[0]
    shown = TINY.detector(Asked(torch.clone), TINY._stitched)
    shown.reconstruct(scan)
    levels = int(scan.brain.any((0, 1)).sum())
    assert sum(len(given) for given in shown.net.given) == 4 * levels


def test_together_or_one_by_one_each_patch_is_restored_alike():
    """Checks 8 and 12: no patch minds the others, or their order."""
    x, one = noised(side=16)
    torch.manual_seed(0)
    net = nn.Conv2d(1, 1, 5, padding=2)
    call = Asked(net)
    with torch.no_grad():
        (together,) = stitched(call, x, [one], method=TINY)
        apart = torch.zeros_like(x)
        for box in reversed(TINY.grid((16, 16))):
            mask = box.mask((16, 16))
            apart[:, :, mask] = net(torch.where(mask, one.x_t, 2 * x - 1))[:, :, mask]
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)


def test_patches_of_60_begin_at_0_and_36_and_average_to_a_constant():
    """Check 9."""
    boxes = grid(PLANE, 60, 60)
    assert sorted({box.x0 for box in boxes}) == sorted({box.y0 for box in boxes}) == [0, 36]
    x, one = noised()
    for stitching in Stitching:
        method = PDDPM(patch=60, stitching=stitching)
        (made,) = stitched(Asked(lambda x_t: torch.full_like(x_t, 0.7)), x, [one], method=method)
        torch.testing.assert_close(made, torch.full_like(made, 0.7))


def test_the_mean_of_overlapping_patches_divides_once_by_their_count():
    """Section 5, defect 1: columns 36 to 59 are restored twice, where rows are too four times."""
    share = weights(grid(PLANE, 60, 60), PLANE, Stitching.MEAN)
    assert share[0, 0, 0] == 1
    assert share[0, 0, 40] == 0.5
    assert share[0, 40, 40] == 0.25
    torch.testing.assert_close(share.sum(0), torch.ones(PLANE))


def test_the_cells_of_overlapping_patches_meet_halfway():
    assert [(c.x0, c.x1) for c in cells(grid(PLANE, 60, 60))][:2] == [(0, 48), (48, 96)]
    assert (sum(cell.mask((33, 50)).int() for cell in cells(grid((33, 50), 20, 15))) == 1).all()


def test_a_network_that_changes_nothing_gives_the_noised_slice():
    """Check 10."""
    x, one = noised()
    (made,) = stitched(Asked(torch.clone), x, [one], method=PDDPM())
    torch.testing.assert_close(made, one.x_t)


def test_costs_four_passes():
    """Check 11."""
    method = PDDPM()
    with torch.device("meta"):
        net = UNet(1)
    x = torch.zeros(1, 1, *PLANE, device="meta")
    one = Noised(x_t=x, t=torch.zeros(1, dtype=torch.long, device="meta"))
    with FlopCounterMode(display=False) as counter:
        on_meta = Asked(lambda x_t: net(x_t, torch.zeros(len(x_t), device="meta")))
        boxes = len(method.grid(PLANE))
        on_meta(x.expand(boxes, -1, -1, -1), one.t)
    assert counter.get_total_flops() / 1e9 == pytest.approx(596, rel=0.005)


def test_slices_that_are_no_multiple_of_a_patch_are_covered():
    boxes = grid((79, 95), 48, 48)
    assert (sum(box.mask((79, 95)).int() for box in boxes) >= 1).all()
    assert [(b.x0, b.y0) for b in boxes] == [(0, 0), (47, 0), (0, 31), (47, 31)]
    assert grid((20, 96), 48, 48) == [Box(0, 0, 48, 20), Box(48, 0, 96, 20)]


def test_boxes_anywhere_are_cut_off_at_the_border():
    boxes = random_boxes((20, 30), 12, 2000, generator())
    assert max(box.x1 for box in boxes) == 30
    assert max(box.y0 for box in boxes) == 19
    assert min(box.x1 - box.x0 for box in boxes) == 1


def test_settings_that_cannot_be_are_refused():
    for setting, match in (({"stride": 60}, "gaps"), ({"target": "eps"}, "noise")):
        with pytest.raises(Refused, match=match):
            build_recipe({"method": {"name": "pddpm", **setting}})


def test_same_seed_same_map(healthy):
    """Check 12."""
    fitted = TINY.fit(Training(space=healthy[0].space, healthy=healthy), FabricRun(device="cpu"))
    first = fitted.score(healthy[0]).values
    np.testing.assert_array_equal(fitted.score(healthy[0]).values, first)
    assert (replace(fitted, seed=5).score(healthy[0]).values != first).any()
