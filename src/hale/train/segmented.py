"""The detector of SADM: how scan and picture differ, and what a segmenter makes of it.

Reference: Behrendt et al. 2024, "Combining reconstruction-based unsupervised anomaly detection with
supervised segmentation for brain MRIs", MIDL, PMLR 250:87-102,
https://openreview.net/forum?id=iWfUcg4FrD
"""

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from hale.core.anomaly import AnomalyMap
from hale.core.method import BASE, State
from hale.core.run import Precision
from hale.core.scan import Scan
from hale.core.types import Image, Map
from hale.nets.blocks import to_channels_last
from hale.nets.state import arrays
from hale.post.edges import median
from hale.post.settings import DataRange
from hale.post.ssim import range_of, similarity
from hale.train.denoiser import Denoiser, refuse_levels
from hale.train.device import arithmetic
from hale.train.slices import BATCH, axial

MEDIAN = 5
"""Width of the median filter of the unsupervised part, voxels along each axis."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmented:
    """A segmenter and the diffusion model that it builds on; it owns copies of both networks."""

    net: nn.Module
    """Says from a residual and the slice that it belongs to what the log odds of anomaly are."""
    base: Denoiser
    """Goes where the segmenter goes, and draws by the same seed."""
    at: tuple[int, ...]
    """Levels that a scan is restored from."""
    data_range: DataRange = DataRange.ONE
    balance: float | None = None
    """Weight of the unsupervised part; None: the plain sum."""
    device: str = "cpu"
    precision: Precision = Precision.FULL
    seed: int = 0

    def __post_init__(self) -> None:
        """Take copies, and place them."""
        refuse_levels(self.at, self.base.diffusion.count)
        net = to_channels_last(deepcopy(self.net), self.device)
        base = replace(self.base, device=self.device, precision=self.precision, seed=self.seed)
        object.__setattr__(self, "net", net.eval())
        object.__setattr__(self, "base", base)

    def score(self, scan: Scan) -> AnomalyMap:
        """Return the sum of structural difference and probability, both means over the levels."""
        pictures = self._pictures(scan)
        x_hat = pictures.mean(0)
        p = np.mean([self.probability(scan, picture) for picture in pictures], axis=0)
        values = self.combined(scan, x_hat, p)
        return AnomalyMap(values=values, brain=scan.brain, pseudo_healthy=x_hat)

    def reconstruct(self, scan: Scan, *, draw: int = 0, level: int | None = None) -> Image:
        """Return the mean of the base's pictures from the levels, or its picture from one."""
        if level is not None:
            return self.base.reconstruct(scan, draw=draw, level=level)
        x_hat: Image = self._pictures(scan, draw).mean(0)
        return x_hat

    def probability(self, scan: Scan, x_hat: Image) -> Map:
        """Return how sure the segmenter is of each voxel to be abnormal, 0 outside the brain."""
        residual = axial([replace(scan, image=scan.image - x_hat)]).x
        slices = axial([scan])
        parts: list[Tensor] = []
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            for which in torch.arange(len(slices)).split(BATCH):
                batch = slices[which].to(self.device)
                logits: Tensor = self.net(residual[which].to(batch.x), batch.x)
                parts.append(logits.float().sigmoid().cpu())
        p: Map = np.zeros_like(scan.image[0])
        p[..., scan.brain.any((0, 1))] = torch.cat(parts)[:, 0].permute(1, 2, 0).numpy()
        p[~scan.brain] = 0
        return p

    def combined(self, scan: Scan, x_hat: Image, p: Map) -> Map:
        """Return the score of a picture and a probability: median5((1 - SSIM) M) M + p M.

        The similarity is in 3-D, in a Gaussian window of 2 mm, mean over contrasts.
        """
        apart: Map = np.zeros_like(p)
        for x, picture in zip(scan.image, x_hat, strict=True):
            width = range_of(x, picture, self.data_range)
            alike = similarity(x, picture, scan.space.grid, data_range=width)
            apart += ((1 - alike) / len(x_hat)).astype(np.float32)
        apart = median(apart * scan.brain, scan.brain, width=MEDIAN)
        ours, theirs = (1, 1) if self.balance is None else (self.balance, 1 - self.balance)
        total: Map = (ours * apart + theirs * p * scan.brain).astype(np.float32)
        return total

    def state(self) -> State:
        """Return the weights of both networks."""
        below = {f"{BASE}{name}": array for name, array in self.base.state().items()}
        return {**arrays(self.net), **below}

    def _pictures(self, scan: Scan, draw: int = 0) -> Float32[np.ndarray, "levels c i j k"]:
        """Return what the base restores from each level."""
        return np.stack([self.base.reconstruct(scan, draw=draw, level=level) for level in self.at])
