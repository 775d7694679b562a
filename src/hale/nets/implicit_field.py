"""Implicit field of a brain: position and code in, probabilities of intensity classes out.

Reference: Naval Marimont and Tarroni 2021, "Implicit field learning for unsupervised anomaly
detection in medical images", MICCAI, arXiv:2106.05214; the network is that of Park et al. 2019,
"DeepSDF", CVPR, arXiv:1901.05103, with the Fourier features of Tancik et al. 2020,
arXiv:2006.10739.
"""

from collections.abc import Mapping
from math import pi

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from hale.core.errors import Refused

CLASSES = 10
"""Of intensity, per contrast."""
LAYERS = 9
SKIP = 4
"""The layer that is given code and position again."""


class ImplicitField(nn.Module):
    """Nine layers, the last a plain one; the fifth is given code and position a second time.

    Args:
        contrasts: Each has its own ``CLASSES`` logits.
        code: Numbers that tell one brain from another.
        width: Of the hidden layers.
        frequencies: Sines, and cosines, per axis.
        dropout: Share of each hidden layer that training drops.
        normed: Learn length and direction of each row of weights apart (Salimans and Kingma 2016,
            arXiv:1602.07868); False once they are learnt.

    Raises:
        Refused: A layer of ``width`` has no room for code and position beside it.
    """

    def __init__(
        self,
        contrasts: int = 1,
        *,
        code: int = 256,
        width: int = 512,
        frequencies: int = 10,
        dropout: float = 0.2,
        normed: bool = True,
    ) -> None:
        super().__init__()
        self.code, self.frequencies, self.dropout = code, frequencies, dropout
        come = code + 6 * frequencies
        if width <= come:
            why = f"leaves no room beside {code} numbers of code and {6 * frequencies} of position"
            raise Refused(f"width {width}", why, f"give more than {come}")
        self.narrow = width - come
        inputs = [come] + [width] * (LAYERS - 1)
        outputs = [width] * (LAYERS - 1) + [contrasts * CLASSES]
        outputs[SKIP - 1] = self.narrow
        for n, (a, b) in enumerate(zip(inputs, outputs, strict=True)):
            linear = nn.Linear(a, b)
            hidden = n < LAYERS - 1
            setattr(self, f"lin{n}", weight_norm(linear) if normed and hidden else linear)

    def forward(
        self, code: Float[Tensor, "b code"], position: Float[Tensor, "b n 3"]
    ) -> Float[Tensor, "b n logits"]:
        """Return logits, those of one contrast after the other.

        What a code adds to a layer is the same at all positions: it is computed once per brain,
        which saves 14 % of the multiplications.

        Args:
            code: One per brain.
            position: Each brain's own, in [-1, 1].
        """
        encoding = encoded(position, self.frequencies)
        x = encoding
        for n in range(LAYERS - 1):
            if n == SKIP:
                x = torch.cat([x, encoding.to(x.dtype)], -1)
            x = self._with_code(n, x, code) if n in (0, SKIP) else self._layer(n)(x)
            x = F.dropout(F.relu(x, inplace=True), self.dropout, self.training)
        logits: Tensor = self._layer(LAYERS - 1)(x)
        return logits

    def _layer(self, n: int) -> nn.Linear:
        layer = getattr(self, f"lin{n}")
        assert isinstance(layer, nn.Linear)
        return layer

    def _with_code(
        self, n: int, x: Float[Tensor, "b n come"], code: Float[Tensor, "b code"]
    ) -> Float[Tensor, "b n go"]:
        """Apply a layer whose columns are: hidden, code, encoding; ``x`` is the first and last."""
        layer = self._layer(n)
        weight, first = layer.weight, 0 if n == 0 else self.narrow
        rest = torch.cat([weight[:, :first], weight[:, first + self.code :]], 1)
        shift = F.linear(code, weight[:, first : first + self.code], layer.bias)
        return F.linear(x, rest) + shift[:, None]


def encoded(position: Float[Tensor, "*b 3"], frequencies: int) -> Float[Tensor, "*b encoding"]:
    """Return sin(2^k pi v) then cos(2^k pi v), k = 0, 1, ...; of x, then y, then z."""
    octaves = pi * 2.0 ** torch.arange(frequencies, device=position.device)
    angles = (position[..., None] * octaves).flatten(-2)
    return torch.cat([angles.sin(), angles.cos()], -1)


def multiplied_out(field: ImplicitField) -> dict[str, Tensor]:
    """Return the weights of ``field`` under the names of one that is not normed."""
    with torch.no_grad():
        return {
            f"{name}.{kind}": getattr(layer, kind).detach().clone()
            for name, layer in field.named_children()
            for kind in ("weight", "bias")
        }


def from_public(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return published weights under the names of a normed `ImplicitField`.

    ``module.`` before every name is dropped, ``weight_g`` and ``weight_v`` are torch's newer
    ``original0`` and ``original1``, the table of frequencies (``L_mult``) is checked and dropped.

    Raises:
        Refused: The frequencies are not 2^0 to 2^9.
    """
    new = {"weight_g": "parametrizations.weight.original0"}
    new |= {"weight_v": "parametrizations.weight.original1"}
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        layer, _, kind = name.removeprefix("module.").rpartition(".")
        if kind == "L_mult":
            _refuse_other_frequencies(tensor)
            continue
        renamed[f"{layer}.{new.get(kind, kind)}"] = tensor
    return renamed


def _refuse_other_frequencies(table: Tensor) -> None:
    octaves = 2.0 ** torch.arange(table.numel())
    flat = table.flatten().float().cpu()
    if not (torch.allclose(flat, octaves) or torch.allclose(flat, pi * octaves)):
        why = f"is {flat.tolist()}, not 1, 2, 4, ..."
        raise Refused("L_mult", why, "give the published weights")
