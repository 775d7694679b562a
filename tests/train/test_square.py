"""Slices on a square about the brain and back; augmentation."""

import numpy as np
import pytest
import torch

from hale.train.augment import NONE, Augmentation
from hale.train.square import square_about

torch.set_num_threads(1)


def brain(shape: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[4:-6, 3:-2] = True
    return mask


@pytest.mark.parametrize("shape", [(40, 56, 3), (157, 189, 1), (30, 9, 2)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 3.0)])
def test_there_and_back_is_where_it_was(shape, spacing):
    square = square_about(brain(shape), spacing, 256)
    i, j = np.indices(shape[:2])
    ramp = torch.from_numpy((0.3 + i / shape[0] + j / shape[1]).astype("f4"))
    back = square.paste(square.cut(ramp[None, None]))[0, 0]
    inside = brain(shape)[..., 0]
    inner = inside.copy()
    inner[:6] = inner[-8:] = False
    inner[:, :5] = inner[:, -5:] = False  # where the slice ends the square holds 0
    if inner.any():
        torch.testing.assert_close(back[inner], ramp[inner], rtol=0, atol=0.02)


def test_the_square_is_square_in_mm_and_holds_the_brain():
    square = square_about(brain((40, 20, 3)), (1.0, 3.0), 128)
    sides = np.array(square.extent) * (1.0, 3.0)
    assert abs(sides[0] - sides[1]) <= 3
    first, last = np.array(square.start), np.array(square.start) + square.extent
    assert (first <= (4, 3)).all()
    assert (last >= (34, 18)).all()


def test_augmentation_turns_mirrors_and_brightens_within_bounds():
    x = torch.zeros(400, 1, 33, 33)
    x[:, :, 4:7, 15:18] = 1.0  # on the left (low i), in the middle of j
    draw = torch.Generator().manual_seed(0)
    y = Augmentation(rotate_deg=10.0, flip=True, gain=0.1).of(x, draw)
    mass = y.flatten(2).sum(2)
    i = (y.sum(3) * torch.arange(33)).sum(2) / mass - 16
    j = (y.sum(2) * torch.arange(33)).sum(2) / mass - 16
    angle = torch.atan2(j, i.abs()).rad2deg()
    assert 8 < angle.abs().max() < 10.5
    assert 0.4 < (i > 0).float().mean() < 0.6
    assert y.max() < 1.11
    assert y.flatten(1).max(1).values.std() > 0.02


def test_no_augmentation_returns_what_came():
    x = torch.rand(2, 1, 8, 8)
    assert NONE.of(x, torch.Generator()) is x
