"""The squares that are painted over, as published and as they were meant."""

import pytest
import torch
from scipy.ndimage import label

from hale.train.patches import Squares, corrupted, covers

CLEAN = 1 - 2 / 3 * 127 / 128
"""Chance of no square in a slice of 256."""


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pieces(mask: torch.Tensor) -> int:
    return label(mask.numpy())[1]


@pytest.mark.parametrize("squares", list(Squares))
def test_a_third_of_the_slices_stays_clean(squares):
    mask = torch.cat([covers(500, 256, squares, draw(n)) for n in range(16)])
    clean = 1 - float(mask.any((1, 2, 3)).float().mean())
    assert clean == pytest.approx(CLEAN, abs=0.015)
    assert pytest.approx(0.339, abs=0.001) == CLEAN


def test_a_published_slice_has_one_square_at_most():
    mask = covers(2000, 256, Squares.SINGLE, draw())[:, 0]
    rows, columns = mask.any(2).sum(1), mask.any(1).sum(1)
    assert torch.equal(rows, columns)  # a square
    assert torch.equal(mask.sum((1, 2)), rows * columns)  # and nothing else
    assert rows.max() <= 127
    assert not mask[:, -1].any()
    assert not mask[:, :, -1].any()


def test_merged_squares_are_sometimes_two():
    mask = covers(500, 256, Squares.MERGED, draw())[:, 0]
    assert {pieces(one) for one in mask} == {0, 1, 2}
    assert not mask[:, -1].any()


def test_both_squares_of_a_slice_are_alike():
    for one in covers(200, 256, Squares.MERGED, draw())[:, 0]:
        labels, count = label(one.numpy())
        if count == 2:
            assert (labels == 1).sum() == (labels == 2).sum()


def test_outside_the_squares_nothing_changes():
    x = 1 + torch.rand(300, 2, 32, 32, generator=draw(1))
    found = corrupted(x, Squares.MERGED, draw())
    mask = covers(300, 32, Squares.MERGED, draw()).expand_as(x)
    assert torch.equal(found[~mask], x[~mask])
    assert (found != x)[mask].float().mean() > 0.99


def test_a_fill_of_zero_counts():
    """A square of zeros erases what it covers: it is told by a mask, not by its values."""
    x = torch.rand(300, 1, 32, 32, generator=draw(1)) + 1
    x[:, :, -1] = 0  # never covered: each slice's lowest value
    x[:, :, :-1] *= 1e-3 / x[:, :, :-1].amax((2, 3), keepdim=True)
    mask = covers(300, 32, Squares.MERGED, draw())
    found = corrupted(x, Squares.MERGED, draw())
    lowest = found.masked_fill(~mask, 1).amin((1, 2, 3))
    covered = mask.any((1, 2, 3))
    assert (lowest[covered] < 1e-4).any()  # close to 0, and there all the same
    assert torch.equal(found.masked_fill(mask, 0), x.masked_fill(mask, 0))


def test_merged_fills_lie_within_their_slice_published_ones_within_the_batch():
    x = torch.rand(400, 1, 32, 32, generator=draw(1))
    x[::2] += 10
    merged = corrupted(x, Squares.MERGED, draw())
    assert (merged[::2] >= 10).all()
    assert (merged[1::2] <= 1).all()
    single = corrupted(x, Squares.SINGLE, draw())
    assert (single[::2] < 10).any()
    assert (single[1::2] > 1).any()


def test_the_slices_are_left_alone_and_a_seed_repeats():
    x = torch.rand(8, 1, 32, 32)
    before = x.clone()
    first = corrupted(x, Squares.MERGED, draw())
    assert torch.equal(x, before)
    assert torch.equal(first, corrupted(x, Squares.MERGED, draw()))
    assert not torch.equal(first, corrupted(x, Squares.MERGED, draw(1)))
