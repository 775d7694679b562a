"""Residual network of bottlenecks: an encoder of slices, for all of a slice or for parts of it.

Reference: He et al. 2016, "Deep residual learning for image recognition", CVPR,
DOI 10.1109/CVPR.2016.90. As is usual, a stage halves in its first 3x3 convolution, not in the 1x1
convolution before it. Skipped branches: Huang et al. 2016, "Deep networks with stochastic depth",
ECCV, DOI 10.1007/978-3-319-46493-0_39. Seeing parts of a slice, and nothing of the rest: Tian et
al. 2023, "Designing BERT for convolutional networks", ICLR, arXiv:2301.03580.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hale.core.method import State, refuse_foreign_state
from hale.nets.blocks import padded
from hale.nets.state import arrays, load

CELL = 32
"""Pixels, in both directions, of a slice that become one of the deepest features."""
GROWTH = 4
"""Channels that leave a bottleneck for each within it."""


class ResNet(nn.Module):
    """ResNet-50 by default: four scales (24, 12, 6, 3 for a slice of 96), mean, linear layer.

    Args:
        channels: Of a slice.
        out: Numbers it returns for each; 0: the mean of the deepest features, without ``fc``.
        width: Channels of the stem; the scales have 4, 8, 16, 32 times as many.
        blocks: Bottlenecks of each stage.
        drop: Share of slices for which training skips the last branch; 0 for the first branch,
            linear in between.
    """

    def __init__(
        self,
        channels: int,
        *,
        out: int = 0,
        width: int = 64,
        blocks: tuple[int, ...] = (3, 4, 6, 3),
        drop: float = 0.05,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        inner = [width * 2**n for n in range(len(blocks))]
        self.scales = [GROWTH * w for w in inner]
        """Channels of each scale, finest first."""
        last, behind = max(sum(blocks) - 1, 1), 0
        come = width
        for n, (w, count) in enumerate(zip(inner, blocks, strict=True)):
            stage = nn.ModuleList()
            for k in range(count):
                stride = 2 if n > 0 and k == 0 else 1
                stage.append(Bottleneck(come, w, stride=stride, drop=drop * behind / last))
                come, behind = GROWTH * w, behind + 1
            self.add_module(f"layer{n + 1}", stage)
        self.fc = nn.Linear(come, out) if out else nn.Identity()

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b out"]:
        """Return a vector for each slice."""
        deepest = self.features(x)[-1]
        vector: Tensor = self.fc(deepest.mean((-2, -1)))
        return vector

    def features(
        self, x: Float[Tensor, "b c i j"], active: Bool[Tensor, "b 1 p q"] | None = None
    ) -> list[Tensor]:
        """Return the features at each scale, finest first.

        Args:
            x: Slices; zeros are added at the end of a side that is no multiple of ``CELL``.
            active: Which cells of ``x`` are seen; features of the others are exactly 0, and
                nothing in them reaches any feature. None: all of them.
        """
        h = shown(padded(x, CELL), active)
        h = F.relu(normed(self.bn1, shown(self.conv1(h), active), active))
        h = shown(self.pool(h), active)
        scales = []
        for n in range(len(self.scales)):
            for block in self.get_submodule(f"layer{n + 1}").children():
                h = block(h, active)
            scales.append(h)
        return scales


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3, 1x1 beside a shortcut."""

    def __init__(self, come: int, width: int, *, stride: int, drop: float) -> None:
        super().__init__()
        go = GROWTH * width
        self.conv1 = nn.Conv2d(come, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, go, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(go)
        self.downsample = nn.ModuleList()
        if come != go or stride > 1:
            conv = nn.Conv2d(come, go, 1, stride=stride, bias=False)
            self.downsample.extend([conv, nn.BatchNorm2d(go)])
        self.drop = drop

    def forward(
        self, x: Float[Tensor, "b c i j"], active: Bool[Tensor, "b 1 p q"] | None
    ) -> Float[Tensor, "b d _ _"]:
        """Return the sum of branch and shortcut; of seen cells alone if ``active`` is given."""
        h = F.relu(normed(self.bn1, shown(self.conv1(x), active), active))
        h = F.relu(normed(self.bn2, shown(self.conv2(h), active), active))
        h = normed(self.bn3, shown(self.conv3(h), active), active)
        for conv, norm in pairwise(self.downsample):
            x = normed(norm, shown(conv(x), active), active)
        if self.training and self.drop:
            h = h * F.dropout(h.new_ones(len(h), 1, 1, 1), self.drop)  # of torch's own draws
        return F.relu(h + x)


def shown(
    h: Float[Tensor, "b c i j"], active: Bool[Tensor, "b 1 p q"] | None
) -> Float[Tensor, "b c i j"]:
    """Return ``h`` with 0 in cells that are not active."""
    return h if active is None else h * enlarged(active, h)


def enlarged(
    active: Bool[Tensor, "b 1 p q"], like: Float[Tensor, "b c i j"]
) -> Bool[Tensor, "b 1 i j"]:
    """Return ``active`` at the size of ``like``, of which the sides are multiples of its own."""
    down, across = (a // b for a, b in zip(like.shape[-2:], active.shape[-2:], strict=True))
    return active.repeat_interleave(down, -2).repeat_interleave(across, -1)


def normed(
    norm: nn.Module, h: Float[Tensor, "b c i j"], active: Bool[Tensor, "b 1 p q"] | None
) -> Float[Tensor, "b c i j"]:
    """Return ``h``, of which inactive cells are 0, after a batch norm that sees active cells only.

    In training, mean and variance are those of the active vectors, gathered.
    """
    if active is None:
        y: Tensor = norm(h)
        return y
    if not norm.training:
        return shown(norm(h), active)
    where = enlarged(active, h)[:, 0]
    vectors = norm(h.movedim(1, -1)[where][..., None, None])[..., 0, 0]  # (vectors, c)
    y = torch.zeros_like(h.movedim(1, -1), dtype=vectors.dtype)
    y[where] = vectors
    return y.movedim(-1, 1)


def fill_encoder(encoder: ResNet, pretrained: State) -> list[str]:
    """Put pretrained weights into ``encoder``, in place; return which arrays they leave as drawn.

    Those are of the linear layer, if there is one, and of nothing else.

    Raises:
        Refused: Names the first array that is missing, unknown or of another shape.
    """
    own = arrays(encoder)
    new = [name for name in own if name.startswith("fc.")]
    shapes = {name: array.shape for name, array in own.items() if name not in new}
    refuse_foreign_state(
        pretrained, shapes, remedy="take an encoder of this width and these blocks"
    )
    load(encoder, {**pretrained, **{name: own[name] for name in new}})
    return new
