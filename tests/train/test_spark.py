"""SparK's task: the numbers in brackets are the acceptance checks of its specification."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.method import Stage, Training
from hale.core.run import Precision
from hale.core.scan import Contrast, Scan, Space
from hale.nets.resnet import ResNet, enlarged, fill_encoder
from hale.nets.spark import MaskedAutoEncoder
from hale.nets.state import arrays
from hale.train.learn import held_out_loss
from hale.train.run import FabricRun
from hale.train.slices import axial
from hale.train.spark import Hiding, SparK, drawn, hidden_error

TINY = SparK(width=4, blocks=(1, 1, 1, 1), lr=1e-2, batch=2, steps=3, validate_every=2)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scan(seed: int, plane: tuple[int, int] = (64, 64)) -> Scan:
    """An ellipse of brain, brighter on one side, in three slices."""
    shape = (*plane, 3)
    space = Space(slots=((Contrast.T1W,),), grid=Grid(shape=shape, affine=np.eye(4)))
    i, j, _ = np.indices(shape) / np.array(shape)[:, None, None, None]
    brain = (i - 0.5) ** 2 + (j - 0.5) ** 2 < 0.2
    bright = np.random.default_rng(seed).uniform(0.3, 0.7)
    image = ((bright + 0.3 * i) * brain)[None].astype(np.float32)
    return Scan(id=str(seed), space=space, image=image, brain=brain)


def training(plane: tuple[int, int] = (64, 64)) -> Training:
    scans = [scan(seed, plane) for seed in range(4)]
    return Training(space=scans[0].space, healthy=scans[:3], held_out=scans[3:])


def fitted(stage: SparK, *, seed: int = 0, plane: tuple[int, int] = (64, 64), folder=None) -> dict:
    run = FabricRun(device="cpu", precision=Precision.FULL, seed=seed, folder=folder)
    return dict(stage.fit(training(plane), run))


def test_defaults_are_the_specified_ones():
    stage = SparK()
    assert isinstance(stage, Stage)
    assert (stage.lr, stage.weight_decay, stage.mask_ratio) == (1e-4, 0.05, 0.65)
    assert (stage.steps, stage.batch, stage.drop) == (14_400, 32, 0.05)
    assert (stage.width, stage.blocks) == (64, (3, 4, 6, 3))
    assert stage.hiding is Hiding.BRAIN
    assert stage.same_masks


@pytest.mark.parametrize(
    ("ratio", "cells", "seen"), [(0.65, 9, 3), (0.65, 30, 10), (0.01, 4, 3), (0.99, 4, 1)]
)
def test_so_many_cells_are_seen_but_never_none_or_all(ratio, cells, seen):
    assert SparK(mask_ratio=ratio).seen_of(cells) == seen


def test_each_mask_shows_three_of_nine_cells_each_of_them_as_often():
    """[2]"""
    stage = SparK(hiding=Hiding.ANY)
    active = stage.masks(torch.zeros(10_000, 1, 96, 96, dtype=torch.bool), draw())
    assert active.shape == (10_000, 1, 3, 3)
    assert active.sum((1, 2, 3)).unique().tolist() == [3]
    often = active.float().mean(0)
    torch.testing.assert_close(often, torch.full((1, 3, 3), 1 / 3), rtol=0, atol=0.015)


def test_masks_have_brain_on_both_sides_where_there_is_enough():
    brain = torch.zeros(300, 1, 96, 96, dtype=torch.bool)
    brain[:100, :, 20:40, 40] = True  # in two cells
    brain[100:200, :, 50, 50] = True  # in one alone: any mask will do
    active = SparK().masks(brain, draw())
    assert active.sum((1, 2, 3)).unique().tolist() == [3]
    seen = enlarged(active, brain.float())
    for n in range(100):
        assert (brain[n] & seen[n]).any()
        assert (brain[n] & ~seen[n]).any()
    free = SparK(hiding=Hiding.ANY).masks(brain, draw())
    both = (free[:100, 0, 0, 1] != free[:100, 0, 1, 1]).float().mean()
    assert 0.3 < float(both) < 0.7  # as chance has it: 1/2


def test_masks_are_those_of_the_generator():
    brain = scan(0).brain.transpose(2, 0, 1)[:, None]
    given = torch.from_numpy(np.ascontiguousarray(brain))
    assert torch.equal(SparK().masks(given, draw(3)), SparK().masks(given, draw(3)))


@pytest.mark.parametrize(("plane", "cells"), [((79, 95), (3, 3)), ((157, 189), (5, 6))])
def test_a_slice_of_any_size_has_whole_cells(plane, cells):
    brain = torch.ones(2, 1, *plane, dtype=torch.bool)
    active = SparK().masks(brain, draw())
    assert active.shape == (2, 1, *cells)
    x = torch.rand(2, 1, *plane)
    assert hidden_error(x, x, active) == 0


def test_what_is_seen_is_not_judged():
    """[7]"""
    x, x_hat = torch.rand(4, 2, 96, 96), torch.rand(4, 2, 96, 96)
    active = drawn(torch.Size((4, 1, 3, 3)), 3, draw())
    where = enlarged(active, x)
    loss = hidden_error(x_hat, x, active)
    assert torch.equal(hidden_error(x_hat + 5 * where, x, active), loss)
    assert hidden_error(x_hat + 5 * ~where, x, active) > loss


def test_an_error_of_c_wherever_it_is_hidden_costs_its_square():
    """[8]"""
    x, active = torch.rand(4, 1, 96, 96), drawn(torch.Size((4, 1, 3, 3)), 3, draw())
    x_hat = x + 0.3 * ~enlarged(active, x)
    assert float(hidden_error(x_hat, x, active)) == pytest.approx(0.09, rel=1e-4)


def test_each_hidden_cell_counts_alike():
    """An error of 1 in one of the six hidden cells, 0 in the others: 1/6."""
    x, active = torch.zeros(1, 1, 96, 96), torch.zeros(1, 1, 3, 3, dtype=torch.bool)
    active[..., 0, :] = True
    x_hat = x.clone()
    x_hat[..., 32:64, :32] = 1
    assert float(hidden_error(x_hat, x, active)) == pytest.approx(1 / 6)


def test_gives_an_encoder_that_fills_another_methods():
    """[11]"""
    state = fitted(TINY)
    encoder = ResNet(1, out=5, width=4, blocks=(1, 1, 1, 1))
    assert set(state) == {n for n in arrays(encoder) if not n.startswith("fc.")}
    assert fill_encoder(encoder, state) == ["fc.weight", "fc.bias"]
    for name, array in arrays(encoder).items():
        assert name.startswith("fc.") or np.array_equal(array, state[name]), name


def test_the_seed_decides_and_nothing_else():
    first, again, other = (fitted(TINY, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["conv1.weight"], other["conv1.weight"])


def test_learns_to_fill_in_what_it_does_not_see(tmp_path):
    given = training()
    run = FabricRun(device="cpu", precision=Precision.FULL, folder=tmp_path, seed=0)
    replace(TINY, width=8, lr=3e-3, batch=8, steps=40, validate_every=10).fit(given, run)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    looks = [json.loads(line)["held_out"] for line in lines if "held_out" in line]
    assert looks[-1] < 0.5 * looks[0]


def test_held_out_slices_are_hidden_in_the_same_way_each_time_or_not():
    net = MaskedAutoEncoder(ResNet(1, width=4, blocks=(1, 1, 1, 1)), 1)
    slices = axial([scan(0), scan(1)])

    def look(stage: SparK) -> float:
        return held_out_loss(net, slices, stage.loss, device="cpu")

    assert look(SparK()) == look(SparK())
    random = SparK(same_masks=False)
    first = look(random)
    torch.manual_seed(7)  # a run that goes on has drawn other numbers before
    assert look(random) == first
    masks = []
    net.register_forward_pre_hook(lambda _, args: masks.append(args[1]))
    look(random)
    with torch.no_grad():
        next(net.parameters()).mul_(1.01)  # has learnt more
    look(random)
    before, after = masks[: len(masks) // 2], masks[len(masks) // 2 :]
    assert any((one != other).any() for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("plane", [(79, 95), (40, 20)])
def test_slices_need_not_be_of_whole_cells(plane):
    assert fitted(SparK(width=4, blocks=(1, 1, 1, 1), batch=2, steps=1), plane=plane)


def test_a_slice_of_one_cell_is_refused():
    with pytest.raises(Refused, match=r"slices of 32 x 20 pixels: are one cell of 32 x 32"):
        fitted(TINY, plane=(32, 20))


def test_learns_in_bfloat16():
    run = FabricRun(device="cpu", precision=Precision.BF16)
    state = TINY.fit(training(), run)
    assert all(np.isfinite(array).all() for array in state.values())
