"""A U-Net that is told what the clean slice looks like, in a few numbers.

Reference: Behrendt et al. 2025, "Guided reconstruction with conditioned diffusion models for
unsupervised anomaly detection in brain MRIs", Computers in Biology and Medicine 186:109660, DOI
10.1016/j.compbiomed.2025.109660, arXiv:2312.04215.
"""

from jaxtyping import Float, Int
from torch import Tensor, nn

from hale.nets.resnet import ResNet
from hale.nets.unet import UNet


class ConditionedUNet(nn.Module):
    """The encoder looks at the clean slice, the U-Net at its noised twin.

    Args:
        encoder: Gives as many numbers as ``unet`` takes for its condition.
        unet: Its channels are those of ``encoder``.
    """

    def __init__(self, encoder: ResNet, unet: UNet) -> None:
        super().__init__()
        self.encoder = encoder
        self.unet = unet

    def forward(
        self,
        x_t: Float[Tensor, "b c i j"],
        t: Int[Tensor, " b"],
        x: Float[Tensor, "b c i j"],
    ) -> Float[Tensor, "b c i j"]:
        """Return what the U-Net says of noised slices ``x_t`` (-1 to 1) beside ``x`` (0 to 1)."""
        out: Tensor = self.unet(x_t, t, self.encoder(x))
        return out
