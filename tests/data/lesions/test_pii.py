import numpy as np
import pytest

from hale.core.grid import Grid
from hale.data.lesions import Kind, Material, corrupted
from hale.data.lesions.fpi import FACTOR, patch
from hale.data.lesions.host import Host
from hale.data.lesions.pii import blended

LINE = (0.0, 0.0, 1.0)  # only the last axis


def on_a_line(x, y, factor, weights=LINE):
    """Solve between the first and the last of the values."""
    inside = np.zeros((3, 3, len(x)), bool)
    inside[1, 1, 1:-1] = True
    tiled = [np.broadcast_to(np.array(part, float), (1, 3, 3, len(x))) for part in (x, y)]
    return blended(*tiled, inside, factor, weights)[0]


def test_without_gradients_the_gap_is_bridged_by_a_straight_line():
    """f'' = 0 between 0 and 1: the scan's own steps, scaled by 1 - a = 0, are gone."""
    found = on_a_line([0, 5, -3, 2, 1], [7, 7, 7, 7, 7], 1.0)
    np.testing.assert_allclose(found, [0.25, 0.5, 0.75], atol=1e-6)


def test_a_parabola_of_the_donor_between_the_ends_of_the_scan():
    """y = n^2 has y'' = 2; f'' = 2, f(0) = 0, f(4) = 0 is n^2 - 4n."""
    found = on_a_line([0, 0, 0, 0, 0], [0, 1, 4, 9, 16], 1.0)
    np.testing.assert_allclose(found, [-3, -4, -3], atol=1e-6)


def test_half_the_donor_is_half_the_bump():
    found = on_a_line([0, 0, 0, 0, 0], [0, 1, 4, 9, 16], 0.5)
    np.testing.assert_allclose(found, [-1.5, -2, -1.5], atol=1e-6)


def test_the_steeper_of_both_gradients_is_taken():
    """One unknown between 0 and 0: 2 f = v_left + v_right.

    x = 0, 1, 0 gives steps of (1 - a) 1 to both sides, y = 0, 0, 8 steps of a 0 and -a 8. At
    a = 1/4 the left is 3/4 from x, the right -2 from y: f = (0.75 - 2) / 2.
    """
    assert on_a_line([0, 1, 0], [0, 0, 8], 0.25) == pytest.approx(-0.625)


def test_nothing_of_the_donor_gives_the_scan_back():
    x = [0.3, 0.9, 0.1, 0.5, 0.2, 0.8]
    np.testing.assert_allclose(on_a_line(x, [0, 5, 1, 0, 3, 2], 0.0), x[1:-1], atol=1e-6)


def test_a_constant_added_to_the_donor_makes_no_difference():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 8))
    np.testing.assert_allclose(on_a_line(x, y, 0.7), on_a_line(x, y + 100, 0.7), atol=1e-6)


def test_two_voxels_of_a_plane_by_hand():
    """Unknown p and q side by side, all around 0 but above p, where the scan is 6; no gradients.

    4 p - q = 6 and 4 q - p = 0: q = 0.4, p = 1.6.
    """
    x, y = np.zeros((2, 1, 3, 4, 3))
    x[0, 0, 1, 1] = 6
    inside = np.zeros((3, 4, 3), bool)
    inside[1, 1:3, 1] = True
    found = blended(x, y, inside, 1.0, (1.0, 1.0, 0.0))
    np.testing.assert_allclose(found, [[1.6, 0.4]], atol=1e-6)


def test_an_axis_of_wide_voxels_counts_for_less():
    """One unknown; 1 at both neighbours along i, 0 along j. h = 1, 2 mm: f = 1 / (1 + 1/4)."""
    x, y = np.zeros((2, 1, 3, 3, 3))
    x[0, [0, 2], 1, 1] = 1
    inside = np.zeros((3, 3, 3), bool)
    inside[1, 1, 1] = True
    assert blended(x, y, inside, 1.0, (1.0, 0.25, 0.0))[0, 0] == pytest.approx(0.8)


