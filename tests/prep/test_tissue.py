"""Tissue classes: of the template, of any contrast, of a slice; and who finds them."""

import os
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.grid import Grid, resample
from hale.core.scan import Contrast, RawScan, Volume
from hale.io.cache import Cache
from hale.io.nifti import read_volume
from hale.prep import antspyx
from hale.prep.chain import prepare, space_of
from hale.prep.settings import Mode, Normalisation, Preparation, Segmenter
from hale.prep.template import template_on
from hale.prep.tissue import by_tissue, tissue_classes, tissue_map
from hale.prep.tissue_priors import priors_on
from hale.prep.working import smoothed
from hale.recipe import build_recipe

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = (-94, -130, -74)
COARSE = Grid(shape=(48, 56, 44), affine=AFFINE)
"""4 mm, about all of the template."""
FLAT = AFFINE @ np.diag([0.5, 0.5, 0.5, 1.0])
FLAT[2, 3] = 18
SLICE = Grid(shape=(96, 112, 1), affine=FLAT)
"""2 mm, 18 mm above the origin."""
BY_INTENSITY = {
    "T1w": (0.1, 0.5, 0.9),
    "T2w": (0.9, 0.6, 0.3),
    "FLAIR": (0.1, 0.7, 0.5),
    "PDw": (0.9, 0.7, 0.45),
}
"""Grey values of fluid, grey and white matter."""


