import numpy as np
import pytest
import torch

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Contrast, Scan, Space
from hale.train.classes import Palette, centres_of
from hale.train.points import Axes, Coordinates, Sampling, volume_of

N = 6
CUBE = Grid(shape=(N, N, N), affine=np.diag([40.0, 40.0, 40.0, 1.0]))  # 240 mm
RELEASED = Sampling(coordinates=Coordinates.RELEASED)


def first_axis(sampling: Sampling, grid: Grid, *, decoding: bool = False) -> np.ndarray:
    table = sampling.positions(grid, decoding=decoding)
    return table.reshape(*grid.shape, 3)[:, 0, 0, 0]


def test_released_coordinates_differ_between_fit_and_decoding():
    i = np.arange(N)
    np.testing.assert_allclose(first_axis(RELEASED, CUBE), 2 * i / N - 1, atol=1e-6)
    decoded = first_axis(RELEASED, CUBE, decoding=True)
    np.testing.assert_allclose(decoded, np.linspace(-1, 1, N), atol=1e-6)


def test_default_coordinates_are_voxel_centres_always():
    i = np.arange(N)
    for decoding in (False, True):
        found = first_axis(Sampling(), CUBE, decoding=decoding)
        np.testing.assert_allclose(found, (2 * i + 1) / N - 1, atol=1e-6)


def test_positions_are_mm_about_the_middle_of_the_grid_whatever_its_size():
    grid = Grid(shape=(96, 96, 80), affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    table = Sampling().positions(grid).reshape(96, 96, 80, 3)
    np.testing.assert_allclose(table[48, 10, 79] * 120, [1, 2 * (10 - 47.5), 79], atol=1e-4)
    finer = Grid(shape=(192, 192, 160), affine=np.eye(4))
    fine = Sampling().positions(finer).reshape(192, 192, 160, 3)
    np.testing.assert_allclose(fine[96:98, 20, 158].mean(0), table[48, 10, 79], atol=0.005)


def test_published_axes_point_up_back_and_left():
    for sampling in (
        Sampling(axes=Axes.SPL),
        Sampling(axes=Axes.SPL, coordinates=Coordinates.RELEASED),
    ):
        table = sampling.positions(CUBE).reshape(N, N, N, 3)
        rising = [
            np.diff(table[:, 0, 0, 2]),
            np.diff(table[0, :, 0, 1]),
            np.diff(table[0, 0, :, 0]),
        ]
        assert [np.sign(steps).tolist() for steps in rising] == [[-1] * 5, [-1] * 5, [1] * 5]
    flipped = table[:, 0, 0, 2][::-1]
    np.testing.assert_allclose(flipped, 2 * np.arange(N) / N - 1, atol=1e-6)


def test_a_slice_lies_in_the_middle():
    grid = Grid(shape=(N, N, 1), affine=CUBE.affine)
    assert not Sampling().positions(grid)[:, 2].any()


def test_a_grid_beyond_the_field_of_view_is_refused():
    with pytest.raises(Refused, match="field_of_view_mm 200"):
        Sampling(field_of_view_mm=200.0).positions(CUBE)


def test_half_of_the_points_lie_near_the_brain():
    grid = Grid(shape=(40, 40, 40), affine=np.eye(4))
    brain = np.zeros(grid.shape, bool)
    brain[18:22, 18:22, 18:22] = True
    image = np.where(brain, 0.5, 0)[None].astype(np.float32)
    image[0, 19, 19, 19] = 0.9
    scan = Scan(id="x", space=Space(slots=((Contrast.T1W,),), grid=grid), image=image, brain=brain)
    volume = volume_of(scan, centres_of([scan], Palette.COHORT), Sampling(mode_filter=1))
    near = torch.zeros(brain.size, dtype=torch.bool)
    near[volume.near] = True
    assert near.reshape(brain.shape)[15, 19, 19]
    assert not near.reshape(brain.shape)[14, 19, 19]
    drawn = volume.draw(20_000, 0.5, np.random.default_rng(0))
    share = float(near.float().mean())
    assert float(near[drawn].float().mean()) == pytest.approx(0.5 + 0.5 * share, abs=0.02)
    anywhere = volume.draw(20_000, 0.0, np.random.default_rng(0))
    assert float(near[anywhere].float().mean()) == pytest.approx(share, abs=0.01)
    assert near[volume.draw(100, 1.0, np.random.default_rng(0))].all()
