"""Speed of every noise of the diffusion methods, and what simplex noise gains from its plane.

    python benchmarks/noise.py

"gain" is over simplex noise whose vertices and offsets are found anew for each map, as code without
a plane does. "Gaussian" is the time of as many Gaussian maps over that of these. The fastest of
`--repeats` counts. With one thread, the clock is the processor time of this process.
"""

import argparse
import time
from collections.abc import Callable

import torch

from hale.diffusion.noise import Noise, drawn
from hale.diffusion.simplex import OCTAVES, plane_of, simplex


def clock() -> float:
    """Return seconds since whenever: of the processor if there is one thread, else of the wall."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def rate(draw: Callable[[], object], maps: int, repeats: int) -> float:
    """Return how many maps a second ``draw``, which gives ``maps``, makes at its best."""
    best = float("inf")
    draw()
    for _ in range(repeats):
        start = clock()
        draw()
        best = min(best, clock() - start)
    return maps / best


def anew(size: tuple[int, int]) -> None:
    """Draw a map and forget its plane."""
    plane_of.cache_clear()
    simplex(size, torch.tensor([0]))


def main() -> None:
    """Read the arguments, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=96, help="pixels")
    parser.add_argument("--batch", type=int, default=32, help="maps that are drawn at once")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    size, generator = (told.side, told.side), torch.Generator().manual_seed(0)
    before = rate(lambda: anew(size), 1, 3)
    rates: dict[tuple[str, int], float] = {}
    for batch in (1, told.batch):
        shape = (batch, 1, *size)
        for noise in Noise:
            rates[noise, batch] = rate(
                lambda n=noise, s=shape: drawn(n, s, generator), batch, told.repeats
            )
        seeds = torch.arange(batch)
        rates["simplex, float64", batch] = rate(
            lambda s=seeds: simplex(size, s, dtype=torch.float64), batch, told.repeats
        )
    print(f"{told.side} x {told.side} pixels, {len(OCTAVES)} octaves, {told.threads} threads.\n")
    print("| noise | at once | maps/s | Gaussian | gain |")
    print("|---|---|---|---|---|")
    print(f"| simplex, anew | 1 | {before:.1f} | {before / rates[Noise.GAUSSIAN, 1]:.4f} | 1 |")
    for (name, batch), found in rates.items():
        gain = f"{found / before:.0f}" if name.startswith("simplex") else ""
        share = found / rates[Noise.GAUSSIAN, batch]
        print(f"| {name} | {batch} | {found:.0f} | {share:.2f} | {gain} |")


if __name__ == "__main__":
    main()
