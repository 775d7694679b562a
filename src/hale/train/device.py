"""What `auto` means on this machine."""

from pathlib import Path

import torch

from hale.core.errors import Refused
from hale.core.method import Device, Precision


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


def arithmetic(device: str, precision: Precision) -> torch.autocast:
    """Return the context in which networks on ``device`` compute in ``precision``."""
    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=precision is Precision.BF16)
