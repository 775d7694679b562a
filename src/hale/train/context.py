"""The detector of the context-encoding VAE: slices restored, and the difference read."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Generator, Tensor

from hale.core.anomaly import AnomalyMap
from hale.core.errors import Refused
from hale.core.method import State
from hale.core.run import Precision
from hale.core.scan import Scan
from hale.core.types import Image, Mask
from hale.nets.context_vae import ContextVAE, fitted, lent, moved
from hale.post.published import corrected_mask, published_mask
from hale.train.device import arithmetic
from hale.train.run import mixed
from hale.train.slices import BATCH

Square = Float32[np.ndarray, "contrast s s k"]
"""A scan on the square that the network works on."""
SquareMap = Float32[np.ndarray, "s s k"]
SquareMask = Bool[np.ndarray, "s s k"]


class Residue(StrEnum):
    """Which differences count."""

    BELOW = "signed+"
    """x_hat - x above 0: what is lower than it should be, such as fluid in place of white."""
    ABOVE = "signed-"
    """x - x_hat above 0."""
    BOTH = "abs"


class Decision(StrEnum):
    """What the anomaly map is."""

    SCORE = "score"
    """The difference; calibration draws the mask."""
    OTSU = "otsu"
    """The difference where it is above Otsu's threshold in the brain, in components of
    ``min_area`` mm²; 0 elsewhere."""
    PUBLISHED = "published"
    """The difference within the mask of the public code, step by step; 0 elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a difference becomes an anomaly map."""

    residual: Residue = Residue.BELOW
    decision: Decision = Decision.SCORE
    min_area: float = 256.0
    sampled: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class ContextRestorer:
    """A `ContextVAE` that restores a scan; it shares the weights of ``net``, which stay as is."""

    net: ContextVAE
    reading: Reading
    device: str = "cpu"
    precision: Precision = Precision.FULL
    seed: int = 0

    def __post_init__(self) -> None:
        """Place the network, without a second copy of weights that are there already."""
        object.__setattr__(self, "net", moved(self.net, self.device).eval())

    def score(self, scan: Scan) -> AnomalyMap:
        """Return the difference as `Reading` says, mean over contrasts, 0 outside the brain."""
        x, x_hat = self._passed(scan, draw=0)
        d = self._decided(difference(x, x_hat, self.reading.residual), x.mean(0), scan)
        return AnomalyMap(
            values=_laid_back(d[None], scan)[0] * scan.brain,
            brain=scan.brain,
            pseudo_healthy=self._shown(x_hat, scan),
        )

    def reconstruct(self, scan: Scan, *, draw: int = 0, level: int | None = None) -> Image:
        """Return x_hat of z = mu for ``draw`` 0 (unless z is sampled), else of a drawn z."""
        return self._shown(self._passed(scan, draw=draw)[1], scan)

    @property
    def has_decided(self) -> bool:
        """Say whether the map is a mask's."""
        return self.reading.decision is not Decision.SCORE

    def state(self) -> State:
        """Return the weights, read-only."""
        return lent(self.net)

    def _passed(self, scan: Scan, *, draw: int) -> tuple[Square, Square]:
        """Return the scan and what the network makes of it, on the square that it works on.

        Slices without brain stay 0, but for the published decision, whose threshold sees them.
        """
        net = self.net
        refuse_cut(scan, net.size)
        offset, scale = self._scale(scan)
        slices = torch.from_numpy(np.moveaxis((scan.image - offset) / scale, -1, 0).copy())
        x = fitted(slices, (net.size, net.size))  # k c s s
        x_hat = torch.zeros_like(x)
        published = self.reading.decision is Decision.PUBLISHED
        levels = torch.from_numpy(np.flatnonzero(scan.brain.any((0, 1)) | published))
        noise = self._noise(scan, len(levels), draw)
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            for part in torch.arange(len(levels)).split(BATCH):
                drawn = None if noise is None else noise[part].to(self.device)
                made = net(x[levels[part]].to(self.device), drawn).x_hat
                x_hat[levels[part]] = made.float().cpu()
        return np.moveaxis(x.numpy(), 0, -1), np.moveaxis(x_hat.numpy(), 0, -1)

    def _noise(self, scan: Scan, count: int, draw: int) -> Float[Tensor, "n z"] | None:
        """Return what makes z of mu and sigma; None: nothing, z is mu."""
        if not (draw or self.reading.sampled):
            return None
        seed = mixed(self.seed, int(scan.content[:16], 16), draw)
        return torch.randn(count, self.net.latent, generator=Generator().manual_seed(seed))

    def _decided(self, d: SquareMap, x: SquareMap, scan: Scan) -> SquareMap:
        """Return the differences that the decision leaves."""
        if self.reading.decision is Decision.SCORE:
            return d
        if self.reading.decision is Decision.PUBLISHED:
            mask = published_mask(d, x, min_pixels=self.reading.min_area)
        else:
            i, j, _ = scan.space.grid.spacing
            brain = _laid_out(scan.brain, d.shape[0])
            mask = corrected_mask(d, brain, min_pixels=self.reading.min_area / (i * j))
        decided: SquareMap = d * mask
        return decided

    def _shown(self, x_hat: Square, scan: Scan) -> Image:
        """Return x_hat in the scan's own intensities, 0 outside the brain."""
        offset, scale = self._scale(scan)
        image: Image = (offset + scale * _laid_back(x_hat, scan)) * scan.brain
        return image

    def _scale(self, scan: Scan) -> tuple[np.float32, np.float32]:
        """Return what becomes 0, and the range that becomes 1: the scan's own, if published."""
        low, high = scan.image.min(), scan.image.max()
        if self.reading.decision is not Decision.PUBLISHED or low == high:
            return np.float32(0), np.float32(1)
        return low, high - low


def difference(x: Square, x_hat: Square, residual: Residue) -> SquareMap:
    """Return the differences that count, 0 or more, mean over contrasts."""
    d = x_hat - x
    match residual:
        case Residue.BELOW:
            d = d.clip(min=0)
        case Residue.ABOVE:
            d = (-d).clip(min=0)
        case Residue.BOTH:
            d = np.abs(d)
    mean: SquareMap = d.mean(0)
    return mean


def refuse_cut(scan: Scan, size: int) -> None:
    """Refuse a scan whose brain does not fit into the square about the middle of its slices."""
    whole = int(scan.brain.sum())
    if int(_laid_out(scan.brain, size).sum()) < whole:
        why = f"its brain does not fit into {size} x {size} pixels about the middle of a slice"
        raise Refused(scan.id, why, "raise method.size, or prep.spacing_mm")


def _laid_out(brain: Mask, size: int) -> SquareMask:
    """Return the brain on the square."""
    slices = torch.from_numpy(np.moveaxis(brain, -1, 0)[:, None].astype(np.float32))
    there: SquareMask = np.moveaxis(fitted(slices, (size, size)).numpy()[:, 0], 0, -1) > 0
    return there


def _laid_back(square: Square, scan: Scan) -> Image:
    """Return what lies on the square on the slices of the scan."""
    i, j, _ = scan.brain.shape
    slices = torch.from_numpy(np.moveaxis(square, -1, 0).copy())
    return np.moveaxis(fitted(slices, (i, j)).numpy(), 0, -1)