def own_classes(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The tissue that the template has most of, and its brain."""
    priors = np.stack(priors_on(grid))
    brain = priors.sum(0) > 0.5
    return np.where(brain, priors.argmax(0) + 1, 0), brain


def scan_of(grid: Grid, contrast: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The template as another contrast would show it, with noise; its classes and its brain."""
    classes, brain = own_classes(grid)
    pure = np.array([0, *BY_INTENSITY[contrast]])[classes]
    noise = 0.04 * np.random.default_rng(0).standard_normal(grid.shape)
    return np.where(brain, pure + noise, 0).astype(np.float32), classes, brain


def dices(found: np.ndarray, wanted: np.ndarray) -> list[float]:
    pairs = [(found == n, wanted == n) for n in (1, 2, 3)]
    return [2 * float((a & b).sum()) / float(a.sum() + b.sum()) for a, b in pairs]


@pytest.fixture
def _ants() -> None:
    pytest.importorskip("ants")


def segmented(image: np.ndarray, brain: np.ndarray, grid: Grid) -> np.ndarray:
    return tissue_classes(image, brain, grid, contrast=Contrast.T1W, segmenter=Segmenter.ATROPOS)


@pytest.mark.usefixtures("_ants")
def test_the_template_has_its_own_tissues():
    """On the default grid, 2 mm; measured 0.80, 0.95 and 0.96."""
    grid = space_of(Preparation()).grid
    classes, brain = own_classes(grid)
    fluid, grey, white = dices(segmented(template_on(grid), brain, grid), classes)
    assert fluid > 0.75
    assert grey > 0.93
    assert white > 0.94


@pytest.mark.usefixtures("_ants")
@pytest.mark.parametrize("contrast", list(BY_INTENSITY))
def test_classes_are_in_the_order_of_the_tissues_in_every_contrast(contrast):
    image, classes, brain = scan_of(COARSE, contrast)
    fluid, grey, white = dices(segmented(image, brain, COARSE), classes)
    assert fluid > 0.85
    assert grey > 0.9
    assert white > 0.9


@pytest.mark.usefixtures("_ants")
def test_a_single_slice_is_segmented_in_its_plane():
    image, classes, brain = scan_of(SLICE, "FLAIR")
    found = tissue_map(image, brain, SLICE, contrast=Contrast.FLAIR)
    assert found.shape == SLICE.shape
    assert found.dtype == np.float32
    assert np.isin(found, np.array([0, 1 / 3, 2 / 3, 1], np.float32)).all()
    assert (found > 0).sum() == brain.sum()
    assert min(dices(np.rint(3 * found), classes)) > 0.6


@pytest.mark.usefixtures("_ants")
def test_neither_scale_nor_offset_nor_what_lies_outside_the_brain_matters():
    image, _, brain = scan_of(SLICE, "T1w")
    first = segmented(image, brain, SLICE)
    other = np.where(brain, 1000 * image + 50, 7).astype(np.float32)
    assert (segmented(other, brain, SLICE) == first).mean() > 0.999
    np.testing.assert_array_equal(segmented(image, brain, SLICE), first)


@pytest.mark.usefixtures("_ants")
def test_a_dark_lesion_in_white_matter_is_another_class():
    image, classes, brain = scan_of(COARSE, "T1w")
    at = (slice(16, 19), slice(28, 32), slice(26, 29))
    assert (classes[at] == 3).mean() > 0.6
    image[at] = 0.45
    assert (segmented(image, brain, COARSE)[at] < 3).mean() > 0.8


@pytest.mark.usefixtures("_ants")
def test_no_files_are_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    image, _, brain = scan_of(SLICE, "T1w")
    segmented(image, brain, SLICE)
    assert not list(tmp_path.iterdir())


def test_a_brain_elsewhere_is_refused():
    image, _, brain = scan_of(SLICE, "T1w")
    shifted = SLICE.affine.copy()
    shifted[0, 3] += 90
    away = Grid(shape=SLICE.shape, affine=shifted)
    with pytest.raises(Refused, match="does not lie on the template"):
        segmented(image, brain, away)


def test_one_grey_value_is_refused():
    _, _, brain = scan_of(SLICE, "T1w")
    with pytest.raises(Refused, match="one grey value"):
        segmented(brain.astype(np.float32), brain, SLICE)


def test_without_antspyx_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(antspyx, "find_spec", lambda _: None)
    image, _, brain = scan_of(SLICE, "T1w")
    with pytest.raises(Refused, match=r"tissue segmentation: antspyx .*hale\[ants\]"):
        segmented(image, brain, SLICE)


def test_classes_of_any_order_are_named_by_their_tissue():
    classes, _ = own_classes(COARSE)
    turned = np.array([0, 3, 1, 2], np.int32)[classes]
    np.testing.assert_array_equal(by_tissue(turned, priors_on(COARSE)), classes)


@pytest.fixture
def fast(tmp_path, monkeypatch) -> Path:
    """A stand-in for FSL's program: three classes by intensity, and what it was asked."""
    script = f"""\
        #!{sys.executable}
        import sys
        import nibabel as nib
        import numpy as np
        words = sys.argv[1:]
        open({str(tmp_path / "words")!r}, "w").write(" ".join(words))
        image = nib.load(words[-1])
        x = np.asarray(image.dataobj)
        means = np.quantile(x[x > 0], (0.0, 0.5, 1.0))
        for _ in range(20):  # 3 means
            near = np.abs(x[..., None] - means).argmin(-1)
            means = np.array([x[(x > 0) & (near == n)].mean() for n in range(3)])
        seg = np.where(x > 0, 1 + near, 0).astype(np.int16)
        nib.save(nib.Nifti1Image(seg, image.affine), words[words.index("-o") + 1] + "_seg.nii.gz")
        """
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "fast"
    program.write_text(dedent(script))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return tmp_path / "words"


@pytest.mark.parametrize(("contrast", "kind"), [("T1w", "1"), ("T2w", "2"), ("PDw", "3")])
def test_fast_is_asked_as_published_and_its_classes_are_renamed(fast, contrast, kind):
    image, classes, brain = scan_of(COARSE, contrast)
    found = tissue_classes(
        image, brain, COARSE, contrast=Contrast(contrast), segmenter=Segmenter.FAST
    )
    asked = fast.read_text()
    assert f"-n 3 -H 0.1 -I 4 -l 20.0 -t {kind}" in asked
    assert min(dices(found, classes)) > 0.75  # fluid is brightest in T2w and PDw, and yet class 1


@pytest.mark.usefixtures("fast")
def test_fast_takes_no_slices():
    image, _, brain = scan_of(SLICE, "T1w")
    with pytest.raises(Refused, match="volumes, not slices"):
        tissue_classes(image, brain, SLICE, contrast=Contrast.T1W, segmenter=Segmenter.FAST)


def test_fast_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("hale.prep.tissue_fast.which", lambda _: None)
    image, _, brain = scan_of(COARSE, "T1w")
    with pytest.raises(Refused, match="no program `fast`"):
        tissue_classes(image, brain, COARSE, contrast=Contrast.T1W, segmenter=Segmenter.FAST)


def test_the_recipe_writes_down_who_segments(monkeypatch):
    table = {"method": {"name": "intensity"}, "prep": {"normalise": "tissue"}}
    monkeypatch.setattr("hale.prep.settings.which", lambda _: None)
    assert build_recipe(table).resolved()["prep"]["segmenter"] == "atropos"
    monkeypatch.setattr("hale.prep.settings.which", lambda _: "/usr/bin/fast")
    assert build_recipe(table).resolved()["prep"]["segmenter"] == "fast"
    stated = {**table, "prep": {"normalise": "tissue", "segmenter": "atropos"}}
    assert build_recipe(stated).resolved()["prep"]["segmenter"] == "atropos"


@pytest.mark.parametrize(
    ("prep", "why"),
    [({"mode": "native"}, "need a scan in the template's space"), ({"slots": [["CT"]]}, "a CT")],
)
def test_what_has_no_tissue_classes_is_refused(prep, why):
    with pytest.raises(Refused, match=why):
        build_recipe({"method": {"name": "intensity"}, "prep": {"normalise": "tissue", **prep}})


@pytest.mark.usefixtures("_ants")
def test_a_prepared_slice_is_its_tissue_map_and_is_kept(tmp_path, monkeypatch):
    image, _, _ = scan_of(SLICE, "FLAIR")
    raw = RawScan(id="slice", volumes={Contrast.FLAIR: Volume(values=image, grid=SLICE)})
    settings = Preparation(
        slots=((Contrast.FLAIR,),),
        mode=Mode.GIVEN,
        normalise=Normalisation.TISSUE,
        segmenter=Segmenter.ATROPOS,
    )
    space, cache = space_of(settings, raw), Cache(tmp_path)
    first = prepare(raw, settings, cache, space)
    assert set(np.rint(3 * first.scan.image).ravel()) == {0, 1, 2, 3}
    assert np.ptp(3 * first.scan.image - np.rint(3 * first.scan.image)) < 1e-6
    assert first.trace.intensity == (0, 1)
    assert first.trace.seconds["tissue"] > 0
    monkeypatch.setattr(antspyx, "find_spec", lambda _: None)  # now only the cache can tell
    again = prepare(raw, settings, cache, space)
    np.testing.assert_array_equal(again.scan.image, first.scan.image)


def test_a_map_of_classes_is_taken_as_it_is():
    classes, _ = own_classes(SLICE)
    settings = Preparation(mode=Mode.GIVEN, normalise=Normalisation.CLASSES)
    volume = Volume(values=classes.astype(np.float32), grid=SLICE)
    raw = RawScan(id="classes", volumes={Contrast.T1W: volume})
    space = space_of(settings, raw)
    scan = prepare(raw, settings, Cache(), space).scan
    np.testing.assert_allclose(scan.image[0], classes / 3, atol=1e-6)
    image, _, _ = scan_of(SLICE, "T1w")
    other = RawScan(id="grey", volumes={Contrast.T1W: Volume(values=image, grid=SLICE)})
    with pytest.raises(Refused, match=r"grey: holds other values .* than the classes"):
        prepare(other, settings, Cache(), space)


@pytest.mark.usefixtures("_ants")
def test_real_t2w_has_the_tissues_of_its_t1w(shared_data):
    """mslub/sub-07 at 3 mm; measured at 2 mm: fluid 0.32, grey 0.82, white 0.86."""
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = (-78, -112, -72)
    grid = Grid(shape=(53, 65, 57), affine=affine)
    seen = {}
    for contrast in ("T1w", "T2w"):
        volume = read_volume(
            shared_data / f"mslub/sub-07/anat/sub-07_space-MNI_{contrast}.nii.gz"
        ).volume
        seen[contrast] = resample(smoothed(volume, 3.0), volume.grid, grid)
    brain = (seen["T1w"] > 0) & (seen["T2w"] > 0)
    _, grey, white = dices(*(segmented(image, brain, grid) for image in seen.values()))
    assert grey > 0.7
    assert white > 0.75


def test_classes_are_never_resampled():
    for settings in ({}, {"mode": "given", "coarsen": 2}):
        with pytest.raises(Refused, match="classes are not to be resampled"):
            build_recipe(
                {"method": {"name": "strega"}, "prep": {"normalise": "classes", **settings}}
            )
