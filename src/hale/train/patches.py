"""Square patches of one grey value over slices: what a context encoder has to paint over."""

from enum import StrEnum

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

MOST = 2
"""Squares drawn for a slice: 0, 1 or 2, each as likely."""


class Squares(StrEnum):
    """What becomes of two squares."""

    MERGED = "merged"
    """Both are there; each slice's grey value lies between its own extremes."""
    SINGLE = "single"
    """The last one alone, as in the public code; grey values between the batch's extremes."""


def corrupted(
    x: Float[Tensor, "b c i i"], squares: Squares, draw: Generator
) -> Float[Tensor, "b c i i"]:
    """Return slices under 0 to 2 squares of one grey value each.

    Chatterjee et al. 2022, arXiv:2201.13271, and its public code: the edge is one of 0 ... i/2 - 1,
    the same for both squares of a slice, so a third of the slices and a few more stay clean.

    Args:
        x: Slices; left alone.
        squares: What becomes of two.
        draw: On the CPU, whatever the device of ``x``.
    """
    if squares is Squares.MERGED:
        low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    else:
        low, high = x.min(), x.max()
    covered = covers(len(x), x.shape[-1], squares, draw).to(x.device)
    grey = torch.rand(len(x), x.shape[1], 1, 1, generator=draw).to(x.device)
    return torch.where(covered, low + grey * (high - low), x)


def covers(count: int, size: int, squares: Squares, draw: Generator) -> Bool[Tensor, "b 1 i i"]:
    """Return where the squares of ``count`` slices are; a corner lies in [0, size - edge).

    Args:
        count: Slices.
        size: Of a slice, pixels.
        squares: What becomes of two.
        draw: On the CPU.
    """
    number = torch.randint(MOST + 1, (count, 1), generator=draw)
    edge = torch.randint(size // 2, (count, 1, 1), generator=draw)
    share = torch.rand(count, MOST, 2, generator=draw)
    corner = (share * (size - edge)).long()  # b square axis
    at = torch.arange(size)
    inside = (at >= corner[..., None]) & (at < (corner + edge)[..., None])  # b square axis i
    each = inside[:, :, 0, :, None] & inside[:, :, 1, None, :]  # b square i i
    there = torch.arange(MOST) < number
    if squares is Squares.SINGLE:  # each square starts from an empty mask: the last one survives
        there = torch.arange(MOST) == number - 1
    return (each & there[..., None, None]).any(1, keepdim=True)
