"""Slices turned, mirrored and brightened: a single scan has few."""

from dataclasses import dataclass
from math import radians

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far a slice may be moved; each is drawn anew for every slice."""

    rotate_deg: float
    """Turned by up to so much either way."""
    flip: bool
    """Mirrored left to right, every second one."""
    gain: float
    """Multiplied by 1 minus to 1 plus so much."""

    def of(self, x: Float[Tensor, "b c i j"], draw: Generator) -> Float[Tensor, "b c i j"]:
        """Return augmented slices, on the CPU as they came."""
        if self == NONE:
            return x
        u = torch.rand(3, len(x), generator=draw)
        angle = radians(self.rotate_deg) * (2 * u[0] - 1)
        mirror = 1 - 2 * ((u[1] < 0.5) & torch.tensor(self.flip)).float()
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros(len(x))
        # grid_sample counts (j, i): left to right is i, the second
        rows = torch.stack([cos, -sin * mirror, zero, sin, cos * mirror, zero], 1)
        grid = F.affine_grid(rows.view(-1, 2, 3), list(x.shape), align_corners=False)
        turned = F.grid_sample(x, grid, align_corners=False)
        return turned * (1 + self.gain * (2 * u[2] - 1))[:, None, None, None]


NONE = Augmentation(rotate_deg=0.0, flip=False, gain=0.0)
