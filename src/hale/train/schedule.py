"""Learning rates."""

from math import cos, pi

from torch.optim import Optimizer


def anneal(optimiser: Optimizer, *, lr: float, progress: float) -> None:
    """Set the learning rate on a half cosine from ``lr`` to 0.

    Reference: Loshchilov and Hutter 2016, arXiv:1608.03983, one period without restart.
    """
    for group in optimiser.param_groups:
        group["lr"] = lr * (1 + cos(pi * progress)) / 2
