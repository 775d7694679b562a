"""Registration to the template: from disturbed starts, and what a deformation adds.

    python benchmarks/registration.py IXI --every 33

DATA holds `*_T1w.nii.gz` with `*_desc-brain_mask.nii.gz` beside each. Each scan is registered as it
lies and from random poses 40, 90 and 180 degrees and 60 mm away; the error is the distance to where
the undisturbed one lands, at markers all over the template's brain. With `--deform` follow the Dice
of fluid, grey and white matter (three classes of the scan's intensities by k-means, against the
template's tissue maps), the worst local change of volume, and what is left after there and back.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from hale.core.grid import Grid
from hale.core.scan import Volume
from hale.core.types import Affine, Mask
from hale.core.warp import Warp
from hale.io.nifti import read_volume, stem
from hale.io.template import mni152, mni152_tissues
from hale.metrics.voxel import dice
from hale.prep.bias import corrected, log_bias
from hale.prep.deform import deform
from hale.prep.register import registered

DEGREES = (40.0, 90.0, 180.0)
AWAY_MM = 60.0
BRAIN = 0.3
"""Of the template's maximum: where markers are."""
TISSUES = ("fluid", "grey", "white")


def pose(degrees: float, rng: np.random.Generator) -> Affine:
    """Return a random rigid displacement of scanner space."""
    axis, shift = rng.normal(size=(2, 3))
    moved = np.eye(4)
    turn = axis / np.linalg.norm(axis) * degrees
    moved[:3, :3] = Rotation.from_rotvec(turn, degrees=True).as_matrix()
    moved[:3, 3] = shift / np.linalg.norm(shift) * AWAY_MM
    return moved


def applied(transform: Affine, positions: np.ndarray) -> np.ndarray:
    """Return positions ``(n, 3)`` after a transform, mm."""
    moved: np.ndarray = positions @ transform[:3, :3].T + transform[:3, 3]
    return moved


def markers(every: int) -> np.ndarray:
    """Return voxel indices ``(n, 3)`` in the template's brain."""
    index: np.ndarray = np.argwhere(mni152().values > BRAIN)[::every]
    return index


def disturbed(volume: Volume, brain: Mask, near: Affine, rng: np.random.Generator) -> str:
    """Register from every distance; return errors (mean, max) in mm and starts."""
    at = mni152().grid.positions(markers(997))
    parts = []
    for degrees in DEGREES:
        moved = pose(degrees, rng)
        grid = Grid(shape=volume.grid.shape, affine=moved @ volume.grid.affine)
        far = registered(Volume(values=volume.values, grid=grid), brain, mni152())
        error = np.linalg.norm(applied(far.transform, at) - applied(moved @ near, at), axis=1)
        parts.append(f"{degrees:.0f}: {error.mean():.2f} {error.max():.2f} mm ({far.starts})")
    return "  ".join(parts)


def classes(values: np.ndarray) -> np.ndarray:
    """Return 0, 1, 2 from dark to bright, by k-means on one axis."""
    centre = np.quantile(values, (0.1, 0.5, 0.9))
    for _ in range(50):
        label = np.abs(values[:, None] - centre).argmin(1)
        centre = np.array([values[label == k].mean() for k in range(3)])
    return label


def tissues(volume: Volume, brain: Mask, places: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the Dice of the three tissues, looking at the scan at ``places`` (mm)."""
    back = np.linalg.inv(volume.grid.affine)
    values = np.where(brain, volume.values, 0)
    seen = map_coordinates(values, applied(back, places).T, order=1)
    maps = mni152_tissues()
    grey, white = (part.values[tuple(index.T)] for part in (maps.grey, maps.white))
    known = np.stack([1 - grey - white, grey, white]).argmax(0)
    found = classes(seen)
    return np.array([dice(found == k, known == k) for k in range(3)])


def deformed(volume: Volume, brain: Mask, affine: Affine) -> str:
    """Deform; return Dice before and after, the worst change of volume, there-and-back in mm."""
    began = time.perf_counter()
    warp: Warp = deform(volume, brain, mni152(), affine)
    seconds = time.perf_counter() - began
    index = markers(7)
    at = mni152().grid.positions(index)
    there = warp.points(at)
    before = tissues(volume, brain, applied(affine, at), index)
    after = tissues(volume, brain, applied(affine, there), index)
    left = np.linalg.norm(warp.points(there, inverse=True) - at, axis=1)
    gains = "  ".join(
        f"{name} {b:.3f} -> {a:.3f}" for name, b, a in zip(TISSUES, before, after, strict=True)
    )
    return (
        f"{gains}  least volume {warp.jacobian().min():.2f}"
        f"  there and back {left.mean():.2f} {left.max():.2f} mm  {seconds:.1f} s"
    )


def main() -> None:
    """Read the arguments, register every scan, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th scan")
    parser.add_argument("--deform", action="store_true", help="needs hale[ants]")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    for path in sorted(arguments.data.glob("sub-*/anat/*_T1w.nii.gz"))[:: arguments.every]:
        name = stem(path).removesuffix("_T1w")
        volume = read_volume(path).volume
        brain = read_volume(path.with_name(f"{name}_desc-brain_mask.nii.gz")).volume.values > 0
        volume = corrected(volume, log_bias(volume, brain))
        near = registered(volume, brain, mni152())
        print(f"{name}  likeness {near.likeness:.3f} ({near.starts})", flush=True)
        print("  ", disturbed(volume, brain, near.transform, rng), flush=True)
        if arguments.deform:
            print("  ", deformed(volume, brain, near.transform), flush=True)


if __name__ == "__main__":
    main()
