"""How fast lesions re-form, and how large the server grows on a large scan: prints ms, s and MiB.

    python benchmarks/station.py               # a made-up map of 182 x 218 x 182
    python benchmarks/station.py --large       # 512 x 512 x 320, in a server of its own

The map is smooth noise of spread 1 with a lesion of 30 ml, z up to 10, in an ellipsoid of a brain;
thresholds go up and down as a reader's slider does, the best of three counts. What labelling the
whole map anew takes (`hale.calibration.components`) stands beside it. With ``--large`` the files of
a result are written, `hale serve` is started on them, each address of the viewer is asked, and the
server's peak is read from /proc.
"""

import argparse
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http.cookiejar import CookieJar
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter

from hale.calibration import components
from hale.core.grid import Grid
from hale.serve.threshold import at, ready
from hale.serve.volumes import Result

SHAPE, LARGE = (182, 218, 182), (512, 512, 320)
THRESHOLDS = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 4.5, 3.2, 2.6, 2.1)
GIB = 2**30


def made_up(shape: tuple[int, int, int], seed: int = 0) -> Result:
    """Return a map with a lesion."""
    rng = np.random.default_rng(seed)
    z = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 1.0)
    z /= z.std()
    middle = [(n - 1) / 2 for n in shape]
    away = [((np.arange(n) - m) / (0.4 * n)) ** 2 for n, m in zip(shape, middle, strict=True)]
    brain = away[0][:, None, None] + away[1][None, :, None] + away[2] < 1
    z[~brain] = 0
    spot = tuple(slice(int(0.55 * n), int(0.55 * n) + 31) for n in shape)
    z[spot] += 4 * brain[spot]
    return Result(anomaly=z, brain=brain, grid=Grid(shape=shape, affine=np.eye(4)))


def best(work: Callable[..., object], *given: object, **named: object) -> float:
    """Return the least of three times, ms."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work(*given, **named)
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


def slider(shape: tuple[int, int, int]) -> None:
    """Print how long a threshold takes."""
    result = made_up(shape)
    for calibrated in (True, False):
        start = time.perf_counter()
        made = ready(result, calibrated=calibrated)
        seconds = time.perf_counter() - start
        kind = "calibrated" if calibrated else "uncalibrated"
        print(f"{kind}: made ready in {seconds:.2f} s, {len(made.z)} voxels above {made.floor:.2f}")
        for z in THRESHOLDS:
            shown = at(made, z)
            ours = best(at, made, z)
            whole = partial(components, result.anomaly, result.brain, result.grid)
            anew = best(whole, z0=shown["z"])
            ratio = anew / ours
            print(
                f"  z {z:4.1f}: {shown['count']:6d} components, {ours:6.1f} ms; "
                f"whole map anew {anew:6.1f} ms, {ratio:.0f} times as long"
            )


def write_result(folder: Path, shape: tuple[int, int, int]) -> None:
    """Write what the server reads of a result."""
    result = made_up(shape)
    folder.mkdir()
    p = np.exp(-result.anomaly.clip(0)).astype(np.float32)
    arrays = {
        "anomaly": result.anomaly,
        "pvalue": p,
        "brain": result.brain.astype(np.uint8),
        "mask": (result.anomaly > 5).astype(np.uint8),
        "scan_T1w": (100 * result.anomaly + 500).astype(np.int16),
    }
    for name, values in arrays.items():
        nib.save(nib.Nifti1Image(values, result.grid.affine), folder / f"{name}.nii.gz")
    told = {
        "id": "large", "contrasts": ["T1w"], "score": 5.0, "flagged": True, "lesions": [],
        "p_values": {"holds": True, "reasons": [], "not_checked": []},
        "calibration": {"alpha": 0.1, "z0": 3.0, "n_scans": 21},
        "quality": {"verdict": "pass", "findings": [], "out_of_domain": [], "contrasts": []},
        "checks": {}, "notes": [], "seconds": {}, "provenance": {"method": "made up"},
    }  # fmt: skip
    (folder / "detection.json").write_text(json.dumps(told))


def asked(address: str, name: str) -> Iterator[tuple[str, float, int]]:
    """Yield what was asked for, how long it took, and how many bytes came."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    home, _, _ = address.partition("/?")
    start = time.perf_counter()
    opener.open(address).read()
    yield "page", time.perf_counter() - start, 0
    one = f"{home}/api/results/{name}"
    compared = f"{home}/api/compare?a={name}&b={name}"
    for what in (
        f"{home}/api/results", one, f"{one}/threshold?z=3", f"{one}/threshold?z=2.4",
        f"{one}/why?x=280&y=280&z=180", f"{one}/thumbnail.png", f"{one}/files/anomaly.nii.gz",
        f"{one}/export/mask.nii.gz", f"{one}/export/lesions.tsv", compared,
    ):  # fmt: skip
        start = time.perf_counter()
        with opener.open(what) as answer:
            size = sum(len(chunk) for chunk in iter(lambda: answer.read(2**20), b""))
        yield what.removeprefix(home), time.perf_counter() - start, size


def peak_of(process: int) -> int:
    """Return the most memory that a process has held, bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def large(shape: tuple[int, int, int]) -> None:
    """Print how large a server grows."""
    from hale.serve.files import opaque

    with TemporaryDirectory(prefix="hale-station-") as scratch:
        write_result(Path(scratch) / "large", shape)
        command = [str(Path(sys.executable).with_name("hale")), "serve", scratch, "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            peak = 0.0
            for what, seconds, size in asked(server.stdout.readline().strip(), opaque("large")):
                peak = peak_of(server.pid)
                print(
                    f"  {what}: {seconds:.1f} s, {size / 2**20:.1f} MiB; peak so far "
                    f"{peak / GIB:.2f} GiB",
                    flush=True,
                )
            server.terminate()
        share = peak / (4 * GIB)
        print(
            f"{' x '.join(map(str, shape))}: the server's peak is {peak / GIB:.2f} GiB, "
            f"{share:.2f} of 4 GiB"
        )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true")
    if parser.parse_args().large:
        large(LARGE)
    else:
        slider(SHAPE)


if __name__ == "__main__":
    main()
