"""Networks compiled by torch.compile: the same results but for rounding, sooner or not."""

from dataclasses import is_dataclass
from typing import Any, cast

import torch
from torch import nn

from hale.core.errors import Refused
from hale.nets.conditioned_unet import ConditionedUNet

OPTIONS: dict[str, Any] = {"fallback_random": True}
"""Dropout and noise are drawn as without compilation."""


def compiled(net: nn.Module) -> nn.Module:
    """Return ``net`` in a wrapper that compiles it when it is first called; the weights are its."""
    return cast("nn.Module", torch.compile(net, options=OPTIONS))


def compile_nets(owner: Any) -> None:
    """Compile the networks among the fields of ``owner`` in place, when they are first called.

    Those of what it builds on too. Their class and the names of their weights stay.
    """
    for value in vars(owner).values():
        if isinstance(value, ConditionedUNet):  # its encoder looks once, its U-Net at each level
            value.encoder.compile(options=OPTIONS)
            value.unet.compile(options=OPTIONS)
        elif isinstance(value, nn.Module):
            value.compile(options=OPTIONS)
        elif is_dataclass(value) and not isinstance(value, type):
            compile_nets(value)


def refuse_without_compiler(device: str) -> None:
    """Compile something small, so that what would fail after hours fails now.

    Raises:
        Refused: It does not work.
    """
    try:
        torch.compile(torch.sin, options=OPTIONS)(torch.ones(8, device=device))
    except Exception as error:  # of many kinds, one for each part of the compiler
        said = next(iter(str(error).split("\n")), "") or type(error).__name__
        why = f"torch.compile does not work here ({said})"
        remedy = "install a C++ compiler (on a GPU also Triton), or leave --compile out"
        raise Refused("--compile", why, remedy) from None
