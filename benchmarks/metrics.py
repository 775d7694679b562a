"""Speed and memory of the metrics.

    python benchmarks/metrics.py            # both; a few minutes
    python benchmarks/metrics.py --speed    # average precision against scikit-learn
    python benchmarks/metrics.py --memory   # pooled figures of 10 and of 100 volumes

Speed: 10 million float32 voxels, 1 % of them lesion, unless told otherwise; both functions take
turns in one process, and the fastest of `--repeats` counts. The clock is the processor time of this
process, which other programs hardly move.

Memory: a process of its own evaluates 10, another 100 volumes of 182 x 218 x 182 voxels, 1.9
million of them brain, made one at a time; "peak" is the highest resident memory of the process so
far. For the 10 volumes the AUPRC is then compared with that of all voxels at once.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
from sklearn.metrics import average_precision_score

from hale import metrics

SHAPE = (182, 218, 182)
COUNTS = (10, 100)


def drawn(size: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and a truth that they know something of."""
    rng = np.random.default_rng(seed)
    truth = rng.random(size, np.float32) < share
    return rng.standard_normal(size, np.float32) + 1.5 * truth.astype(np.float32), truth


def seconds(work: Callable[[], float]) -> tuple[float, float]:
    """Return the processor time of some work, and its result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def speed(size: int, share: float, repeats: int) -> None:
    """Print both times side by side."""
    score, truth = drawn(size, share, 0)
    ours, theirs, values = [], [], []
    for _ in range(repeats):
        took, ap = seconds(lambda: metrics.average_precision(score, truth))
        ours.append(took)
        took, reference = seconds(lambda: float(average_precision_score(truth, score)))
        theirs.append(took)
        values.append(abs(ap - reference))
    print(f"average precision of {size:,} voxels, {share:.1%} lesion, best of {repeats}")
    print(f"  scikit-learn {min(theirs):8.3f} s")
    print(f"  hale         {min(ours):8.3f} s   {min(theirs) / min(ours):.1f} times as fast")
    print(f"  they differ by {max(values):.1e}")


def brain() -> np.ndarray:
    """Return an ellipsoid in the middle of a volume."""
    axes = np.ogrid[tuple(slice(-1, 1, 1j * size) for size in SHAPE)]
    return np.asarray(sum(axis**2 for axis in axes) < 0.8**2)


def volumes(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield volumes of the usual size with three lesions of 1 to 27 ml, one at a time."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        truth = np.zeros(SHAPE, bool)
        for edge in (10, 20, 30):
            corner = rng.integers(70, 90, 3)  # in the brain
            truth[tuple(slice(start, start + edge) for start in corner)] = True
        yield rng.standard_normal(SHAPE, np.float32) + 1.5 * truth.astype(np.float32), truth


def evaluated(count: int) -> None:
    """Evaluate volumes in this process, and print what it took."""
    together, inside = metrics.Together(), brain()
    start = time.process_time()
    for number, (score, truth) in enumerate(volumes(count)):
        maps = metrics.Maps(
            anomaly=score,
            brain=inside,
            pvalue=None,
            mask=None,
            voxel_ml=0.001,
            spacing=(1.0, 1.0, 1.0),
        )
        together.add(f"sub-{number}", metrics.Kind.LESION, maps, truth)
    counting = (time.process_time() - start) / count
    value = together.figures(draws=200)["auprc_pooled"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{count:4} volumes: peak {peak:6.0f} MB, {counting:.2f} s a volume, "
        f"pooled AUPRC {value.value:.6f} ({value.low:.4f} to {value.high:.4f}), "
        f"off by at most {together.pool.error:.1e}",
        flush=True,
    )
    if count == min(COUNTS):
        score, truth = (
            np.concatenate([v[part][inside] for v in volumes(count)]) for part in (0, 1)
        )
        off = metrics.average_precision(score, truth) - value.value
        print(f"     all voxels at once: off by {abs(off):.1e}", flush=True)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--size", type=int, default=10_000_000)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--volumes", type=int, help="evaluate so many in this process")
    given = parser.parse_args()
    if given.volumes:
        evaluated(given.volumes)
        return
    if given.speed or not given.memory:
        speed(given.size, given.share, given.repeats)
    if given.memory or not given.speed:
        for count in COUNTS:
            subprocess.run([sys.executable, __file__, "--volumes", str(count)], check=True)


if __name__ == "__main__":
    main()
