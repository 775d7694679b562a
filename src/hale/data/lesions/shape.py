"""Lesions of real outlines, brighter or darker than the tissue was.

A toolkit choice: the outline comes from a folder of reference masks in its own size, freely turned,
and is cut to the brain; `hale.data.lesions.plant` places whole lesions of a stated volume instead.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from hale.core.errors import Refused
from hale.core.types import Image, Mask
from hale.data.lesions.host import Host
from hale.data.lesions.plant import EDGE_MM
from hale.data.lesions.solid import Solid, component, masks_at, solid
from hale.data.lesions.spot import shifted


def shape(host: Host, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Brighten or darken the outline of a real lesion, its deepest point on a voxel of the brain.

    Raises:
        Refused: There is no mask to take it from.
    """
    folder = host.material.shapes
    if folder is None:
        raise Refused("no shapes", "the outline is a real lesion's", "give material a folder")
    found = masks_at(folder)
    one = _solid_at(found[rng.integers(len(found))])
    turn = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    box, offset_mm = host.around(host.centre(rng), one.reach_mm + EDGE_MM)
    depth_mm = one.distance(offset_mm.reshape(-1, 3) @ turn).reshape(offset_mm.shape[:-1])
    return shifted(host, box, depth_mm, rng)


@lru_cache(maxsize=256)
def _solid_at(path: Path) -> Solid:
    return solid(*component(path))
