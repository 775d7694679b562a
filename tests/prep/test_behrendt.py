"""The preparation of Behrendt et al. as the recipe `prep-behrendt` has it, without their mistakes.

Numbers are those of the acceptance checks of the shared protocol. Their public code assumes voxels
of 1 mm, tells masks from images by words in the path, warps labels linearly and lets the spline
overshoot; the tests hold the corrected behaviour. Theirs normalises before it resamples: here the
percentiles are those of the resampled image, so that steps 4 and 5 end alike.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hale.core.grid import Grid, resample
from hale.core.scan import Contrast, Scan, Volume
from hale.core.types import Map, Mask
from hale.core.warp import Way
from hale.data.layouts.labels import ANY
from hale.data.phantom import phantom
from hale.io.cache import Cache
from hale.io.raw import read_raw
from hale.io.template import mni152
from hale.prep.chain import prepare, space_of
from hale.prep.normalize import normalised
from hale.prep.place import brought
from hale.prep.settings import MNI152, Preparation
from hale.prep.template import middle_of
from hale.recipe import bundled, read_recipe

SETTINGS = replace(read_recipe(bundled()["prep-behrendt"]).prep, template=MNI152, bias=False)
"""Their template is not ours to give; N4 has tests of its own."""
HERE = Way(affine=np.eye(4))


@cache
def middle() -> np.ndarray:
    """Return the middle of the template's brain, mm."""
    return middle_of(mni152())


def centred(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    """Return a grid about the middle of the template's brain."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = middle() - (np.array(shape) - 1) / 2 * spacing
    return Grid(shape=shape, affine=affine)


@pytest.fixture(scope="module")
def stages(tmp_path_factory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    """One exam under two names; one of them means a mask to the public code."""
    subject, root = phantom(7, 3), tmp_path_factory.mktemp("data")
    paths = root / "scans/sub-01_T1w.nii.gz", root / "segmentation/masked/sub-01_T1w.nii.gz"
    for path in paths:
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(subject.scan.values, subject.scan.grid.affine), path)
    return paths


def prepared(path: Path, stages: Cache, settings: Preparation = SETTINGS) -> Scan:
    raw = read_raw({Contrast.T1W: path}, name="scan")
    return prepare(raw, settings, stages, space_of(settings)).scan


def smooth(grid: Grid) -> Map:
    """Return a head without edges, the same at the same position whatever the grid."""
    x, y, z = np.ogrid[tuple(slice(n) for n in grid.shape)]
    x, y, z = (grid.affine[n, n] * at + grid.affine[n, 3] for n, at in enumerate((x, y, z)))
    values = 500 + 90 * np.cos(x / 9 + 1) * np.cos(y / 14) + 70 * np.cos((z - x) / 11)
    return (values + 50 * np.sin((y + z) / 17)).astype(np.float32)


def ball(grid: Grid, radius_mm: float, middle_mm: np.ndarray | None = None) -> Mask:
    """Return the voxels around a position, the middle of the template's brain if None."""
    centre = middle() if middle_mm is None else middle_mm
    at = np.ogrid[tuple(slice(n) for n in grid.shape)]
    far = ((grid.affine[n, n] * at[n] + grid.affine[n, 3] - centre[n]) ** 2 for n in range(3))
    return sum(far) < radius_mm**2


# Check 4
def test_192_192_100_voxels_of_1_mm_become_96_96_50_of_2_mm():
    model = space_of(SETTINGS).grid
    grid = centred((192, 192, 100), (1.0, 1.0, 1.0))
    volume, brain = Volume(values=smooth(grid), grid=grid), ball(grid, 45.0)
    image = brought(volume, brain, HERE, model, SETTINGS)
    inside = HERE.bring_mask(brain, grid, model)
    assert image.shape == inside.shape == (96, 96, 50)
    assert image.size == 460_800
    # A voxel of 2 mm is the middle of eight of 1 mm, the outermost ones too.
    corner = grid.positions(np.zeros((1, 3))) + 0.5
    assert np.allclose(model.positions(np.zeros((1, 3))), corner)
    np.testing.assert_allclose(image[inside], smooth(model)[inside], rtol=0.02)
    assert 8 * inside.sum() == pytest.approx(brain.sum(), rel=0.01)


# Check 5
@pytest.mark.parametrize("clip", [True, False])
def test_intensities_lie_between_0_and_1_and_the_background_is_0(clip, files, stages):
    scan = prepared(files[0], stages, replace(SETTINGS, clip=clip))
    assert scan.image.shape == (1, 96, 96, 50)
    assert scan.brain.shape == (96, 96, 50)
    inside = scan.image[0][scan.brain]
    assert not scan.image[0][~scan.brain].any()
    assert (inside <= 0).mean() == pytest.approx(0.01, abs=2e-3)
    assert (inside >= 1).mean() == pytest.approx(0.01, abs=2e-3)
    assert (inside.min() >= 0) == (inside.max() <= 1) == clip


# Check 6
@pytest.mark.parametrize("flow", [0, 3])
def test_voxel_sizes_are_those_of_the_header(flow):
    settings = replace(SETTINGS, curvature_flow=flow)
    model = centred((30, 30, 30), (2.0, 2.0, 2.0))

    def seen(values: Map, grid: Grid) -> Map:
        volume = Volume(values=values, grid=grid)
        image = brought(volume, ball(grid, 28.0), HERE, model, settings)
        return normalised(image, ball(model, 26.0), settings, "a")[0]

    plain = centred((64, 64, 64), (1.0, 1.0, 1.0))
    other = centred((50, 58, 72), (1.3, 1.1, 0.9))
    twin = seen(smooth(plain), plain)
    assert np.abs(seen(smooth(other), other) - twin).max() < 0.02
    ignored = centred(other.shape, (1.0, 1.0, 1.0))  # as published
    assert np.abs(seen(smooth(other), ignored) - twin).max() > 0.2


# Check 7
def test_an_image_is_smoothed_wherever_it_lies_and_a_mask_never(files, stages):
    one, two = (prepared(path, stages) for path in files)
    assert np.array_equal(one.image, two.image)
    rough = prepared(files[1], stages, replace(SETTINGS, curvature_flow=0))
    assert np.abs(two.image - rough.image).max() > 0.05
    assert np.array_equal(two.brain, rough.brain)


def test_masks_are_moved_by_their_nearest_voxel_and_not_dilated():
    grid = centred((24, 24, 24), (1.0, 1.0, 1.0))
    lesion = ball(grid, 5.0, middle() + 0.3)
    target = centred((12, 12, 12), (2.0, 2.0, 2.0))
    moved = HERE.bring_mask(lesion, grid, target)
    assert moved.dtype == bool
    assert 8 * moved.sum() == pytest.approx(lesion.sum(), rel=0.1)
    linear = resample(lesion.astype(np.float32), grid, target) > 0  # as published
    assert 8 * linear.sum() > 1.4 * lesion.sum()


def test_whatever_is_above_0_is_mask_before_anything_is_multiplied(files, tmp_path):
    raw = read_raw({Contrast.T1W: files[0]})
    inside, grid = raw.reference.values > 0, raw.reference.grid
    parts = np.random.default_rng(0).uniform(0.01, 3, inside.shape).astype(np.float32) * inside
    nib.save(nib.Nifti1Image(parts, grid.affine), tmp_path / "mask.nii.gz")
    given = read_raw({Contrast.T1W: files[0]}, brain=tmp_path / "mask.nii.gz").brain
    assert np.array_equal(given, inside)
    assert np.array_equal(ANY.lesion_in(parts), inside)
