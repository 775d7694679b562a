"""A scan is recognised by its tissues, whatever its scale; no answer beats a wrong one."""

from functools import cache
from itertools import product

import numpy as np
import pytest

from hale.core.grid import Grid, resample
from hale.core.scan import Contrast
from hale.io.nifti import read_volume
from hale.io.template import mni152, mni152_tissues
from hale.prep.contrast import agrees, is_clear, margins, recognise

GRID = Grid(
    shape=(96, 96, 80),
    affine=np.array([[2.0, 0, 0, -95], [0, 2, 0, -112], [0, 0, 2, -74], [0, 0, 0, 1]]),
)
T1W, T2W, FLAIR, PDW, T1W_CE, CT = Contrast
LEVELS = {  # fluid, grey, white
    T1W: (0.3, 0.7, 1.0),
    T2W: (3.0, 1.3, 1.0),
    FLAIR: (0.15, 1.15, 1.0),
    PDW: (1.1, 1.0, 0.8),
}
MR = tuple(LEVELS)


@cache
def shares(grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    template, tissues = mni152(), mni152_tissues()
    head = (template.values > 0).astype("f4")
    inside, grey, white = (
        resample(values, template.grid, grid)
        for values in (head, tissues.grey.values, tissues.white.values)
    )
    return inside, grey, white


def head(levels: tuple[float, float, float], grid: Grid, noise: float = 0.03) -> np.ndarray:
    """The template's tissues at three intensities, with Rician noise, 0 outside the brain."""
    inside, grey, white = shares(grid)
    fluid, g, w = levels
    clean = fluid * (inside - grey - white) + g * grey + w * white
    real, imaginary = np.random.default_rng(0).normal(0, noise, (2, *grid.shape))
    return np.where(inside > 0.5, np.hypot(clean + real, imaginary), 0).astype("f4")


@pytest.fixture(scope="module")
def heads() -> dict[Contrast, np.ndarray]:
    return {contrast: head(levels, GRID) for contrast, levels in LEVELS.items()}


@pytest.fixture(scope="module")
def brain() -> np.ndarray:
    return shares(GRID)[0] > 0.5


@pytest.fixture(scope="module")
def fluid() -> np.ndarray:
    inside, grey, white = shares(GRID)
    return inside - grey - white > 0.3


@pytest.mark.parametrize("contrast", MR)
def test_each_contrast_is_recognised_and_contradicts_the_others(contrast, heads, brain):
    found = recognise(heads[contrast], brain, GRID)
    assert found.contrast is contrast, found.reason
    assert str(contrast) in found.reason
    assert [claim for claim in MR if agrees(found, claim)] == [contrast]


@pytest.mark.parametrize("contrast", MR)
def test_scale_offset_and_eight_bits_do_not_matter(contrast, heads, brain):
    stored = np.rint(heads[contrast] / heads[contrast].max() * 200).astype("f4")
    for image in (stored, 40 * stored - 1000):
        assert recognise(image, brain, GRID).contrast is contrast


@pytest.mark.parametrize("contrast", MR)
def test_a_bias_field_does_not_matter(contrast, heads, brain):
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in GRID.shape], indexing="ij")
    bias = np.exp(0.2 * x + 0.2 * y - 0.1 * z).astype("f4")
    assert recognise(heads[contrast] * bias, brain, GRID).contrast is contrast


@pytest.mark.parametrize("contrast", MR)
def test_a_single_slice_will_do(contrast):
    affine = np.eye(4)
    affine[:3, 3] = (-78, -112, 18)
    grid = Grid(shape=(157, 189, 1), affine=affine)
    image = head(LEVELS[contrast], grid)
    assert recognise(image, image > 0, grid).contrast is contrast


@pytest.mark.parametrize("fluid", [0.75, 0.8, 0.9, 1.0])
def test_in_a_pdw_the_fluid_may_be_as_white_or_grey(fluid, brain):
    assert recognise(head((fluid, 1.0, 0.8), GRID), brain, GRID).contrast is PDW


