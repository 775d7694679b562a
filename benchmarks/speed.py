"""Speed of every network: training step and scoring, against what the machine can multiply.

    python benchmarks/speed.py --method ae --method dae

Each registered method with a network runs with its default settings (but `SHORT`), through `fit`
and `score` as users run them, on single-contrast slices of 96 x 96 with 60 % brain (single-scan
methods: their own size). "of GEMM" is the achieved rate over that of a matrix product measured in
the same process just before and after, in the same precision; convolutions and products count.
`last` is channels last, but for networks that `to_channels_last` leaves alone; `bf16 last` is what
`precision = auto` takes where the processor has bfloat16. The gains are over `fp32`. "waits" is the
largest share of a step spent on indexing slices (or points) and moving them. The fastest of
`--repeats` counts. Where others use the machine, take `--threads 1`: the clock is then the
processor time of this process, which they hardly move.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, fields, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from hale.core.grid import Grid
from hale.core.method import Detector, Training
from hale.core.run import Precision
from hale.core.scan import Contrast, Scan, Space
from hale.methods import METHODS
from hale.recipe import build_recipe
from hale.train.per_scan import PerScan
from hale.train.points import Volume
from hale.train.run import FabricRun
from hale.train.single_scan import Place
from hale.train.slices import Slices

STEPS = 7
"""Of a fit; f-AnoGAN's round: five of the critic, one each of generator and encoder."""
SLICES = 8
"""Of the scan that is scored."""
VARIANTS = {
    "fp32": Precision.FULL,
    "fp32 last": Precision.FULL,
    "bf16": Precision.BF16,
    "bf16 last": Precision.BF16,
}
SHORT: dict[str, dict[str, Any]] = {
    "anogan_scan": {"search_steps": 10, "restarts": 1},
    "ifl": {"fit_iterations": [10], "volumes": 2, "points": 4096, "patience": 0},
}
"""Searches that would take minutes: a few iterations, and as many are counted."""


def clock() -> float:
    """Return seconds since whenever: of the processor if there is one thread, else of the wall."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


@dataclass
class Cost:
    """What a piece of work took, at its fastest."""

    flop: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    """By variant."""
    share: dict[str, float] = field(default_factory=dict)
    """Of the rate of a matrix product."""
    waits: float = 0.0

    def offer(self, variant: str, seconds: float, gemm: float) -> bool:
        """Keep ``seconds`` if it is the least; say whether it is."""
        if seconds >= self.seconds.get(variant, np.inf):
            return False
        self.seconds[variant] = seconds
        self.share[variant] = self.flop / seconds / gemm
        return True


@dataclass(eq=False)
class TimedRun(FabricRun):
    """A run of `STEPS` steps that says how long they took."""

    seconds: float = 0.0

    def steps(self, total: int, **state: Any) -> Iterator[Any]:
        """Yield a few."""
        for step in super().steps(min(total, STEPS), **state):
            start = clock()
            yield step
            self.seconds += clock() - start


@dataclass
class Watch:
    """Adds up the time within functions."""

    seconds: float = 0.0

    def over(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``work``, timed."""

        def timed(*given: Any, **named: Any) -> Any:
            start = clock()
            try:
                return work(*given, **named)
            finally:
                self.seconds += clock() - start

        return timed


@contextmanager
def fetching() -> Iterator[Watch]:
    """Time how slices and points are fetched."""
    watch = Watch()
    with ExitStack() as stack:
        for owner, name in ((Slices, "__getitem__"), (Slices, "to"), (Volume, "draw")):
            stack.enter_context(patch.object(owner, name, watch.over(getattr(owner, name))))
        yield watch


def layout(variant: str) -> Any:
    """Return the context in which networks lie in memory as ``variant`` says."""
    if variant.endswith("last"):
        return nullcontext()
    place = "hale.nets.blocks.convert_conv2d_weight_memory_format"
    return patch(place, lambda net, _layout: net)


def gemm(precision: Precision, side: int = 1536) -> float:
    """Return the rate of a matrix product, FLOP/s: the best of five."""
    kind = torch.bfloat16 if precision is Precision.BF16 else torch.float32
    a, b = torch.randn(2, side, side).to(kind)
    return max(2 * side**3 / seconds(lambda: a @ b) for _ in range(5))


def seconds(work: Callable[[], object]) -> float:
    """Return how long ``work`` takes."""
    start = clock()
    work()
    return clock() - start


class Counter(TorchDispatchMode):
    """Adds up operations; unlike torch's own it bears the gradient of a gradient (f-AnoGAN)."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it, and count: its parts where torch has no formula for the whole."""
        given = kwargs or {}
        formula = flop_registry.get(func.overloadpacket)
        if formula is None:
            with self:
                out = func.decompose(*args, **given)
            return func(*args, **given) if out is NotImplemented else out
        out = func(*args, **given)
        self.total += formula(*args, **given, out_val=out)
        return out


def flop(work: Callable[[], object]) -> float:
    """Return the floating-point operations of ``work``."""
    with Counter() as counter:
        work()
    return float(counter.total)


