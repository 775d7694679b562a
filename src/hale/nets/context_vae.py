"""Compact convolutional VAE without norms and biases; weights as the public StRegA ones are named.

Reference: Chatterjee et al. 2022, "StRegA: Unsupervised anomaly detection in brain MRIs using a
compact context-encoding variational autoencoder", Computers in Biology and Medicine, 106093,
DOI 10.1016/j.compbiomed.2022.106093, arXiv:2201.13271; github.com/soumickmj/StRegA.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from hale.core.method import State, refuse_foreign_state

LOG_SIGMA = 10.0
"""Bound of |log sigma|: exp(10) still fits into 16 bits."""
LEAK = 0.01
"""Slope of LeakyReLU below 0."""
SMALL_KERNEL = 4


class Activation(StrEnum):
    """What follows a convolution."""

    PRELU = "prelu"
    """One slope per layer, learnt from 0.25 on; the public weights."""
    LEAKY = "leaky"
    """A slope of 0.01."""


class Coded(NamedTuple):
    """What became of a batch of slices."""

    x_hat: Float[Tensor, "b c i j"]
    mu: Float[Tensor, "b z 1 1"]
    log_sigma: Float[Tensor, "b z 1 1"]


class ContextVAE(nn.Module):
    """Halve a slice level by level, squeeze what is left into ``latent`` numbers, and undo it.

    Args:
        contrasts: Channels of a slice.
        size: Edge of the square it works on, pixels; each level halves it.
        maps: Channels of the levels.
        latent: Length of z.
        kernel: Of the halving convolutions: 3, or 4 (the "ceVAE" variant).
        activation: What follows them.
    """

    def __init__(
        self,
        contrasts: int,
        *,
        size: int = 256,
        maps: tuple[int, ...] = (16, 64, 256, 1024),
        latent: int = 1024,
        kernel: int = 3,
        activation: Activation = Activation.PRELU,
    ) -> None:
        super().__init__()
        self.size, self.latent = size, latent
        end = size >> len(maps)
        down = [nn.Conv2d(a, b, kernel, 2, 1, bias=False) for a, b in pairwise((contrasts, *maps))]
        down.append(nn.Conv2d(maps[-1], 2 * latent, end, bias=False))
        up = [nn.ConvTranspose2d(latent, maps[-1], end, bias=False)]
        back = (*reversed(maps), contrasts)
        up += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False) for a, b in pairwise(back)]
        self.enc = _Half(down, activation)
        self.dec = _Half(up, activation)

    def forward(
        self, x: Float[Tensor, "b c i j"], noise: Float[Tensor, "b z"] | None = None
    ) -> Coded:
        """Return the reconstruction of slices of any size, and what it was made from.

        Args:
            x: Padded with 0, or cropped, about its middle to ``size``; the result is laid back.
            noise: Standard normal, makes z = mu + sigma * noise; None: z = mu.
        """
        mu, log_sigma = self.enc(fitted(x, (self.size, self.size))).chunk(2, 1)
        log_sigma = log_sigma.clamp(-LOG_SIGMA, LOG_SIGMA)
        z = mu if noise is None else mu + log_sigma.exp() * noise[..., None, None]
        i, j = x.shape[-2:]
        return Coded(fitted(self.dec(z), (i, j)), mu, log_sigma)


def fitted(x: Float[Tensor, "b c _ _"], plane: tuple[int, int]) -> Float[Tensor, "b c _ _"]:
    """Return slices padded with 0, or cropped, about their middle to ``plane``.

    There and back, the part that both planes hold is where it was.
    """
    sides = zip(x.shape[-2:], plane, strict=True)
    (top, bottom), (left, right) = (_margins(have, want) for have, want in sides)
    return F.pad(x, (left, right, top, bottom))


def _margins(have: int, want: int) -> tuple[int, int]:
    """Return what is added before and after, below 0 where it is cropped."""
    before = (want - have) // 2 if want > have else -((have - want) // 2)
    return before, want - have - before


class _Half(nn.Module):
    """Encoder or decoder. Even places of ``middle_blocks`` are empty, as in the public code."""

    def __init__(self, convs: Sequence[nn.Module], activation: Activation) -> None:
        super().__init__()
        first, *middle, last = convs
        self.start = _Layer(first, activation)
        self.middle_blocks = nn.ModuleList(_alternating(middle, activation))
        self.end = _Layer(last, None)

    def forward(self, x: Tensor) -> Tensor:
        x = self.start(x)
        for block in self.middle_blocks:
            x = block(x)
        y: Tensor = self.end(x)
        return y


def _alternating(convs: Sequence[nn.Module], activation: Activation) -> Iterator[nn.Module]:
    for conv in convs:
        yield nn.Identity()
        yield _Layer(conv, activation)


class _Layer(nn.Module):
    def __init__(self, conv: nn.Module, activation: Activation | None) -> None:
        super().__init__()
        self.conv = conv
        match activation:
            case Activation.PRELU:
                self.activation: nn.Module = nn.PReLU()
            case Activation.LEAKY:
                self.activation = nn.LeakyReLU(LEAK)
            case None:
                self.activation = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.conv(x))
        return y


def shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of ``net``, by name; a network on ``meta`` will do."""
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}


def adopt(net: nn.Module, state: State) -> None:
    """Make the arrays of ``state`` the weights of ``net``, on the CPU and without a copy.

    Of a network of 3 GB there is one copy then, not three; so do not alter the arrays afterwards.
    Arrays that cannot be written to, as those of `lent`, are copied.

    Args:
        net: May be on ``meta``, so that it never takes memory of its own.
        state: float32.

    Raises:
        Refused: Names the first weight that is missing, unknown or of another shape.
    """
    refuse_foreign_state(state, shapes(net))
    weights = {name: torch.from_numpy(_writable(array)) for name, array in state.items()}
    net.load_state_dict(weights, assign=True)


def _writable(array: np.ndarray) -> np.ndarray:
    """Return the array itself where it can be written to: torch wants no other."""
    return array if array.flags.writeable else array.copy()


def lent(net: nn.Module) -> State:
    """Return the weights of ``net`` as arrays that share its memory where they can; read-only."""
    state = {}
    for name, tensor in net.state_dict().items():
        array = np.ascontiguousarray(tensor.detach().float().cpu().numpy())
        view = array.reshape(tensor.shape)  # a view, so that the network itself stays writable
        view.setflags(write=False)
        state[name] = view
    return state


def moved(net: ContextVAE, device: str) -> ContextVAE:
    """Return a twin of ``net`` on ``device`` that shares the weights which are there already.

    Small kernels are laid out as convolutions like them, the large ones at the bottleneck are not:
    these would be in memory twice.
    """
    weights = {
        id(weight): nn.Parameter(_laid(weight.detach().to(device)), requires_grad=False)
        for weight in net.parameters()
    }
    return deepcopy(net, weights)


def _laid(weight: Tensor) -> Tensor:
    if weight.dim() == 4 and max(weight.shape[-2:]) <= SMALL_KERNEL:
        return weight.clone(memory_format=torch.channels_last)
    return weight.contiguous()