def test_an_inverted_t1w_is_no_t1w(heads, brain):
    inverted = np.where(brain, 1.2 - heads[T1W], 0).astype("f4")
    found = recognise(inverted, brain, GRID)
    assert found.contrast is not T1W
    assert found.margins[T1W] < -2


@pytest.mark.parametrize("contrast", MR)
def test_ventricles_cut_out_of_the_mask_leave_no_answer(contrast, heads, brain, fluid):
    found = recognise(heads[contrast], brain & ~fluid, GRID)
    assert found.contrast is None
    assert "ventricles" in found.reason
    assert all(agrees(found, claim) for claim in Contrast)


@pytest.mark.parametrize("contrast", MR)
def test_erased_ventricles_are_not_dark_ones(contrast, heads, brain, fluid):
    found = recognise(np.where(fluid, 0, heads[contrast]).astype("f4"), brain, GRID)
    assert found.contrast is None
    assert "ventricles" in found.reason


def test_what_has_no_tissue_has_no_contrast(brain):
    noise = np.random.default_rng(0).uniform(1, 2, GRID.shape).astype("f4")
    flat = np.ones(GRID.shape, "f4")
    for image, inside in ((noise, brain), (flat, brain), (noise, np.zeros_like(brain))):
        found = recognise(image, inside, GRID)
        assert found.contrast is None
        assert found.reason


def test_much_noise_makes_a_t1w_unknown_but_no_flair(brain):
    answers = {recognise(head(LEVELS[T1W], GRID, n), brain, GRID).contrast for n in (0.1, 0.3)}
    assert FLAIR not in answers
    assert None in answers


def test_relations_exclude_each_other():
    steps = np.linspace(-12, 12, 33)
    for fluid, grey, dry in product(steps, steps, steps):
        held = margins(float(fluid), float(grey), float(dry))
        assert sum(margin >= 0 for margin in held.values()) <= 1


def test_families(heads, brain):
    t1w, flair = (recognise(heads[c], brain, GRID) for c in (T1W, FLAIR))
    assert agrees(t1w, T1W_CE)
    assert not agrees(t1w, CT)
    assert agrees(flair, CT)  # the same order of tissues
    assert not agrees(flair, T1W_CE)


def onto_the_template(values: np.ndarray, grid: Grid, brain: np.ndarray) -> np.ndarray:
    """The scan on the model grid, centre and spread of its brain laid on the template's."""
    there, here = GRID.positions(np.argwhere(brain)), grid.positions(np.argwhere(values > 0))
    scale = here.std(0) / there.std(0)
    to_native = np.diag([*scale, 1.0])
    to_native[:3, 3] = here.mean(0) - scale * there.mean(0)
    return resample(values, grid, GRID, transform=to_native)


@pytest.mark.parametrize("contrast", [T1W, T2W, FLAIR])
def test_a_real_exam(contrast, brain, shared_data):
    folder = shared_data / "mslub/sub-07/anat"
    volume = read_volume(folder / f"sub-07_space-MNI_{contrast}.nii.gz").volume
    image = onto_the_template(volume.values, volume.grid, brain)
    found = recognise(image, image > 0, GRID)
    assert found.contrast is contrast, found.reason


def test_real_slices_of_flair(shared_data):
    files = sorted((shared_data / "soop").rglob("*_FLAIR.nii.gz"))[::28]
    answers = []
    for file in files:
        volume = read_volume(file).volume
        answers.append(recognise(volume.values, volume.values != 0, volume.grid).contrast)
    assert set(answers) <= {FLAIR, None}
    assert answers.count(FLAIR) >= 0.7 * len(files)


@pytest.mark.parametrize("subject", ["sub-0112", "sub-0123", "sub-0538", "sub-1345"])
def test_a_flair_slice_that_passes_for_a_t1w_does_so_in_doubt(subject, shared_data):
    slice_ = read_volume(
        shared_data / "soop" / subject / "anat" / f"{subject}_space-MNI_FLAIR.nii.gz"
    ).volume
    found = recognise(slice_.values, slice_.values > 0, slice_.grid)
    assert not agrees(found, FLAIR)
    assert not is_clear(found)
