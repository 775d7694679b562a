"""U-Net of the diffusion methods.

Reference: Dhariwal and Nichol 2021, "Diffusion models beat GANs on image synthesis",
arXiv:2105.05233, in the sizes of Behrendt et al. 2023, "Patched diffusion models for unsupervised
anomaly detection in brain MRI", MIDL, arXiv:2303.03758, and with the condition of Behrendt et al.
2025, DOI 10.1016/j.compbiomed.2025.109660.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from functools import partial
from math import log

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hale.core.errors import Refused
from hale.nets.blocks import padded
from hale.nets.unet_blocks import Resample, ResidualBlock, norm, zeroed

MAX_PERIOD = 10_000.0
"""Of the time embedding: periods grow from 2 pi to just below 2 pi times this."""


class Embedding(StrEnum):
    """How a block is told the time and the condition."""

    ADDITIVE = "additive"
    """Added before the second norm: the public code of Behrendt et al. 2023."""
    SCALE_SHIFT = "scale_shift"
    """Scales and shifts what the second norm returns: that of Behrendt et al. 2025."""


@dataclass(eq=False, repr=False)
class UNet(nn.Module):
    """From a noisy slice, a time and a condition to a slice; exactly 0 before training.

    It has 37,513,857 parameters, 34,493,313 with an additive embedding, and 44,068,481 with a
    condition of 512 numbers; a slice of 96 x 96 takes 149.1 GFLOP.
    """

    channels: int
    """Of a slice."""
    _: KW_ONLY
    width: int = 128
    """Channels at full resolution; even."""
    multipliers: tuple[int, ...] = (1, 2, 2)
    """Channels of each level, in widths; each level has half the rows and columns."""
    blocks: int = 3
    """Residual blocks at a level of the encoder; the decoder has one more."""
    embedding: Embedding = Embedding.SCALE_SHIFT
    condition: int = 0
    """Numbers in the condition of a slice; 0: there is none."""
    condition_mlp: bool = True
    """Whether two linear layers bring the condition to the size of the time's embedding."""
    attention: tuple[int, ...] = ()
    """Pixels along a side at which every block attends; the middle of the network always does."""
    size: int = 96
    """Pixels along the side of a slice that ``attention`` is told for; any other is taken too."""
    checkpointing: bool = False
    """Whether training computes activations once more rather than keep them."""

    def __post_init__(self) -> None:
        """Build the layers.

        Raises:
            Refused: No level has a side of ``attention``.
        """
        super().__init__()
        self.multiple = 2 ** (len(self.multipliers) - 1)
        told = 4 * self.width
        self.time = _mlp(self.width, told)
        if self.condition:
            self.given = _mlp(self.condition, told) if self.condition_mlp else nn.Identity()
            told += told if self.condition_mlp else self.condition
        make = partial(ResidualBlock, scales=self.embedding is Embedding.SCALE_SHIFT)
        levels = [*self._levels()]
        self.stem = nn.Conv2d(self.channels, self.width, 3, padding=1)
        self.encoder, skips = nn.ModuleList(), [self.width]
        for go, attends in levels:
            if len(skips) > 1:
                self.encoder.append(make(skips[-1], skips[-1], told, resample=Resample.HALVE))
                skips.append(skips[-1])
            for _ in range(self.blocks):
                self.encoder.append(make(skips[-1], go, told, attends=attends))
                skips.append(go)
        h = skips[-1]
        self.middle = nn.ModuleList([make(h, h, told, attends=True), make(h, h, told)])
        self.decoder = nn.ModuleList()
        for go, attends in reversed(levels):
            for _ in range(self.blocks + 1):
                self.decoder.append(make(h + skips.pop(), go, told, attends=attends))
                h = go
            if skips:
                self.decoder.append(make(h, h, told, resample=Resample.DOUBLE))
        head = zeroed(nn.Conv2d(h, self.channels, 3, padding=1))
        self.head = nn.Sequential(norm(h), nn.SiLU(), head)

    def forward(
        self,
        x: Float[Tensor, "b c i j"],
        t: Real[Tensor, " b"],
        condition: Float[Tensor, "b d"] | None = None,
    ) -> Float[Tensor, "b c i j"]:
        """Return what it takes the target to be.

        Args:
            x: Noisy slices.
            t: Index of the noise level of each, from 0.
            condition: Of each, if the network has one.
        """
        i, j = x.shape[-2:]
        e = self._embedded(t, condition)
        h = self.stem(padded(x.to(self.stem.weight.dtype), self.multiple))
        skips = [h]
        for block in self.encoder:
            h = self._through(block, h, e)
            skips.append(h)
        for block in self.middle:
            h = self._through(block, h, e)
        for block in self.decoder:
            doubles = isinstance(block, ResidualBlock) and block.resample is Resample.DOUBLE
            h = self._through(block, h if doubles else torch.cat([h, skips.pop()], 1), e)
        y: Tensor = self.head(h)
        return y[..., :i, :j]

    def _levels(self) -> Iterator[tuple[int, bool]]:
        """Yield the channels of each level, and whether its blocks attend."""
        side = self.size + -self.size % self.multiple
        sides = [side >> n for n in range(len(self.multipliers))]
        if foreign := sorted(set(self.attention) - set(sides)):
            why = f"the levels of a slice of {self.size} have {', '.join(map(str, sides))} pixels"
            raise Refused(f"attention at {foreign[0]} pixels", why, "take some of those, or none")
        for multiplier, side in zip(self.multipliers, sides, strict=True):
            yield self.width * multiplier, side in self.attention

    def _embedded(self, t: Tensor, condition: Tensor | None) -> Float[Tensor, "b e"]:
        """Return the embedding of time and condition, in the type of the weights."""
        if (condition is None) is bool(self.condition):
            raise ValueError(f"the network has a condition of {self.condition} numbers")
        dtype = self.stem.weight.dtype
        with _exact(t.device.type):
            e: Tensor = self.time(sinusoid(t, self.width).to(dtype))
            return e if condition is None else torch.cat([e, self.given(condition.to(dtype))], 1)

    def _through(self, block: Callable[..., Tensor], h: Tensor, e: Tensor) -> Tensor:
        """Return ``block`` of ``h``."""
        if self.checkpointing and torch.is_grad_enabled():
            again: Tensor = checkpoint(block, h, e, use_reentrant=False)
            return again
        return block(h, e)


def sinusoid(t: Real[Tensor, " b"], count: int) -> Float[Tensor, "b n"]:
    """Return cosines, then sines, of ``t``, float32: half of ``count`` numbers each.

    cos(t f_k) with f_k = 10000^(-k / 64) for k = 0 to 63, if ``count`` is 128.
    """
    k = torch.arange(count // 2, dtype=torch.float32, device=t.device)
    angle = t.float()[:, None] * torch.exp(-log(MAX_PERIOD) * k / (count // 2))
    return torch.cat([angle.cos(), angle.sin()], 1)


def _exact(device: str) -> AbstractContextManager[object]:
    """Return the context in which autocast leaves types as they are; ``meta`` has none."""
    can = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if can else nullcontext()


def _mlp(come: int, go: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(come, go), nn.SiLU(), nn.Linear(go, go))