def scan(seed: int, levels: int) -> Scan:
    """Return noise within a cylinder that covers 60 % of each slice."""
    grid = Grid(shape=(96, 96, levels), affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    space = Space(slots=((Contrast.T1W,),), grid=grid)
    i, j, _ = np.indices(grid.shape)
    brain = (i - 47.5) ** 2 + (j - 47.5) ** 2 < 42**2
    image = np.random.default_rng(seed).random((1, *grid.shape), np.float32) * brain
    return Scan(id=str(seed), space=space, image=image, brain=brain)


@dataclass
class Bench:
    """One method: its training step and its scoring."""

    name: str
    batch: int
    step: Cost = field(default_factory=Cost)
    score: Cost = field(default_factory=Cost)

    def __post_init__(self) -> None:
        """Build the method and count operations; a method without any has no network."""
        method = build_recipe({"method": {"name": self.name, **SHORT.get(self.name, {})}}).method
        if "batch" in {entry.name for entry in fields(method)}:  # type: ignore[arg-type]
            method = replace(method, batch=self.batch)  # type: ignore[type-var]
        self.method: Any = method
        self.target = scan(9, SLICES)
        healthy = [scan(seed, 40) for seed in range(2)]
        self.training = Training(space=healthy[0].space, healthy=healthy)

    def count(self) -> bool:
        """Count operations; False: it has no network."""
        detector = self._fit(TimedRun(device="cpu", precision=Precision.FULL))
        if isinstance(detector, PerScan):
            learn, restore = self._pupil(Precision.FULL)
            self.step.flop, self.score.flop = flop(learn), flop(restore)
        else:
            run = TimedRun(device="cpu", precision=Precision.FULL)
            self.step.flop = flop(lambda: self._fit(run)) / STEPS
            if self.step.flop:
                self.score.flop = flop(lambda: detector.score(self.target))
        return self.step.flop > 0

    def measure(self, variant: str) -> None:
        """Time step and scoring once more."""
        precision = VARIANTS[variant]
        before = gemm(precision)
        with layout(variant):
            step, waits, score = self._times(precision)
        rate = (before + gemm(precision)) / 2
        if self.step.offer(variant, step, rate):
            self.step.waits = max(self.step.waits, waits / step)
        self.score.offer(variant, score, rate)

    def _times(self, precision: Precision) -> tuple[float, float, float]:
        """Return the seconds of a step, of its fetching, and of scoring."""
        run = TimedRun(device="cpu", precision=precision)
        with fetching() as watch:
            detector = self._fit(run)
        if isinstance(detector, PerScan):
            learn, restore = self._pupil(precision)
            learn()
            return seconds(lambda: [learn() for _ in range(STEPS)]) / STEPS, 0.0, seconds(restore)
        detector.score(self.target)
        return (
            run.seconds / STEPS,
            watch.seconds / STEPS,
            seconds(lambda: detector.score(self.target)),
        )

    def _fit(self, run: FabricRun) -> Detector:
        detector: Detector = self.method.fit(self.training, run)
        return detector

    def _pupil(self, precision: Precision) -> tuple[Callable[[], object], Callable[[], object]]:
        """Return a step and a restoration of a single-scan method."""
        place, draw = Place(device="cpu", precision=precision), torch.Generator().manual_seed(0)
        pupil = self.method.pupil(1, place)
        x = torch.rand(SLICES, 1, self.method.size, self.method.size)
        batch = x[torch.arange(self.batch) % SLICES]
        return lambda: pupil.learn(batch, draw), lambda: pupil.restored(x, draw)


def row(name: str, cost: Cost, divisor: int) -> str:
    """Return a line of a table; times and operations are divided by ``divisor``."""
    cells = [name, f"{cost.flop / divisor / 1e9:.2f}"]
    for variant in VARIANTS:
        cells.append(f"{1e3 * cost.seconds[variant] / divisor:.1f} ({cost.share[variant]:.0%})")
    plain, *others = (cost.seconds[variant] for variant in VARIANTS)
    cells += [f"{plain / other:.2f}" for other in others]
    return "| " + " | ".join(cells)


def table(benches: list[Bench], batch: int) -> str:
    """Return both tables."""
    times = " | ".join(f"{variant}: ms (of GEMM)" for variant in VARIANTS)
    head = f"| method | GFLOP | {times} | " + " | ".join(f"gain {v}" for v in [*VARIANTS][1:])
    rule = "|---" * (2 + 2 * len(VARIANTS) - 1) + "|"
    lines = [f"Training step, {batch} slices:", "", f"{head} | waits |", rule + "---|"]
    lines += [f"{row(b.name, b.step, 1)} | {b.step.waits:.1%} |" for b in benches]
    lines += ["", "Scoring, per slice:", "", f"{head} |", rule]
    lines += [f"{row(b.name, b.score, SLICES)} |" for b in benches]
    return "\n".join(lines)


def main() -> None:
    """Read the arguments, measure, print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", action="append", choices=list(METHODS), help="only this one")
    parser.add_argument("--batch", type=int, default=8, help="slices of a training step")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="batches of 2, once")
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    batch, repeats = (2, 1) if told.quick else (told.batch, told.repeats)
    benches = []
    for name in told.method or METHODS:
        bench = Bench(name, batch)
        if not bench.count():
            continue
        for _ in range(repeats):
            for variant in VARIANTS:
                bench.measure(variant)
        benches.append(bench)
        print(row(name, bench.step, 1), file=sys.stderr, flush=True)
    rates = ", ".join(f"{p.value} {gemm(p) / 1e9:.0f}" for p in set(VARIANTS.values()))
    print(f"{torch.get_num_threads()} threads; matrix product, GFLOP/s: {rates}\n")
    print(table(benches, batch))


if __name__ == "__main__":
    main()
