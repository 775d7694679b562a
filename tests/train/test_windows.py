import torch

from hale.train.slices import axial
from hale.train.windows import windows


def test_windows_are_neighbours_of_one_scan(healthy):
    found = windows(healthy[:2], 4)
    slices = axial(healthy[:2])
    count = len(slices) // 2
    assert len(found) == len(slices)
    chosen = found[torch.tensor([1, count - 1, count])]  # inside, at the end, at the next's start
    expected = [1, 2, 3, 4, *range(count - 4, count), *range(count, count + 4)]
    assert torch.equal(chosen.x, slices.x[expected])
    assert torch.equal(chosen.brain, slices.brain[expected])


def test_a_scan_shorter_than_a_window_repeats_its_last_slice(healthy):
    count = len(axial(healthy[:1]))
    chosen = windows(healthy[:2], count + 2)[torch.tensor([3])]
    expected = [*range(count), count - 1, count - 1]
    assert torch.equal(chosen.x, axial(healthy[:2]).x[expected])
