"""Layers that several networks share."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

SLOPE = 0.3
"""Of LeakyReLU below 0: the default of Keras, which the networks of Baur et al. 2021 use."""


def halving(come: int, go: int, norm: nn.Module) -> nn.Sequential:
    """Return a 5x5 convolution of stride 2, ``norm`` and LeakyReLU.

    Reference: the unified network of Baur et al. 2021, DOI 10.1016/j.media.2020.101952.
    """
    conv = nn.Conv2d(come, go, 5, stride=2, padding=2)
    return nn.Sequential(conv, norm, nn.LeakyReLU(SLOPE))


def doubling(come: int, go: int, norm: nn.Module) -> nn.Sequential:
    """Return a transposed 5x5 convolution of stride 2, ``norm`` and LeakyReLU: undoes `halving`."""
    conv = nn.ConvTranspose2d(come, go, 5, stride=2, padding=2, output_padding=1)
    return nn.Sequential(conv, norm, nn.LeakyReLU(SLOPE))


def padded(
    x: Float[Tensor, "b c i j"], multiple: int, *, least: int = 0
) -> Float[Tensor, "b c _ _"]:
    """Return ``x`` with zeros after its last rows and columns, up to a multiple in both.

    ``least`` is a multiple too: a smaller slice is padded to that many rows and columns.

    A network that halves its input pads it here and crops its output to the size that came, so
    that nothing around it minds the size of a slice: 157 x 189 becomes 160 x 192 and returns.
    """
    down, across = (max(-side % multiple, least - side) for side in x.shape[-2:])
    return F.pad(x, (0, across, 0, down))


def middle_divisor(number: int) -> int:
    """Return the middle one of the divisors of ``number``, the larger of two: 8 for 64."""
    divisors = [d for d in range(1, number + 1) if number % d == 0]
    return divisors[len(divisors) // 2]


class StandardisedConv2d(nn.Conv2d):
    """A convolution whose filters have mean 0 and spread 1.

    Reference: Qiao et al. 2019, "Micro-batch training with batch-channel normalization and weight
    standardization", arXiv:1903.10520; 1e-5 is added to the unbiased standard deviation.
    """

    def forward(self, x: Float[Tensor, "b c i j"]) -> Float[Tensor, "b d _ _"]:
        """Convolve with the standardised filters."""
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        std = self.weight.std((1, 2, 3), keepdim=True)
        y: Tensor = self._conv_forward(x, (self.weight - mean) / (std + 1e-5), self.bias)
        return y


class Block(nn.Sequential):
    """Twice: reflect 1, standardised 3x3 convolution, Swish, GroupNorm. The size stays.

    Activation comes before the norm, as in Kascenas et al. 2022 (PMLR 172, kascenas22a).
    """

    def __init__(self, come: int, go: int) -> None:
        layers: list[nn.Module] = []
        for channels in (come, go):
            conv = StandardisedConv2d(channels, go, 3, padding=1, padding_mode="reflect")
            layers += [conv, nn.SiLU(), nn.GroupNorm(middle_divisor(go), go)]
        super().__init__(*layers)


def parameters(net: nn.Module) -> int:
    """Return how many numbers ``net`` learns."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def to_channels_last(net: nn.Module, device: str | torch.device) -> nn.Module:
    """Move ``net``, in place, to ``device`` and to the memory layout that convolutions like.

    LayerNorm likes planes that lie in one piece: a network with it keeps them. Its convolutions
    lose less than copying each activation to and fro would cost.
    """
    net.to(device)
    if not any(isinstance(layer, nn.LayerNorm) for layer in net.modules()):
        convert_conv2d_weight_memory_format(net, torch.channels_last)
    return net
