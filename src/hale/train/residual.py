"""The detector of methods that restore a scan slice by slice: the score is what is left over."""

from copy import deepcopy
from dataclasses import dataclass

from torch import nn

from hale.core.anomaly import AnomalyMap
from hale.core.method import State
from hale.core.run import Precision
from hale.core.scan import Scan
from hale.core.types import Image
from hale.nets.blocks import to_channels_last
from hale.nets.state import arrays
from hale.train.score import Distance, compared
from hale.train.slices import restored


@dataclass(frozen=True, kw_only=True, eq=False)
class Residual:
    """A network that maps a slice to its pseudo-healthy twin; it owns a copy of the network."""

    net: nn.Module
    device: str = "cpu"
    precision: Precision = Precision.FULL
    distance: Distance = Distance.L1

    def __post_init__(self) -> None:
        """Take a copy of the network, and place it."""
        net = to_channels_last(deepcopy(self.net), self.device)
        object.__setattr__(self, "net", net.eval())

    def score(self, scan: Scan) -> AnomalyMap:
        """Return the distance of the scan from its twin, 0 outside the brain."""
        x_hat = self.reconstruct(scan)
        values = compared(scan.image, x_hat, scan.brain, self.distance)
        return AnomalyMap(values=values, brain=scan.brain, pseudo_healthy=x_hat)

    def reconstruct(self, scan: Scan, *, draw: int = 0, level: int | None = None) -> Image:
        """Return x_hat; nothing is drawn and there are no levels, so both are disregarded."""
        return restored(self.net, scan, device=self.device, precision=self.precision)

    def state(self) -> State:
        """Return the weights."""
        return arrays(self.net)
