"""The moving average of a network's weights along its training: steadier than the last ones.

References: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging", DOI
10.1137/0330046; exponential, as for diffusion models in Ho, Jain and Abbeel 2020, arXiv:2006.11239
(decay 0.9999), with the warm-up of TensorFlow's ``ExponentialMovingAverage``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Averaged:
    """Keeps w' = d w' + (1 - d) w of each parameter w; what is no parameter is as it is now.

    d is the decay, but no more than (1 + n) / (10 + n) at the n-th update, from 0: the first
    weights, which are random, are soon forgotten.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.weights = copied(net)

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Take the weights of ``net``, on its device, into the average."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        now = dict(net.named_parameters())
        torch._foreach_lerp_([self.weights[name] for name in now], list(now.values()), 1 - decay)
        for name, buffer in net.named_buffers():
            if name in self.weights:  # the others are not kept
                self.weights[name].copy_(buffer)

    def give_to(self, net: nn.Module) -> None:
        """Load the average into ``net``, in place."""
        net.load_state_dict(self.weights)

    @contextmanager
    def within(self, net: nn.Module) -> Iterator[None]:
        """Let ``net`` have the average inside the block, and its own weights again after it."""
        own = copied(net)
        self.give_to(net)
        try:
            yield
        finally:
            net.load_state_dict(own)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"updates": self.updates, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self.updates = state["updates"]
        for name, tensor in self.weights.items():
            tensor.copy_(state["weights"][name])


def copied(net: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the weights of ``net``, on its device."""
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