def test_a_block_is_what_a_dense_solver_makes_of_the_equations():
    rng = np.random.default_rng(1)
    x, y = rng.random((2, 2, 6, 5, 7))
    inside = np.zeros((6, 5, 7), bool)
    inside[1:5, 1:4, 1:6] = rng.random((4, 3, 5)) < 0.8
    weights, factor = (1.0, 0.5, 0.2), 0.6
    cells = [tuple(p) for p in np.argwhere(inside)]
    matrix, right = np.zeros((len(cells), len(cells))), np.zeros((2, len(cells)))
    for row, p in enumerate(cells):
        for axis, step in np.ndindex(3, 2):
            q = list(p)
            q[axis] += 2 * step - 1
            q = tuple(q)
            matrix[row, row] += weights[axis]
            own, foreign = ((1 - factor) * (x[:, *p] - x[:, *q]), factor * (y[:, *p] - y[:, *q]))
            right[:, row] += weights[axis] * np.where(abs(own) >= abs(foreign), own, foreign)
            if inside[q]:
                matrix[row, cells.index(q)] -= weights[axis]
            else:
                right[:, row] += weights[axis] * x[:, *q]
    expected = np.linalg.solve(matrix, right.T).T
    np.testing.assert_allclose(blended(x, y, inside, factor, weights), expected, atol=1e-6)


def test_a_flat_donor_over_a_flat_scan_leaves_it_flat():
    x = np.full((1, 24, 24, 1), 0.6, np.float32)
    brain = np.ones((24, 24, 1), bool)
    changed, mask = corrupted(
        x, brain, Kind.PII, rng=np.random.default_rng(0), material=Material(donor=x / 3)
    )
    assert mask.any()
    np.testing.assert_allclose(changed, x, atol=1e-6)


def test_there_is_no_seam_where_interpolation_leaves_one():
    x = np.full((1, 40, 40, 1), 0.2, np.float32)
    brain = np.ones((40, 40, 1), bool)
    ramp = np.linspace(0.6, 0.9, 40, dtype=np.float32)
    donor = np.broadcast_to(ramp[None, :, None, None], x.shape).copy()
    jump = {}
    for kind in (Kind.FPI, Kind.PII):
        changed, mask = corrupted(
            x, brain, kind, rng=np.random.default_rng(4), material=Material(donor=donor)
        )
        steps = np.abs(np.diff(changed[0, :, :, 0], axis=1))
        jump[kind] = steps[mask[:, 1:, 0] ^ mask[:, :-1, 0]].max()
    assert jump[Kind.PII] < 0.2 * jump[Kind.FPI]


def test_millimetres_reach_the_equations():
    """The same patch on voxels that are thicker along j is solved with another weight there."""
    x, y = np.random.default_rng(0).random((2, 1, 30, 30, 1)).astype(np.float32)
    brain = np.zeros((30, 30, 1), bool)
    brain[10:20, 10:20] = True  # far from the border of the image
    results = []
    for spacing in (1.0, 4.0):
        grid = Grid(shape=brain.shape, affine=np.diag([1.0, spacing, 1, 1]))
        rng, again = np.random.default_rng(2), np.random.default_rng(2)
        changed, mask = corrupted(
            x, brain, Kind.PII, rng=rng, grid=grid, material=Material(donor=y)
        )
        host = Host(image=x, brain=brain, grid=grid, material=Material())
        box, factor = patch(host, again), again.uniform(*FACTOR)
        low = [side.start for side in box]
        block = tuple(slice(a - 1, side.stop + 1) for a, side in zip(low, box, strict=True))[:2]
        pads = [(0, 0), (0, 0), (0, 0), (1, 1)]
        wide = [np.pad(part[:, *block].astype(float), pads, mode="edge") for part in (x, y)]
        inside = np.pad(np.ones(mask[box].shape, bool), 1)
        expected = blended(*wide, inside, factor, (1.0, 1 / spacing**2, 0.0)).clip(0, 1)
        np.testing.assert_allclose(changed[:, mask], expected, atol=1e-6)
        results.append(changed)
    assert np.abs(results[0] - results[1]).max() > 0.01
