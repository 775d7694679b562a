"""Maps of a result as their files store them, and places in them.

Nothing is turned: a voxel's index is that of the file, positions are mm, RAS+.
"""

import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

import nibabel as nib
import numpy as np

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.types import Labels, Map, Mask

LARGEST = 2**27
"""Voxels of a volume that the station takes: 512 x 512 x 512."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """Map and brain of one result."""

    anomaly: Map
    brain: Mask
    grid: Grid


def opened(path: Path) -> Any:
    """Return an image whose header is read and whose voxels are not.

    Raises:
        Refused: It is no NIfTI volume, or one too large.
    """
    try:
        image: Any = nib.load(path)
        shape = tuple(int(n) for n in image.shape)
    except Exception as error:  # a damaged header raises almost anything in a parser
        why = f"cannot be read ({type(error).__name__})"
        raise Refused(path.name, why, "run `hale detect` again") from None
    if len(shape) != 3 or np.prod(shape, dtype=float) > LARGEST or min(shape) < 1:
        why = f"is of {' x '.join(map(str, shape))} voxels"
        raise Refused(path.name, why, "give a volume of 512 x 512 x 512 or fewer")
    return image


def grid_of(path: Path) -> Grid:
    """Return where the voxels of a file lie, in its own order."""
    image = opened(path)
    shape: Sequence[int] = image.shape
    affine = np.asarray(image.affine, np.float64)
    return Grid(shape=(int(shape[0]), int(shape[1]), int(shape[2])), affine=affine)


def read_map(path: Path) -> Map:
    """Return the values of a file as it stores them."""
    values: Map = np.asarray(_stored(path), np.float32)
    return values


def read_labels(path: Path) -> Labels:
    """Return numbered lesions as their file stores them."""
    stored = _stored(path)
    whole = stored if stored.dtype.kind in "iu" else np.rint(stored)
    labels: Labels = whole.astype(np.int32)
    return labels


def read_mask(path: Path) -> Mask:
    """Return where a file is not 0, as it stores its voxels."""
    mask: Mask = _stored(path) > 0
    return mask


def read_result(folder: Path) -> Result:
    """Return map and brain of a result's folder."""
    anomaly = read_map(folder / "anomaly.nii.gz")
    if not np.isfinite(anomaly.sum(dtype=np.float64)):
        anomaly = np.nan_to_num(anomaly)
    brain = folder / "brain.nii.gz"
    inside = read_mask(brain) if brain.is_file() else anomaly != 0
    if inside.shape != anomaly.shape:
        raise Refused(folder.name, "map and brain differ in shape", "run `hale detect` again")
    return Result(anomaly=anomaly, brain=inside, grid=grid_of(folder / "anomaly.nii.gz"))


def _stored(path: Path) -> np.ndarray:
    """Return the values of a file in its own type; floats where it scales them.

    Raises:
        Refused: The file is cut off or damaged.
    """
    try:
        return np.asarray(opened(path).dataobj)
    except (OSError, ValueError, EOFError, MemoryError, zlib.error) as error:
        why = f"cannot be read ({type(error).__name__})"
        raise Refused(path.name, why, "run `hale detect` again") from None


def voxel_at(grid: Grid, position: Sequence[float]) -> tuple[int, int, int] | None:
    """Return the voxel at a position (mm), None if it lies outside."""
    index = np.rint(np.linalg.solve(grid.affine, [*position, 1.0])[:3])
    if not np.isfinite(index).all() or (index < 0).any() or (index >= grid.shape).any():
        return None
    i, j, k = (int(n) for n in index)
    return i, j, k


Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The values of the last few keys, made once; safe between threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Any, Value] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Any, make: Callable[[], Value]) -> Value:
        """Return the value of ``key``, made by ``make()`` the first time."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            while len(self._kept) >= self._size:
                self._kept.popitem(last=False)
            value: Value = make()
            self._kept[key] = value
            return value
