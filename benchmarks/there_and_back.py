"""Real lesion shapes from a scan's own grid to the model's and back: what survives.

    python benchmarks/there_and_back.py DATA --cache CACHE

DATA holds `lesion_shapes/*.nii.gz`, masks in template space, and the scans named in `SCANS`. Each
scan is prepared as it comes; each shape is brought to its grid through the registration found, cut
to the brain, and taken as the truth. A continuous map that shows just that shape goes to the model
grid and comes back as `detect` would write it: linear both ways (map), or by the one interpolation
of images (image), which low-passes first. Dice and volume are of the mask written.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hale.calibration import components
from hale.core.grid import Grid, resample, resample_mask
from hale.core.scan import Contrast, Volume
from hale.core.trace import Trace
from hale.core.types import Map, Mask
from hale.io.cache import Cache
from hale.io.nifti import read_volume
from hale.io.raw import read_raw
from hale.metrics.voxel import dice
from hale.pipeline.detect import native_mask
from hale.prep.chain import prepare, space_of
from hale.prep.place import brought
from hale.prep.settings import Preparation

SCANS = {
    "sub-07": "mslub/sub-07/anat/sub-07_space-MNI_T1w.nii.gz",
    "IXI012": "ixi/sub-IXI012/anat/sub-IXI012_T1w.nii.gz",
    "long12": "mslub/sub-long12/ses-1/anat/sub-long12_ses-1_T1w.nii.gz",
    "FG6692": "tcga/sub-FG6692/anat/sub-FG6692_T1w.nii.gz",
}
"""1 mm, 2 mm, 3 mm slices, 5.5 mm slices."""
SIZES_ML = {"< 1 ml": (0.0, 1.0), "1-10 ml": (1.0, 10.0), "> 10 ml": (10.0, np.inf)}
WAYS = ("map", "image")
Z0 = 3.0
MARGIN_MM = 16.0
"""Around a lesion: beyond it neither blur nor spline reaches."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One shape in one scan, one way."""

    scan: str
    way: str
    ml: float
    dice: float
    volume: float
    """Of what came back, as a share of what went."""


def part(grid: Grid, positions_mm: np.ndarray) -> tuple[Grid, tuple[slice, slice, slice]]:
    """Return the voxels of a grid within `MARGIN_MM` of positions ``(n, 3)``."""
    back = np.linalg.inv(grid.affine)
    corners = np.stack(np.meshgrid(*zip(positions_mm.min(0), positions_mm.max(0), strict=True)), -1)
    voxels = corners.reshape(-1, 3) @ back[:3, :3].T + back[:3, 3]
    margin = MARGIN_MM / np.array(grid.spacing)
    low = np.clip(np.floor(voxels.min(0) - margin), 0, None).astype(int)
    high = np.minimum(np.ceil(voxels.max(0) + margin).astype(int) + 1, grid.shape)
    shift = np.eye(4)
    shift[:3, 3] = low
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    shape = (i.stop - i.start, j.stop - j.start, k.stop - k.start)
    return Grid(shape=shape, affine=grid.affine @ shift), (i, j, k)


def around(trace: Trace, lesion: Mask) -> tuple[Trace, Mask]:
    """Return the way there and back of the surroundings of a native lesion, and the lesion."""
    positions = trace.native.positions(np.argwhere(lesion))
    native, box = part(trace.native, positions)
    there = np.linalg.inv(trace.to_native)
    model, _ = part(trace.model, positions @ there[:3, :3].T + there[:3, 3])
    return replace(trace, native=native, model=model, brain=trace.brain[box]), lesion[box]


def there_and_back(lesion: Mask, trace: Trace, way: str, settings: Preparation) -> Mask:
    """Return the mask that is written if a map of the model grid shows just ``lesion``."""
    values: Map = lesion.astype(np.float32)
    if way == "map":
        moved = resample(values, trace.native, trace.model, transform=trace.to_native)
    else:
        volume = Volume(values=values, grid=trace.native)
        moved = brought(volume, trace.brain, trace.way, trace.model, settings)
    inside = resample_mask(trace.brain, trace.native, trace.model, transform=trace.to_native)
    z = np.where(inside, 2 * Z0 * moved, np.float32(0))  # a half-full voxel is at z0
    labels, masses = components(z, inside, trace.model, z0=Z0)
    return native_mask(labels, len(masses), trace.undo(z), trace, z0=Z0) > 0


def rows_of(name: str, trace: Trace, shapes: list[Path], settings: Preparation) -> Iterator[Row]:
    """Yield a row per shape that the brain holds and way."""
    there = np.linalg.inv(trace.to_native)
    for path in shapes:
        shape = read_volume(path).volume
        share = resample(shape.values, shape.grid, trace.native, transform=there)
        truth = (share > 0.5) & trace.brain
        if not truth.any():
            continue
        near, lesion = around(trace, truth)
        for way in WAYS:
            found = there_and_back(lesion, near, way, settings)
            yield Row(
                scan=name,
                way=way,
                ml=float(truth.sum()) * trace.native.voxel_ml,
                dice=dice(found, lesion),
                volume=float(found.sum()) / float(lesion.sum()),
            )


def table(rows: list[Row]) -> None:
    """Print Dice and volume by way, scan and size: mean, minimum, and the range of volumes."""
    print(f"{'way':<6} {'scan':<8} {'lesion':<8} {'n':>4}  Dice (min)     volume (from to)")
    for way in WAYS:
        for scan in SCANS:
            for size, (low, high) in SIZES_ML.items():
                cell = [r for r in rows if (r.way, r.scan) == (way, scan) and low <= r.ml < high]
                if not cell:
                    continue
                overlap = np.array([row.dice for row in cell])
                volume = np.array([row.volume for row in cell])
                print(f"{way:<6} {scan:<8} {size:<8} {len(cell):>4}", end="  ")
                print(f"{overlap.mean():.3f} ({overlap.min():.3f})", end="  ")
                print(f"{volume.mean():.3f} ({volume.min():.3f} {volume.max():.3f})")


def main() -> None:
    """Read the arguments, prepare the scans, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th shape")
    parser.add_argument("--cache", type=Path, help="a folder that keeps the registrations")
    arguments = parser.parse_args()
    shapes = sorted((arguments.data / "lesion_shapes").glob("*.nii.gz"))[:: arguments.every]
    settings = Preparation()
    rows: list[Row] = []
    for name, path in SCANS.items():
        raw = read_raw({Contrast.T1W: arguments.data / path})
        trace = prepare(raw, settings, Cache(arguments.cache), space_of(settings)).trace
        spacing = " x ".join(f"{mm:.2g}" for mm in trace.native.spacing)
        print(f"{name:<8} {spacing} mm, brain {trace.checks['brain_ml']:.0f} ml", flush=True)
        rows += rows_of(name, trace, shapes, settings)
    table(rows)


if __name__ == "__main__":
    main()
