"""Residual block and attention of the U-Net of the diffusion methods.

Reference: Dhariwal and Nichol 2021, "Diffusion models beat GANs on image synthesis",
arXiv:2105.05233. On a CPU, pixels that lie channels last stay so.
"""

from enum import Enum, auto

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

GROUPS = 32
"""Of a norm, where the channels suffice."""
LEAST = 4
"""Channels of a group, as at the published width; a norm of single ones would undo what an additive
embedding adds."""
HEAD = 64
"""Channels of a head of attention."""


class Resample(Enum):
    """What a block does to rows and columns."""

    NONE = auto()
    HALVE = auto()
    """Means of 2 x 2."""
    DOUBLE = auto()
    """Nearest neighbour."""


class ResidualBlock(nn.Module):
    """Twice norm, SiLU and 3 x 3 convolution, around the embedding; the input is added.

    Args:
        come: Channels of the input.
        go: Of the output.
        embedding: Its numbers.
        scales: Whether it scales and shifts what comes out of the second norm; else it is added to
            what goes in.
        resample: What happens to rows and columns, before the first convolution.
        attends: Whether attention follows.
    """

    def __init__(
        self,
        come: int,
        go: int,
        embedding: int,
        *,
        scales: bool,
        resample: Resample = Resample.NONE,
        attends: bool = False,
    ) -> None:
        super().__init__()
        self.scales = scales
        self.resample = resample
        self.before = nn.Sequential(norm(come), nn.SiLU())
        self.first = nn.Conv2d(come, go, 3, padding=1)
        self.embed = nn.Sequential(nn.SiLU(), nn.Linear(embedding, 2 * go if scales else go))
        self.norm = norm(go)
        self.second = zeroed(nn.Conv2d(go, go, 3, padding=1))
        self.skip = nn.Identity() if come == go else nn.Conv2d(come, go, 1)
        self.attend = Attention(go) if attends else nn.Identity()

    def forward(
        self, x: Float[Tensor, "b c i j"], e: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b d _ _"]:
        """Return what is made of ``x``, told ``e``."""
        h = self.first(_resampled(self.before(x), self.resample))
        told = self.embed(e).to(h.dtype)[..., None, None]
        if self.scales:
            g, b = told.chunk(2, 1)
            h = torch.addcmul(b, self.norm(h), 1 + g)
        else:
            h = self.norm(h + told)
        x = self.skip(_resampled(x, self.resample))
        y: Tensor = self.attend(x + self.second(F.silu(h)))
        return y


class Attention(nn.Module):
    """Each pixel attends to all, in heads of 64 channels, or in one; the input is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = channels // HEAD if channels % HEAD == 0 else 1
        self.norm = norm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.project = zeroed(nn.Linear(channels, channels))

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b c i j"]:
        """Return ``x`` and what its pixels tell each other."""
        qkv = self.qkv(self.norm(x).flatten(2).transpose(1, 2))
        q, k, v = qkv.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        told = F.scaled_dot_product_attention(q, k, v)  # divides by 8 for 64 channels
        told = self.project(told.transpose(1, 2).flatten(2))
        y: Tensor = x + told.transpose(1, 2).unflatten(2, x.shape[2:])
        return y


def norm(channels: int) -> nn.GroupNorm:
    """Return a norm of 32 groups, or of the most below that are alike and have four channels.

    64 channels make 16 groups, 48 make 12, and 7 make one.
    """
    most = max(1, min(GROUPS, channels // LEAST))
    return nn.GroupNorm(max(n for n in range(1, most + 1) if channels % n == 0), channels)


def zeroed(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    """Return ``layer`` with weights 0: what it is added to begins as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _resampled(x: Tensor, how: Resample) -> Tensor:
    if how is Resample.HALVE:
        return F.avg_pool2d(x, 2)
    return F.interpolate(x, scale_factor=2.0) if how is Resample.DOUBLE else x
