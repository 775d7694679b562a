"""Registration lands on the same place wherever it starts, and says when it does not."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_erosion
from scipy.spatial.transform import Rotation

from hale.core.grid import Grid, resample
from hale.core.scan import Volume
from hale.data.phantom import Phantom, phantom
from hale.io.nifti import read_volume
from hale.io.template import mni152
from hale.prep.brain.extracted import already_extracted
from hale.prep.descent import Freedom, Pair
from hale.prep.itk import affine_of, image_of
from hale.prep.register import (
    AFFINE,
    WORKING_MM,
    coarse,
    first_that_holds,
    register,
    register_rigid,
    registered,
    registered_rigid,
)
from hale.prep.starts import Likeness, about_centres, orientations, refined
from hale.prep.threads import single_threaded
from hale.prep.working import centre_of_mass, shrunk

FAR = [((40, 0, 0), (0, 60, 0)), ((0, -40, 0), (60, 0, 0)), ((-22, 24, 22), (35, -35, 35))]
"""Degrees about the axes, mm."""


@cache
def template() -> Volume:
    """The template at 2 mm: as much as the registration looks at."""
    fine = mni152()
    grid = Grid(shape=(98, 116, 94), affine=fine.grid.affine @ np.diag([2.0, 2, 2, 1]))
    return Volume(values=resample(fine.values, fine.grid, grid), grid=grid)


@pytest.fixture(scope="module")
def subject() -> Phantom:
    return phantom(7, 0)


@pytest.fixture(scope="module")
def near(subject: Phantom) -> np.ndarray:
    """The registration from the undisturbed start."""
    return register(subject.scan, subject.brain, template())


def rigid(degrees: tuple[float, ...], shift: tuple[float, ...]) -> np.ndarray:
    moved = np.eye(4)
    moved[:3, :3] = Rotation.from_rotvec(degrees, degrees=True).as_matrix()
    moved[:3, 3] = shift
    return moved


def elsewhere(volume: Volume, moved: np.ndarray) -> Volume:
    grid = Grid(shape=volume.grid.shape, affine=moved @ volume.grid.affine)
    return Volume(values=volume.values, grid=grid)


def apart(one: np.ndarray, two: np.ndarray, markers: np.ndarray) -> float:
    """The largest distance, mm, between where two transforms bring the markers."""
    gap = (one - two) @ np.c_[markers, np.ones(len(markers))].T
    return float(np.linalg.norm(gap[:3], axis=0).max())


def markers(volume: Volume, inside: np.ndarray) -> np.ndarray:
    return volume.grid.positions(np.argwhere(inside)[::997])


# To the template


def test_a_known_affine_of_the_template_is_recovered_to_the_bit_each_time():
    truth = rigid((7, -5, 9), (8, -6, 11)) @ np.diag([1.05, 0.95, 1.02, 1])
    grid = Grid(shape=(110, 125, 110), affine=np.diag([2.0, 2, 2, 1]))
    grid.affine[:3, 3] = -105, -140, -100
    back = np.linalg.inv(truth)
    values = resample(template().values, template().grid, grid, transform=back)
    moved = Volume(values=values, grid=grid)
    found = register(moved, values > 0.05, template())
    assert apart(found, truth, markers(template(), template().values > 0.05)) < 1.5
    assert np.array_equal(register(moved, values > 0.05, template()), found)


@pytest.mark.parametrize(("degrees", "shift"), FAR)
def test_a_phantom_far_away_lands_where_it_lands_from_near(degrees, shift, subject, near):
    moved = rigid(degrees, shift)
    far = registered(elsewhere(subject.scan, moved), subject.brain, template())
    at = markers(template(), template().values > 0.05)
    assert apart(far.transform, moved @ near, at) < 1
    assert far.starts == 1


def test_a_real_head_far_away_lands_where_it_lands_from_near(shared_data):
    anat = shared_data / "ixi/sub-IXI175/anat"
    volume = read_volume(anat / "sub-IXI175_T1w.nii.gz").volume
    brain = read_volume(anat / "sub-IXI175_desc-brain_mask.nii.gz").volume.values > 0
    moved = rigid(*FAR[2])
    near = register(volume, brain, template())
    far = register(elsewhere(volume, moved), brain, template())
    assert apart(far, moved @ near, markers(template(), template().values > 0.05)) < 2


@pytest.mark.parametrize("kind", ["inverted", "1.5 mm, oblique", "3 mm slices"])
def test_the_template_may_be_any_image_anywhere(kind, subject, near):
    fine, bound = mni152(), 1.5
    placed = np.eye(4)
    if kind == "inverted":
        bound = 3.0  # partial volumes at the outline are now its brightest: 2 % smaller
        other = Volume(
            values=np.where(fine.values > 0, 1.2 - fine.values, 0).astype("f4"), grid=fine.grid
        )
    else:
        spacing = [1.5] * 3 if kind.startswith("1.5") else [1.2, 1.2, 3.0]
        placed = rigid((9, 4, -6), (30, 10, -20))
        turned = rigid((0, 12, 0), (0, 0, 0)) if kind.startswith("1.5") else np.eye(4)
        i, j, k = (int(n) for n in np.ceil(np.array([230, 270, 230]) / spacing))
        grid = Grid(shape=(i, j, k), affine=turned @ np.diag([*spacing, 1.0]))
        middle = placed[:3, :3] @ (0, -17, 5) + placed[:3, 3]
        grid.affine[:3, 3] = middle - grid.affine[:3, :3] @ ((np.array(grid.shape) - 1) / 2)
        values = resample(fine.values, fine.grid, grid, transform=np.linalg.inv(placed))
        other = Volume(values=100 * values, grid=grid)
    found = register(subject.scan, subject.brain, other)
    assert apart(found @ placed, near, markers(fine, fine.values > 0.3)) < bound


def test_a_start_that_leads_nowhere_is_noticed_and_the_next_one_taken(subject):
    scan = Volume(values=np.where(subject.brain, subject.scan.values, 0), grid=subject.scan.grid)
    with single_threaded():
        pair = Pair(fixed=shrunk(template(), WORKING_MM), moving=shrunk(scan, WORKING_MM))
        rough = coarse(pair)
        good = refined(rough, about_centres(rough))[0]
        bad = good @ rigid((0, 0, 180), (0, -34, 0))
        both = first_that_holds(pair, [bad, good], Likeness(rough), Freedom.AFFINE, AFFINE)
        assert both.starts == 2
        assert apart(both.transform, good, markers(template(), template().values > 0.3)) < 15

        class Strict(Likeness):
            def __call__(self, transform: np.ndarray) -> float:
                return -super().__call__(transform)  # so that every descent is for the worse

        with pytest.raises(RuntimeError, match="from none of 2 starts"):
            first_that_holds(pair, [bad, good], Strict(rough), Freedom.AFFINE, AFFINE)


# Between contrasts


def exam(shared_data: Path, *names: str) -> list[Volume]:
    return [read_volume(shared_data / name).volume for name in names]


def test_a_contrast_that_moved_is_brought_back(shared_data):
    stem = "mslub/sub-07/anat/sub-07_space-MNI"
    t1w, flair = exam(shared_data, f"{stem}_T1w.nii.gz", f"{stem}_FLAIR.nii.gz")
    brain = already_extracted(t1w)
    at = markers(t1w, brain)
    still = registered_rigid(flair, t1w, brain)
    assert apart(still.transform, np.eye(4), at) < 0.8  # they were aligned to some 0.5 mm
    moved = rigid((0, -20, 0), (0, 0, 40))
    found = register_rigid(elsewhere(flair, moved), t1w, brain)
    assert apart(found, moved @ still.transform, at) < 1


def test_a_thick_whole_head_that_moved_is_brought_back(shared_data):
    stem = "tcga/sub-FG6692/anat/sub-FG6692"
    t1w, flair = exam(shared_data, f"{stem}_T1w.nii.gz", f"{stem}_FLAIR.nii.gz")
    head = t1w.values > np.percentile(t1w.values, 60)
    middle = t1w.grid.positions((np.argwhere(head).mean(0))[None])[0] + (0, 0, 25)
    from_middle = t1w.grid.positions(np.argwhere(np.ones(t1w.grid.shape, bool))) - middle
    brain = (np.linalg.norm(from_middle / (65, 80, 60), axis=1) < 1).reshape(t1w.grid.shape)
    still = register_rigid(flair, t1w, brain)
    moved = rigid((12, -12, 10), (25, 25, -20))
    found = register_rigid(elsewhere(flair, moved), t1w, brain)
    assert apart(found, moved @ still, markers(t1w, brain)) < 1
    assert np.array_equal(register_rigid(elsewhere(flair, moved), t1w, brain), found)


# The pieces


def test_no_rotation_is_far_from_all_orientations():
    quaternions = orientations().as_quat()
    assert np.allclose(orientations()[0].as_matrix(), np.eye(3))
    drawn = Rotation.random(2000, rng=np.random.default_rng(0)).as_quat()
    nearest = np.abs(drawn @ quaternions.T).max(1)
    assert np.degrees(2 * np.arccos(nearest.min())) < 27


def test_likeness_is_the_entropy_of_the_bins_for_an_image_with_itself(subject):
    small = shrunk(subject.scan, 8.0)
    alike = Likeness(Pair(fixed=small, moving=small))
    assert alike(np.eye(4)) > 1
    assert alike(rigid((0, 0, 0), (3, 0, 0))) < 0.8 * alike(np.eye(4))
    assert alike(rigid((0, 0, 0), (900, 0, 0))) == pytest.approx(0, abs=1e-12)


def test_an_itk_image_lies_where_the_volume_lies_and_an_itk_transform_is_its_matrix(subject):
    grid = subject.scan.grid
    image = image_of(subject.scan)
    at = np.array(image.TransformIndexToPhysicalPoint((3, 50, 20)))
    assert np.allclose(at * (-1, -1, 1), grid.positions(np.array([[3, 50, 20]]))[0])
    assert image[3, 50, 20] == subject.scan.values[3, 50, 20]
    import SimpleITK as sitk

    turn = sitk.Euler3DTransform((10.0, -5.0, 3.0), 0.1, -0.3, 0.2, (4.0, 5.0, 6.0))
    x = np.array([12.0, -30.0, 7.0])
    expected = np.array(turn.TransformPoint((x * (-1, -1, 1)).tolist())) * (-1, -1, 1)
    assert np.allclose(affine_of(turn) @ [*x, 1], [*expected, 1])


def test_a_small_copy_keeps_the_centre_of_mass(subject):
    scan = subject.scan
    assert np.allclose(centre_of_mass(shrunk(scan, 8.0)), centre_of_mass(scan), atol=0.3)
    inner = binary_erosion(subject.brain, iterations=10)
    assert shrunk(scan, 4.0, inner).grid.shape < shrunk(scan, 4.0).grid.shape
