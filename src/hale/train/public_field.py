"""Published weights of implicit field learning, as the state of an `ifl` model.

Reference: github.com/snavalm/ifl_unsup_anom_det (MIT), with arXiv:2106.05214.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hale.core.errors import Refused
from hale.core.method import State, refuse_foreign_state
from hale.nets.implicit_field import ImplicitField, from_public, multiplied_out
from hale.train.classes import PUBLISHED

EXPECTED = "give the checkpoint as published (the .pth files of snavalm/ifl_unsup_anom_det)"


def public_state(weights: Path, codes: Path, *, bound: float = 1.0) -> State:
    """Return the state of a T2w model with the published ten classes.

    Args:
        weights: ``{"epoch", "model_state_dict"}``, names with or without ``module.``.
        codes: ``{"epoch", "latent_codes": {"weight": (brains, 256)}}``.
        bound: Largest norm of a code; longer ones are brought back to it.

    Raises:
        Refused: A file is none of torch's, holds more than tensors and plain values, or its
            tensors are not those of the published network: the first one that is not is named.
    """
    net = ImplicitField()
    renamed = from_public(_tensors(weights, "model_state_dict"))
    given = {name: tensor.float() for name, tensor in renamed.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    refuse_foreign_state({name: tensor.numpy() for name, tensor in given.items()}, shapes)
    _refuse_not_finite(weights, given)
    net.load_state_dict(given)
    state = {name: tensor.numpy() for name, tensor in multiplied_out(net).items()}
    table = code_table(codes, numbers=net.code)
    mean_code = table.renorm(2, 0, bound).mean(0)
    centres = np.array([PUBLISHED], np.float32)
    return {**state, "centres": centres, "mean_code": mean_code.numpy()}


def code_table(path: Path, *, numbers: int = 256) -> Float[Tensor, "brains code"]:
    """Return the published codes, one row per brain.

    Raises:
        Refused: No table of ``numbers`` columns.
    """
    tensors = _tensors(path, "latent_codes")
    table = tensors.get("weight")
    if table is None or len(tensors) > 1:
        why = f"its latent_codes hold {', '.join(tensors) or 'nothing'}, not one table `weight`"
        raise Refused(str(path), why, EXPECTED)
    if table.ndim != 2 or table.shape[1] != numbers or not len(table):
        why = f"its codes are {tuple(table.shape)}, not (brains, {numbers})"
        raise Refused(str(path), why, EXPECTED)
    _refuse_not_finite(path, tensors)
    return table.float()


def _tensors(path: Path, key: str) -> dict[str, Tensor]:
    """Return the tensors that a checkpoint holds under ``key``."""
    table = _checkpoint(path).get(key)
    if not isinstance(table, Mapping):
        raise Refused(str(path), f"holds no {key!r}", EXPECTED)
    for name, tensor in table.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise Refused(str(path), f"its {name!r} is no tensor of numbers", EXPECTED)
    return {str(name): tensor for name, tensor in table.items()}


def _checkpoint(path: Path) -> Mapping[str, Any]:
    """Return what torch saved, if it is tensors and plain values; nothing in it is executed."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        why = f"cannot be read ({error.strerror or error})"
        raise Refused(str(path), why, "give a file that is there") from None
    except Exception:  # bytes that are no pickle raise nearly anything
        # torch's own words advise to load it unsafely
        why = "is no checkpoint of tensors alone, and is not opened"
        raise Refused(str(path), why, EXPECTED) from None
    if not isinstance(content, Mapping):
        raise Refused(str(path), f"holds a {type(content).__name__}", EXPECTED)
    return content


def _refuse_not_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise Refused(str(path), f"its {name!r} is not finite", "download it again")
