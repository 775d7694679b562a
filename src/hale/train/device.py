"""Where networks compute and how: what `auto` means here, and what a precision does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from hale.core.errors import Refused
from hale.core.run import Device, Precision


def resolve_device(device: str) -> Device:
    """Return ``CPU`` or ``CUDA``."""
    wanted = Device(device)
    if wanted is Device.AUTO:
        return Device.CUDA if torch.cuda.is_available() else Device.CPU
    if wanted is Device.CUDA and not torch.cuda.is_available():
        raise Refused("device cuda", "torch sees no GPU here", "take device cpu or auto")
    return wanted


def resolve_precision(precision: str, device: Device) -> Precision:
    """Return ``FULL`` or ``BF16``."""
    wanted = Precision(precision)
    if wanted is not Precision.AUTO:
        return wanted
    return Precision.BF16 if device is Device.CUDA or computes_in_bf16() else Precision.FULL


def computes_in_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Say whether the processor multiplies bfloat16 (Linux only; elsewhere no)."""
    flags = cpuinfo.read_text().split() if cpuinfo.exists() else []
    return "avx512_bf16" in flags or "amx_bf16" in flags


@contextmanager
def arithmetic(device: str, precision: Precision) -> Iterator[None]:
    """Compute, within the block, in ``precision`` on ``device``, the same each time."""
    kind, half = torch.device(device).type, precision is Precision.BF16
    with repeatable(precision), torch.autocast(kind, dtype=torch.bfloat16, enabled=half):
        yield


@contextmanager
def repeatable(precision: Precision) -> Iterator[None]:
    """Have cuDNN choose, within the block, algorithms that give the same each time.

    It takes them by their kind, not by timing them; ``FULL`` is float32 then, not TF32, which
    cuDNN takes by default for convolutions.
    """
    with torch.backends.cudnn.flags(
        enabled=torch.backends.cudnn.enabled,
        benchmark=False,
        deterministic=True,
        allow_tf32=precision is not Precision.FULL,
    ):
        yield
