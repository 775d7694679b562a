"""Speed of the diffusion methods' U-Net on a processor, against the best that can be had of it.

    python benchmarks/unet.py --threads 1

One forward pass of the network at its published size, in several ways: plain float32; channels
last; bfloat16 by autocast, or of weights that were converted once; compiled by torch; and by
OpenVINO, where it is installed (`pip install hale[export]`). "of GEMM" is the achieved rate over
that of a matrix product in the same precision, measured just before and after; convolutions and
products count. "of best" compares all ways, "gain" is over plain float32. "error" is
max |y - y32| / max |y32|, y32 being what plain float32 returns, after a short training: a fresh
network returns 0, and one with random weights amplifies in each layer what bfloat16 rounds away.
The fastest of `--repeats` counts; the ways take turns. Where others use the machine, take
`--threads 1`: the clock is then the processor time of this process, which they hardly move.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from importlib.util import find_spec
from shutil import which
from typing import Any

import torch
import torch.nn.functional as F
from speed import flop, gemm, seconds
from torch import Tensor

from hale.core.run import Precision
from hale.diffusion.noise import Noise, drawn
from hale.diffusion.process import noised
from hale.diffusion.schedules import Schedule, levels_of
from hale.nets.blocks import to_channels_last
from hale.nets.unet import UNet

LEVELS = levels_of(Schedule.COSINE)
LEVEL = 499
"""That the timed slices are restored from."""


@dataclass
class Way:
    """To run the network, and what came of it."""

    name: str
    precision: Precision
    work: Callable[[], Tensor]
    seconds: float = float("inf")
    of_gemm: float = 0.0
    error: float = field(default=float("nan"), init=False)

    def measure(self, flop: float) -> None:
        """Time it once more."""
        before = gemm(self.precision)
        took = seconds(self.work)
        rate = (before + gemm(self.precision)) / 2
        if took < self.seconds:
            self.seconds, self.of_gemm = took, flop / took / rate


def slices(count: int, size: int, draw: torch.Generator) -> Tensor:
    """Return ellipses with smooth insides, -1 to 1."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, size)] * 2, indexing="ij")
    smooth = F.interpolate(torch.rand(count, 1, 8, 8, generator=draw), (size, size), mode="bicubic")
    return 2 * smooth.clamp(0, 1) * ((x / 0.8) ** 2 + (y / 0.9) ** 2 < 1) - 1


def corrupted(x0: Tensor, t: Tensor, draw: torch.Generator) -> Tensor:
    """Return ``x0`` at levels ``t``."""
    b, c, i, j = x0.shape
    return noised(x0, drawn(Noise.SIMPLEX, (b, c, i, j), draw), t, LEVELS)


def taught(width: int, steps: int) -> UNet:
    """Return a network that has learnt a little, on small slices."""
    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(0)
    net = to_channels_last(UNet(1, width=width), "cpu")
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-4)
    for _ in range(steps):
        x0, t = slices(4, 32, draw), torch.randint(1000, (4,), generator=draw)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = net(corrupted(x0, t, draw), t)
        optimiser.zero_grad()
        F.l1_loss(y.float(), x0).backward()
        optimiser.step()
    return net.eval().requires_grad_(requires_grad=False)


def ways(net: UNet, x: Tensor, t: Tensor) -> list[Way]:
    """Return all that can be done here; the first is plain float32."""
    plain, last = deepcopy(net).to(memory_format=torch.contiguous_format), net
    half = deepcopy(last).to(torch.bfloat16)

    def of(called: Callable[..., Tensor], *, cast: bool = False) -> Callable[[], Tensor]:
        def work() -> Tensor:
            within = torch.autocast("cpu", dtype=torch.bfloat16) if cast else nullcontext()
            with torch.inference_mode(), within:
                return called(x, t)

        return work

    full, bf16 = Precision.FULL, Precision.BF16
    found = [
        Way("fp32", full, of(plain)),
        Way("fp32 last", full, of(last)),
        Way("bf16 autocast", bf16, of(plain, cast=True)),
        Way("bf16 autocast last", bf16, of(last, cast=True)),
        Way("bf16 weights last", bf16, of(half)),
    ]
    if which("g++"):
        found.append(Way("the same, compiled", bf16, of(torch.compile(half))))
    if find_spec("openvino"):
        found.append(Way("OpenVINO bf16", bf16, of(openvino(plain, x, t))))
    return found


def openvino(net: UNet, x: Tensor, t: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Return ``net``, run by OpenVINO in bfloat16 on as many threads as torch has."""
    import openvino as ov

    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = ov.convert_model(net, example_input=(x, t), input=[x.shape, t.shape])
    compiled = ov.compile_model(model, "CPU", settings)
    return lambda x, t: torch.from_numpy(compiled((x.numpy(), t.numpy()))[0])


def table(measured: list[Way], count: int, flop: float) -> str:
    """Return a line for each way."""
    least = min(way.seconds for way in measured)
    head = ("", "slices/s", "GFLOP/s", "of GEMM", "of best", "gain", "error")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for way in measured:
        cells = (
            way.name,
            f"{count / way.seconds:.2f}",
            f"{flop / way.seconds / 1e9:.0f}",
            f"{way.of_gemm:.0%}",
            f"{least / way.seconds:.0%}",
            f"{measured[0].seconds / way.seconds:.2f}",
            f"{way.error:.1e}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Read the arguments, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8, help="slices of a forward pass")
    parser.add_argument("--size", type=int, default=96, help="pixels along the side of a slice")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--steps", type=int, default=30, help="of the short training")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    draw = torch.Generator().manual_seed(1)
    net, t = taught(told.width, told.steps), torch.full((told.batch,), LEVEL)
    x = corrupted(slices(told.batch, told.size, draw), t, draw)
    cost = flop(lambda: deepcopy(net).to("meta")(x.to("meta"), t.to("meta")))
    measured = ways(net, x, t)
    exact = measured[0].work()
    for way in measured:  # first calls compile
        way.error = float((way.work().float() - exact).abs().max() / exact.abs().max())
    for _ in range(told.repeats):
        for way in measured:
            way.measure(cost)
            print(f"{way.name}: {way.seconds:.2f} s", file=sys.stderr, flush=True)
    rates = ", ".join(f"{p} {gemm(p) / 1e9:.0f}" for p in (Precision.FULL, Precision.BF16))
    print(f"{torch.get_num_threads()} threads; matrix product, GFLOP/s: {rates};")
    each = f"{told.size} x {told.size}, {cost / told.batch / 1e9:.1f} GFLOP each"
    print(f"{told.batch} slices of {each}\n")
    print(table(measured, told.batch, cost))


if __name__ == "__main__":
    main()
