"""Poisson image interpolation: a patch of another healthy scan, without a seam.

Reference: Tan et al. 2021, "Detecting outliers with Poisson image interpolation", arXiv:2107.02622;
the blending is that of Pérez, Gangnet and Blake 2003, https://doi.org/10.1145/882262.882269, with
mixed gradients.

Inside the patch, f is what has the Laplacian of a guidance v and equals the scan x around it:
for every voxel p and its neighbours q along the axes, h mm away,

    sum_q (f_p - f_q) / h^2 = sum_q v_pq / h^2,   f_q = x_q outside the patch,

where v_pq is the greater in magnitude of (1 - a) (x_p - x_q) and a (y_p - y_q), y being the donor.
"""

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.sparse import csr_array
from scipy.sparse.linalg import cg

from hale.core.types import Image, Mask
from hale.data.lesions.fpi import FACTOR, donor_of, patch
from hale.data.lesions.host import Box, Host

TOLERANCE = 1e-8
"""Of the residual of the equations, as a share of their right side."""


def pii(host: Host, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Blend a patch with the donor's at the same place.

    Axes of a single voxel have no part in it: a slice is blended in its plane. The outermost voxels
    of an image are thought to go on beyond it.
    """
    y = donor_of(host)
    box, factor = patch(host, rng), rng.uniform(*FACTOR)
    inside = host.brain[box]
    weights = _weights(host.brain.shape, host.grid.spacing)
    values = blended(_block(host.image, box), _block(y, box), np.pad(inside, 1), factor, weights)
    return host.with_values(box, inside, values.clip(*host.limits))


def blended(
    x: Float[np.ndarray, "contrast u v w"],
    y: Float[np.ndarray, "contrast u v w"],
    inside: Bool[np.ndarray, "u v w"],
    factor: float,
    weights: tuple[float, float, float],
) -> Float64[np.ndarray, "contrast n"]:
    """Return f in the voxels ``inside``, in their order.

    Args:
        x: The scan.
        y: The donor.
        inside: Where f is wanted: not in the outermost voxels of the block.
        factor: The donor's share a.
        weights: 1 / h^2 of each axis; 0 leaves it out.
    """
    here = np.flatnonzero(inside)
    number = np.full(inside.size, -1)
    number[here] = np.arange(len(here))
    scan, donor = x.reshape(len(x), -1), y.reshape(len(y), -1)
    right = np.zeros((len(x), len(here)))
    total = 2 * sum(weights)
    links = [(np.full(len(here), total), number[here], number[here])]
    strides = (inside.shape[1] * inside.shape[2], inside.shape[2], 1)
    for stride, weight in zip(strides, weights, strict=True):
        for there in (here - stride, here + stride) if weight else ():
            own = (1 - factor) * (scan[:, here] - scan[:, there])
            foreign = factor * (donor[:, here] - donor[:, there])
            unknown = number[there] >= 0
            v = np.where(np.abs(own) >= np.abs(foreign), own, foreign)
            right += weight * (v + np.where(unknown, 0, scan[:, there]))
            pairs = number[here][unknown], number[there][unknown]
            links.append((np.full(len(pairs[0]), -weight), *pairs))
    values, rows, columns = (np.concatenate(part) for part in zip(*links, strict=True))
    matrix = csr_array((values, (rows, columns)), shape=(len(here), len(here)))
    starts = zip(right, scan[:, here], strict=True)
    return np.stack([cg(matrix, b, start, rtol=TOLERANCE)[0] for b, start in starts])


def _block(image: Image, box: Box) -> Float64[np.ndarray, "contrast u v w"]:
    """Return the block and a margin of one voxel, which repeats the image's outermost ones."""
    at = [
        np.arange(side.start - 1, side.stop + 1).clip(0, n - 1)
        for side, n in zip(box, image.shape[1:], strict=True)
    ]
    block: np.ndarray = image[np.ix_(np.arange(len(image)), *at)].astype(np.float64)
    return block


def _weights(
    shape: tuple[int, ...], spacing: tuple[float, float, float]
) -> tuple[float, float, float]:
    alone = max(shape) == 1  # then any axis will do: a voxel that equals its surroundings
    i, j, k = (float(n > 1 or alone) / h**2 for n, h in zip(shape, spacing, strict=True))
    return i, j, k
