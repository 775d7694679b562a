"""The stages of the preparation, each on its own, on a phantom brain."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.grid import Grid, resample
from hale.core.scan import Contrast, RawScan, Space, Volume
from hale.data.phantom import Phantom, phantom
from hale.io.cache import Cache
from hale.io.raw import read_raw
from hale.io.template import mni152
from hale.prep.bias import coarse_grid, corrected, log_bias
from hale.prep.brain.extracted import already_extracted
from hale.prep.chain import prepare, space_of
from hale.prep.measures import resemblance
from hale.prep.normalize import normalised
from hale.prep.settings import Mode, Normalisation, Preparation

COARSE = Preparation(spacing_mm=4.0, shape=(48, 48, 40), bias=False)


@pytest.fixture(scope="module")
def subject() -> Phantom:
    return phantom(7, 0)


@pytest.fixture(scope="module")
def template() -> Volume:
    """The template at 2 mm: as much as the registration looks at."""
    fine = mni152()
    grid = Grid(shape=(98, 116, 94), affine=fine.grid.affine @ np.diag([2.0, 2, 2, 1]))
    return Volume(values=resample(fine.values, fine.grid, grid), grid=grid)


def raw(volume: Volume, **more) -> RawScan:
    return RawScan(id="scan", volumes={Contrast.T1W: volume}, **more)


# Normalisation


@pytest.mark.parametrize("how", [Normalisation.PERCENTILE, Normalisation.ROBUST_Z])
def test_normalisation_forgets_scale_and_offset(how, subject):
    settings = Preparation(normalise=how, clip=False)
    values, brain = subject.scan.values, subject.brain
    one, _ = normalised(values, brain, settings, "a")
    two, _ = normalised(values * 7 + 100, brain, settings, "a")
    assert np.allclose(one, two, atol=1e-4)
    assert (one[~brain] == 0).all()


def test_percentiles_become_0_and_1(subject):
    settings = Preparation(clip=True)
    image, (offset, scale) = normalised(subject.scan.values, subject.brain, settings, "a")
    low, high = np.percentile(subject.scan.values[subject.brain], [1, 99])
    assert (offset, offset + scale) == pytest.approx((low, high))
    assert image.min() == 0
    assert image.max() == 1
    between = subject.brain & (image > 0) & (image < 1)
    assert np.allclose((offset + scale * image)[between], subject.scan.values[between], rtol=1e-4)


def test_robust_z_has_median_0_and_spread_1(subject):
    settings = Preparation(normalise=Normalisation.ROBUST_Z)
    inside = normalised(subject.scan.values, subject.brain, settings, "a")[0][subject.brain]
    assert np.median(inside) == pytest.approx(0, abs=1e-5)
    assert 1.4826 * np.median(np.abs(inside)) == pytest.approx(1, abs=1e-4)


def test_no_normalisation_leaves_the_brain_as_it_is(subject):
    settings = Preparation(normalise=Normalisation.NONE)
    image, intensity = normalised(subject.scan.values, subject.brain, settings, "a")
    assert intensity == (0, 1)
    assert np.array_equal(image[subject.brain], subject.scan.values[subject.brain])


def test_one_grey_value_cannot_be_normalised(subject):
    with pytest.raises(Refused, match="no contrast"):
        normalised(np.ones_like(subject.scan.values), subject.brain, Preparation(), "a")


# Recognising a brain that is extracted


def test_a_phantom_is_recognised_as_extracted_whatever_its_background(subject):
    values, brain = subject.scan.values, subject.brain
    for background in (0.0, -1024.0, np.nan):
        placed = np.where(brain, values, np.float32(background))
        found = already_extracted(Volume(values=placed, grid=subject.scan.grid))
        assert found is not None
        assert (found != brain).mean() < 1e-3


def test_a_hole_of_the_background_is_within_the_brain(subject):
    values = subject.scan.values.copy()
    middle = tuple(slice(n // 2 - 2, n // 2 + 2) for n in values.shape)
    values[middle] = 0
    assert already_extracted(Volume(values=values, grid=subject.scan.grid))[middle].all()


def test_noise_in_the_air_two_pieces_and_a_child_of_300_ml_are_not_extracted(subject):
    values, grid = subject.scan.values, subject.scan.grid
    rng = np.random.default_rng(0)
    noisy = np.where(subject.brain, values, rng.uniform(1, 9, values.shape)).astype("f4")
    assert already_extracted(Volume(values=noisy, grid=grid)) is None
    cut = values.copy()
    cut[values.shape[0] // 2 - 2 : values.shape[0] // 2 + 2] = 0
    assert already_extracted(Volume(values=cut, grid=grid)) is None
    shrunk = Grid(shape=grid.shape, affine=grid.affine @ np.diag([0.6, 0.6, 0.6, 1.0]))
    assert already_extracted(Volume(values=values, grid=shrunk)) is None
    empty = Volume(values=np.zeros_like(values), grid=grid)
    assert already_extracted(empty) is None


@pytest.mark.parametrize(
    ("name", "extracted"),
    [
        ("mslub/sub-07/anat/sub-07_space-MNI_T1w.nii.gz", True),
        ("ixi/sub-IXI012/anat/sub-IXI012_T1w.nii.gz", False),
        ("tcga/sub-FG6692/anat/sub-FG6692_T1w.nii.gz", False),
        ("mslub/sub-long12/ses-1/anat/sub-long12_ses-1_T1w.nii.gz", False),
    ],
)
def test_real_scans_are_told_apart(name, extracted, shared_data):
    volume = read_raw({Contrast.T1W: shared_data / name}).reference
    assert (already_extracted(volume) is not None) == extracted


# Bias field


def test_the_bias_field_keeps_the_mean_and_takes_most_of_a_known_field(subject):
    grid, brain = subject.scan.grid, subject.brain
    x = np.linspace(-1, 1, grid.shape[0], dtype=np.float32)[:, None, None]
    field = 0.4 * x - 0.3 * x**2 + np.zeros(grid.shape, np.float32)
    flat = np.where(brain, 500 + 200 * (subject.scan.values > 400), 0).astype(np.float32)
    biased = Volume(values=flat * np.exp(field), grid=grid)
    found = log_bias(biased, brain)
    steps = [round(c / n) for c, n in zip(coarse_grid(biased).spacing, grid.spacing, strict=True)]
    inside = brain[:: steps[0], :: steps[1], :: steps[2]]
    assert found.shape == coarse_grid(biased).shape
    assert found[inside].mean() == pytest.approx(0, abs=1e-5)
    mended = corrected(biased, found).values
    left = np.log(mended[brain] / flat[brain])
    assert left.std() < 0.35 * field[brain].std()
    assert np.array_equal(log_bias(biased, brain), found)


def test_a_field_of_nothing_changes_nothing(subject):
    coarse = np.zeros(coarse_grid(subject.scan).shape, np.float32)
    assert np.array_equal(corrected(subject.scan, coarse).values, subject.scan.values)


# Registration


# Is it a brain


def test_a_brain_of_any_contrast_resembles_the_template_and_noise_does_not(template):
    inside = template.values > 0.05
    flipped = np.where(inside, 1 - template.values, 0).astype(np.float32)  # a T2w of sorts
    assert resemblance(flipped, template.values, inside, template.grid) > 0.9
    noise = np.random.default_rng(0).normal(size=inside.shape).astype(np.float32)
    assert abs(resemblance(noise, template.values, inside, template.grid)) < 0.05
    assert resemblance(np.ones_like(noise), template.values, inside, template.grid) < 0.05
    assert np.isnan(resemblance(noise, template.values, inside & False, template.grid))


# The chain


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


def test_preparation_repeats_to_the_bit_and_comes_back(subject, cache):
    space = space_of(COARSE)
    one = prepare(raw(subject.scan), COARSE, cache, space)
    two = prepare(raw(subject.scan), COARSE, Cache(), space)
    assert one.scan.content == two.scan.content
    assert np.array_equal(one.trace.to_native, two.trace.to_native)
    assert one.trace.checks["overlap_dice"] > 0.93
    offset, scale = one.trace.intensity
    back = offset + scale * one.trace.undo(one.scan.image[0])
    core = one.trace.brain & (one.trace.undo(one.scan.brain.astype("f4")) > 0.99)
    agree = np.corrcoef(back[core], subject.scan.values[core])[0, 1]
    assert agree > 0.8  # at 4 mm; a shift by a voxel of 2 mm gives less
    shifted = np.corrcoef(np.roll(back, 2, 0)[core], subject.scan.values[core])[0, 1]
    assert agree > shifted + 0.1


def test_a_scan_of_another_contrast_is_refused_by_name(subject, cache):
    space = Space(slots=((Contrast.FLAIR, Contrast.T2W),), grid=space_of(COARSE).grid)
    with pytest.raises(Refused, match="is T1w, the model takes FLAIR/T2w"):
        prepare(raw(subject.scan), COARSE, cache, space)


def test_a_scan_on_the_models_grid_is_only_normalised(subject):
    settings = Preparation(mode=Mode.GIVEN)
    space = space_of(settings, raw(subject.scan))
    prepared = prepare(raw(subject.scan), settings, Cache(), space)
    assert np.array_equal(prepared.scan.brain, subject.brain)
    assert np.array_equal(prepared.trace.to_native, np.eye(4))
    elsewhere = Grid(shape=subject.scan.grid.shape, affine=np.eye(4))
    moved = Volume(values=subject.scan.values, grid=elsewhere)
    with pytest.raises(Refused, match="or elsewhere in space"):
        prepare(raw(moved), settings, Cache(), space)
    empty = Volume(values=0 * subject.scan.values, grid=subject.scan.grid)
    with pytest.raises(Refused, match="every voxel is 0"):
        prepare(raw(empty), settings, Cache(), space)
    with pytest.raises(Refused, match="needs a scan; give --data"):
        space_of(settings)


@pytest.mark.slow
def test_nan_in_a_whole_head_is_refused_at_the_cortex_and_repaired_in_the_air(
    shared_data, cache: Cache
):
    settings = replace(COARSE, bias=True)
    space = space_of(settings)
    path: Path = shared_data / "ixi/sub-IXI012/anat/sub-IXI012_T1w.nii.gz"
    volume = read_raw({Contrast.T1W: path}).reference
    mask = next(path.parent.glob("*desc-brain_mask.nii.gz"))
    known = read_raw({Contrast.T1W: path}, brain=mask).brain
    at = np.argwhere(known)
    top = at[at[:, 2].argmax()]
    holed = volume.values.copy()
    holed[tuple(slice(n - 4, n + 5) for n in top)] = np.nan  # 18 mm wide, at the vertex
    with pytest.raises(Refused, match="voxels of the brain are NaN or infinite"):
        prepare(raw(Volume(values=holed, grid=volume.grid)), settings, cache, space)
    airy = volume.values.copy()
    airy[:3, :3, :3] = np.nan
    prepared = prepare(raw(Volume(values=airy, grid=volume.grid)), settings, cache, space)
    (note,) = prepared.trace.notes
    assert note == "27 voxels outside the brain are NaN or infinite: taken as 0"


@pytest.mark.parametrize("shape", [(157, 189, 1), (12, 9, 8)])
def test_blocks_of_voxels_lie_where_their_voxels_did(shape):
    fine = Grid(shape=shape, affine=np.diag([-1.0, 1.5, 3.0, 1.0]))
    coarse = fine.coarser(2)
    steps = [2 if n > 1 else 1 for n in shape]
    assert coarse.shape == tuple(-(-n // step) for n, step in zip(shape, steps, strict=True))
    middle = (np.array([steps]) - 1) / 2
    np.testing.assert_allclose(coarse.positions(np.zeros((1, 3))), fine.positions(middle))
    np.testing.assert_allclose(
        coarse.positions(np.array([[1, 2, 0]])),
        fine.positions(middle + np.array([steps]) * [1, 2, 0]),
    )
    assert fine.summed(np.ones(shape, np.float32), 2).sum() == np.prod(shape)


def test_a_given_slice_is_coarsened_and_its_map_comes_back():
    brain = np.zeros((41, 38, 1), bool)
    brain[5:36, 6:30] = True
    fine = Grid(shape=brain.shape, affine=np.eye(4))
    slope = np.broadcast_to(100.0 + np.arange(41)[:, None, None], brain.shape)
    values = np.where(brain, slope, 0).astype(np.float32)
    scan = raw(Volume(values=values, grid=fine), brain=brain)
    settings = Preparation(mode=Mode.GIVEN, coarsen=2, normalise=Normalisation.NONE)
    space = space_of(settings, scan)
    prepared = prepare(scan, settings, Cache(), space)
    assert prepared.scan.image.shape == (1, 21, 19, 1)
    inside = prepared.scan.brain
    expected = 100.5 + 2 * np.arange(21)[:, None, None]  # the mean of two rows
    np.testing.assert_allclose(
        prepared.scan.image[0][3:17, 4:14], np.broadcast_to(expected[3:17], (14, 10, 1))
    )
    assert abs(4 * inside.sum() - brain.sum()) < 0.1 * brain.sum()
    back = prepared.trace.undo(prepared.scan.image[0])
    middle = (slice(9, 32), slice(10, 26))
    np.testing.assert_allclose(back[middle], values[middle], atol=1e-3)
    assert not back[~brain].any()


def test_coarsening_goes_with_given_scans():
    with pytest.raises(ValueError, match="coarsen"):
        Preparation(coarsen=2)


def test_a_slice_without_background_is_refused_unless_its_brain_is_given():
    values = np.random.default_rng(0).random((20, 24, 1)).astype(np.float32) + 1
    brain = np.zeros(values.shape, bool)
    brain[4:16, 5:20] = True
    grid = Grid(shape=values.shape, affine=np.eye(4))
    native = Preparation(mode=Mode.NATIVE)
    scan = raw(Volume(values=values, grid=grid))
    space = space_of(native, scan)
    with pytest.raises(Refused, match=r"no background of 0 \(100 % is not 0\).*--brain-mask"):
        prepare(scan, native, Cache(), space)
    given = prepare(replace(scan, brain=brain), native, Cache(), space)
    np.testing.assert_array_equal(given.scan.brain, brain)
    extracted = raw(Volume(values=values * brain, grid=grid))
    taken = prepare(extracted, native, Cache(), space)
    np.testing.assert_array_equal(taken.scan.brain, brain)
    assert any("taken as brain-extracted" in note for note in taken.trace.notes)
