"""Exams of several contrasts on a phantom: every channel shows the same brain in the same place."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hale.core.errors import Refused
from hale.core.grid import Grid, resample
from hale.core.scan import Contrast, RawScan, Volume
from hale.data.phantom import Phantom, phantom
from hale.io.cache import Cache
from hale.io.template import mni152
from hale.prep.chain import Prepared, prepare, space_of
from hale.prep.settings import Extraction, Mode, Preparation, Registration
from hale.prep.template import middle_of, template_of

T1W, T2W, FLAIR = Contrast.T1W, Contrast.T2W, Contrast.FLAIR
COARSE = Preparation(spacing_mm=4.0, shape=(48, 48, 40), bias=False, clip=False)
BOTH = replace(COARSE, slots=((T1W,), (T2W,)))


@pytest.fixture(scope="module")
def subject() -> Phantom:
    return phantom(7, 1)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


def turned() -> np.ndarray:
    """The patient moved between the scans: 9 degrees and 17 mm."""
    moved = np.eye(4)
    moved[:3, :3] = Rotation.from_euler("xyz", [4, -6, 5], degrees=True).as_matrix()
    moved[:3, 3] = [9, -12, 8]
    return moved


def second(subject: Phantom, *, shape=(96, 112, 34), top: bool = True) -> Volume:
    """The same brain inverted (a T2w), on thick slices elsewhere in the scanner."""
    scan, brain = subject.scan, subject.brain
    inverted = np.where(brain, scan.values[brain].max() + 50 - scan.values, 0).astype(np.float32)
    affine = np.diag([2.0, 2.0, 5.5, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * [2.0, 2.0, 5.5]
    if not top:
        affine[2, 3] -= 60.0  # the field of view ends below the vertex
    grid = Grid(shape=shape, affine=turned() @ affine)
    values = resample(inverted, scan.grid, grid, transform=np.linalg.inv(turned()))
    return Volume(values=values, grid=grid)


@pytest.fixture(scope="module")
def exam(subject) -> RawScan:
    return RawScan(id="exam", volumes={T1W: subject.scan, T2W: second(subject)})


@pytest.fixture(scope="module")
def prepared(exam, cache) -> Prepared:
    return prepare(exam, BOTH, cache, space_of(BOTH))


def test_channels_follow_the_slots_and_show_the_same_brain(prepared):
    one, two = prepared.scan.image
    core = prepared.scan.brain
    assert np.corrcoef(one[core], two[core])[0, 1] < -0.6  # inverted, voxel by voxel
    for axis in range(3):
        shifted = np.corrcoef(one[core], np.roll(two, 2, axis)[core])[0, 1]
        assert shifted > np.corrcoef(one[core], two[core])[0, 1] + 0.2


def test_the_second_contrast_is_found_where_it_was_put(exam, prepared, cache):
    single = prepare(
        replace(exam, volumes={T1W: exam.volumes[T1W]}), COARSE, cache, space_of(COARSE)
    )
    assert np.array_equal(prepared.scan.image[0], single.scan.image[0])
    assert np.array_equal(prepared.trace.to_native, single.trace.to_native)
    assert prepared.trace.native is exam.reference.grid
    assert prepared.trace.checks["covered_T2w"] == pytest.approx(1, abs=0.005)
    assert prepared.trace.checks["registration_starts_T2w"] == 1


def test_each_contrast_is_recognised_beside_what_it_is_called(prepared):
    seen = {s.claimed: s.recognised for s in prepared.trace.contrasts}
    assert set(seen) == {T1W, T2W}
    assert all(s.agrees for s in prepared.trace.contrasts)


def test_what_a_contrast_does_not_show_is_no_brain(subject, cache):
    low = RawScan(id="low", volumes={T1W: subject.scan, T2W: second(subject, top=False)})
    found = prepare(low, BOTH, cache, space_of(BOTH))
    whole = found.trace.checks["covered_T2w"]
    assert 0.3 < whole < 0.9
    alone = prepare(
        replace(low, volumes={T1W: subject.scan}), COARSE, cache, space_of(COARSE)
    ).scan.brain
    assert found.scan.brain.sum() == pytest.approx(whole * alone.sum(), rel=0.01)
    top = np.argwhere(alone)[:, 2].max()
    assert not found.scan.brain[..., top].any()
    assert found.trace.brain.sum() == pytest.approx(whole * subject.brain.sum(), rel=1e-6)
    assert not (found.trace.undo(np.ones_like(found.scan.image[0])) > 0)[~found.trace.brain].any()
    (note,) = [n for n in found.trace.notes if "not scored" in n]
    assert note.endswith("% of the brain, which T2w does not show, is not scored")
    inside = prepare(
        RawScan(id="all", volumes={T1W: subject.scan, T2W: second(subject)}),
        BOTH,
        cache,
        space_of(BOTH),
    )
    there, here = (p.trace.checks["resemblance_T2w"] for p in (inside, found))
    assert here > there - 0.2  # judged by what it shows, not by what it does not


def test_nan_in_the_brain_of_a_second_contrast_is_refused_by_name(exam, cache):
    bad = exam.volumes[T2W].values.copy()
    bad[tuple(n // 2 for n in bad.shape)] = np.nan
    spoiled = replace(
        exam, volumes={**exam.volumes, T2W: Volume(values=bad, grid=exam.volumes[T2W].grid)}
    )
    with pytest.raises(Refused, match="exam T2w: 1 voxels of the brain are NaN"):
        prepare(spoiled, BOTH, cache, space_of(BOTH))


def test_a_contrast_of_another_head_does_not_fit(exam, cache):
    rng = np.random.default_rng(0)
    noise = rng.uniform(1, 100, exam.volumes[T2W].values.shape).astype(np.float32)
    other = replace(
        exam, volumes={**exam.volumes, T2W: Volume(values=noise, grid=exam.volumes[T2W].grid)}
    )
    with pytest.raises(Refused, match="T2w"):
        prepare(other, BOTH, cache, space_of(BOTH))


def test_a_slice_among_the_contrasts_is_refused_by_name(exam, cache):
    volume = exam.volumes[T2W]
    thin = Volume(
        values=volume.values[..., :1].copy(),
        grid=Grid(shape=(*volume.grid.shape[:2], 1), affine=volume.grid.affine),
    )
    with pytest.raises(Refused, match="exam T2w: has 96 x 112 x 1 voxels: slices"):
        prepare(
            replace(exam, volumes={T1W: exam.reference, T2W: thin}), BOTH, cache, space_of(BOTH)
        )


# The template is a choice


@pytest.fixture(scope="module")
def other_template(tmp_path_factory) -> str:
    """MNI152 on 3 mm, 40 mm elsewhere."""
    fine = mni152()
    affine = fine.grid.affine @ np.diag([3.0, 3, 3, 1])
    grid = Grid(shape=(66, 78, 63), affine=affine)
    values = resample(fine.values, fine.grid, grid)
    shifted = affine.copy()
    shifted[:3, 3] += 40
    path = tmp_path_factory.mktemp("template") / "sri.nii.gz"
    nib.save(nib.Nifti1Image(np.where(values > 0.05, values * 900, 0), shifted), path)
    return str(path)


def test_any_template_gives_the_same_picture_elsewhere(exam, other_template, cache):
    alone = replace(exam, volumes={T1W: exam.reference})
    settings = replace(COARSE, template=other_template)
    here, there = (prepare(alone, s, cache, space_of(s)) for s in (COARSE, settings))
    middle, moved = middle_of(template_of("mni152")), middle_of(template_of(other_template))
    assert moved - middle == pytest.approx([40, 40, 40], abs=3)
    seen = there.trace.contrasts[0]  # the template is laid on MNI152, whose tissues are known
    assert seen.recognised in (T1W, None)
    assert "not compared" not in seen.why
    both = here.scan.brain & there.scan.brain
    assert both.sum() > 0.9 * here.scan.brain.sum()
    assert np.corrcoef(here.scan.image[0][both], there.scan.image[0][both])[0, 1] > 0.85


def test_the_template_of_the_reference_contrast_wins():
    settings = replace(COARSE, slots=((FLAIR,),), templates={FLAIR: "flair.nii"})
    assert settings.template_of_reference == "flair.nii"
    either = replace(COARSE, slots=((T1W, FLAIR),), templates={FLAIR: "flair.nii"})
    assert either.template_of_reference == "mni152"
    assert either.template_for(FLAIR) == "flair.nii"
    with pytest.raises(ValueError, match="templates: FLAIR is none of the reference's contrasts"):
        replace(COARSE, templates={FLAIR: "flair.nii"})


@pytest.mark.parametrize("what", ["missing", "whole head"])
def test_a_template_that_is_none_is_refused_by_name(what, tmp_path):
    path = tmp_path / "t.nii.gz"
    if what == "whole head":
        head = np.random.default_rng(0).uniform(1, 9, (20, 20, 20)).astype(np.float32)
        nib.save(nib.Nifti1Image(head, np.eye(4)), path)
    with pytest.raises(Refused, match=r"t\.nii\.gz: (there is no such file|is no brain-extracted)"):
        space_of(replace(COARSE, template=str(path)))


def test_deforming_lays_the_brain_closer_and_comes_back(subject, cache):
    alone = RawScan(id="exam", volumes={T1W: subject.scan})
    settings = replace(COARSE, registration=Registration.DEFORMABLE)
    stiff, soft = (prepare(alone, s, cache, space_of(s)) for s in (COARSE, settings))
    assert soft.trace.checks["overlap_dice"] > stiff.trace.checks["overlap_dice"]
    assert soft.trace.checks["correlation"] > stiff.trace.checks["correlation"]
    marks = np.array([[30.0, -20, 10], [-25, 15, 30], [0, -60, -20]])
    way = soft.trace.way
    assert way.back(way.there(marks)) == pytest.approx(marks, abs=0.5)
    assert not np.allclose(way.there(marks), stiff.trace.way.there(marks), atol=0.3)
    back = soft.trace.undo(soft.scan.image[0])
    inside = subject.brain & (back > 0)
    assert np.corrcoef(back[inside], subject.scan.values[inside])[0, 1] > 0.8


def test_curvature_flow_calms_noise_and_keeps_the_mean(subject, cache):
    alone = RawScan(id="exam", volumes={T1W: subject.scan})
    fine = replace(COARSE, spacing_mm=2.0, shape=(96, 96, 80))
    plain, calm = (
        prepare(alone, s, cache, space_of(s)).scan for s in (fine, replace(fine, curvature_flow=10))
    )
    rough = [np.abs(np.diff(s.image[0], axis=0))[s.brain[1:]].mean() for s in (plain, calm)]
    assert rough[1] < 0.95 * rough[0]
    assert calm.image[calm.brain[None]].mean() == pytest.approx(
        plain.image[plain.brain[None]].mean(), abs=0.02
    )


def test_a_brain_command_and_its_setting_go_together():
    with pytest.raises(ValueError, match="brain_command"):
        replace(COARSE, brain=Extraction.COMMAND)
    with pytest.raises(ValueError, match="brain_command"):
        replace(COARSE, brain_command="bet {in} {out}")


def test_what_is_not_registered_says_that_its_contrast_was_not_compared(subject, cache):
    settings = Preparation(mode=Mode.NATIVE, bias=False)
    alone = RawScan(id="exam", volumes={T1W: subject.scan})
    (seen,) = prepare(alone, settings, cache, space_of(settings, alone)).trace.contrasts
    assert (seen.recognised, seen.agrees) == (None, True)
    assert seen.why.startswith("not compared with the template's tissues")


def test_bias_correction_is_part_of_what_registrations_are_kept_under(subject, tmp_path):
    alone = RawScan(id="exam", volumes={T1W: subject.scan})
    for bias in (True, False):
        settings = replace(COARSE, bias=bias)
        prepare(alone, settings, Cache(tmp_path), space_of(settings))
    assert len(list((tmp_path / "register").rglob("*.safetensors"))) == 2
