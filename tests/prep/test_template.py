"""A template is a brain alone, whatever else has much background."""

import nibabel as nib
import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.grid import Grid, resample
from hale.prep.template import template_of, template_on
from hale.prep.working import smoothed

GRID = Grid(shape=(100, 120, 100), affine=np.diag([2.0, 2.0, 2.0, 1.0]))


def ball(radii_mm: float, *, middle=(100.0, 120.0, 100.0), squeeze=1.0) -> np.ndarray:
    """Return where an ellipsoid is, longer along y."""
    x, y, z = (2.0 * np.indices(GRID.shape).T - middle).T
    return (x**2 + (y * squeeze) ** 2 + z**2) < radii_mm**2


def written(values: np.ndarray, folder) -> str:
    path = folder / "template.nii.gz"
    nib.save(nib.Nifti1Image(values.astype("f4"), GRID.affine), path)
    return str(path)


def test_a_brain_alone_is_a_template_from_0_to_1(tmp_path):
    brain = ball(70, squeeze=0.8)  # 1,796 ml
    template = template_of(written(80.0 * brain, tmp_path))
    assert (template.values.min(), template.values.max()) == (0, 1)
    np.testing.assert_array_equal(template.values > 0, brain)


HEAD = ball(98, squeeze=0.85)
"""4,600 ml."""
NOT_ALONE = {
    "a head whose air is 0": 50.0 * HEAD,
    "two pieces": 50.0 * (ball(60, middle=(70, 70, 100)) | ball(50, middle=(140, 190, 100))),
    "a kernel": 50.0 * ball(30),
    "a brain on a background of 1": 1 + 50.0 * ball(70, squeeze=0.8),
}


@pytest.mark.parametrize("values", NOT_ALONE.values(), ids=NOT_ALONE)
def test_what_is_no_brain_alone_is_no_template(values, tmp_path):
    assert (values == values[0, 0, 0]).mean() > 0.3
    with pytest.raises(Refused, match="is no brain-extracted template"):
        template_of(written(values, tmp_path))


def test_scans_of_one_spacing_share_a_template_and_others_have_their_own():
    coarse = Grid(shape=(32, 36, 10), affine=np.diag([3.0, 3.0, 4.0, 1.0]))
    template = template_of("mni152")
    for grid in (coarse, GRID, coarse):
        anew = resample(smoothed(template, min(grid.spacing)), template.grid, grid)
        first = template_on(grid)
        np.testing.assert_array_equal(first, anew)
        first[:] = -1  # a caller's own copy
        np.testing.assert_array_equal(template_on(grid), anew)
