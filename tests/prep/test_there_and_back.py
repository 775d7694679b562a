"""Markers and lesions painted where the scanner put the head, to the model's grid and back."""

from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from nibabel.affines import apply_affine

from hale.calibration import components
from hale.core.errors import Refused
from hale.core.grid import Grid, resample, resample_mask
from hale.core.scan import Contrast, RawScan, Volume
from hale.core.trace import Trace
from hale.core.warp import Way
from hale.data.phantom import MIDDLE_MM, Phantom, phantom
from hale.io.cache import Cache
from hale.io.nifti import read_volume
from hale.io.raw import read_raw
from hale.metrics.voxel import dice
from hale.pipeline.detect import detect, native_mask
from hale.pipeline.single import single_scan_model, single_scan_recipe
from hale.prep.chain import Prepared, prepare, space_of
from hale.prep.place import brought
from hale.prep.settings import Mode, Normalisation, Preparation

PLAIN = Preparation(bias=False, normalise=Normalisation.NONE, clip=False)
IXI = "ixi/sub-IXI012/anat/sub-IXI012"
SLICE = "soop/sub-0001/anat/sub-0001_space-MNI_FLAIR.nii.gz"
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SIGMA_MM = 2.5
Z0 = 3.0
MARKS = np.array([(-30, 20, 20), (28, -60, 30), (-24, -58, -36), (12, -16, 8), (40, -22, -18.0)])
"""Template positions, mm: frontal, parietal, cerebellum, thalamus, temporal."""
OBLIQUE = np.array(
    [[0.85, 0.06, -0.05, 4.3], [-0.07, 0.84, 0.09, 12.1], [0.05, -0.1, 0.79, -3.7], [0, 0, 0, 1]]
)
"""Template position to scan position, mm: what registering a small head would find."""


def model_grid() -> Grid:
    return space_of(PLAIN).grid


def brightened(values: np.ndarray, affine: np.ndarray, marks_mm: np.ndarray) -> np.ndarray:
    """Gaussian blobs, four times as bright as anything else, by nibabel's affine alone."""
    bright = values.copy()
    for mark in marks_mm:
        middle = np.rint(apply_affine(np.linalg.inv(affine), mark)).astype(int)
        box = tuple(slice(n - 7, n + 8) for n in middle)
        index = np.moveaxis(np.mgrid[box], 0, -1)
        square = ((apply_affine(affine, index) - mark) ** 2).sum(-1)
        bright[box] += 4 * values.max() * np.exp(-square / (2 * SIGMA_MM**2)).astype(np.float32)
    return bright


def on_model(marks_mm: np.ndarray, grid: Grid, to_native: np.ndarray) -> np.ndarray:
    """Voxel of the model grid where native positions belong, by ITK alone."""
    there = sitk.AffineTransform(3)
    lps = LPS @ to_native @ LPS
    there.SetMatrix(lps[:3, :3].ravel().tolist())
    there.SetTranslation(lps[:3, 3].tolist())
    image = sitk.Image(list(grid.shape), sitk.sitkUInt8)
    image.SetSpacing(grid.spacing)
    lps = LPS @ grid.affine
    image.SetDirection((lps[:3, :3] / grid.spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    points = [there.GetInverse().TransformPoint((LPS[:3, :3] @ mark).tolist()) for mark in marks_mm]
    return np.array([image.TransformPhysicalPointToContinuousIndex(point) for point in points])


def centroids(values: np.ndarray, near: np.ndarray, above: float) -> np.ndarray:
    """Where the blobs near voxels (n, 3) really are: their centres of mass."""
    found = []
    for voxel in near:
        low = np.rint(voxel).astype(int) - 5
        box = values[tuple(slice(n, n + 11) for n in low)]
        weight = (box - above).clip(0)
        found.append(low + (np.indices(box.shape) * weight).sum((1, 2, 3)) / weight.sum())
    return np.array(found)


@dataclass(frozen=True)
class Marked:
    prepared: Prepared
    marks_mm: np.ndarray
    brightest: float
    """Of the brain without the markers."""


@pytest.fixture(scope="module")
def ixi(shared_data: Path, tmp_path_factory) -> Marked:
    """A real head, its axes stored P S R, with markers; prepared in full."""
    stored = nib.load(shared_data / f"{IXI}_T1w.nii.gz")
    rng = np.random.default_rng(0)
    middle = apply_affine(stored.affine, (np.array(stored.shape) - 1) / 2)
    marks = 0.85 * MARKS + middle + (0, 0, 15) + rng.uniform(-1, 1, MARKS.shape)
    values = np.asarray(stored.get_fdata(), np.float32)
    path = tmp_path_factory.mktemp("marked") / "marked.nii.gz"
    nib.save(nib.Nifti1Image(brightened(values, stored.affine, marks), stored.affine), path)
    raw = read_raw({Contrast.T1W: path}, brain=shared_data / f"{IXI}_desc-brain_mask.nii.gz")
    prepared = prepare(raw, PLAIN, Cache(), space_of(PLAIN))
    return Marked(prepared, marks, float(values.max()))


def test_markers_land_where_the_trace_says_and_come_back(ixi: Marked):
    trace, image = ixi.prepared.trace, ixi.prepared.scan.image[0]
    expected = on_model(ixi.marks_mm, trace.model, trace.to_native)
    found = centroids(image, expected, 1.5 * ixi.brightest)
    assert np.abs(found - expected).max() < 0.5
    back = apply_affine(np.linalg.inv(trace.native.affine), ixi.marks_mm)
    again = centroids(trace.undo(image), back, 1.5 * ixi.brightest)
    assert np.abs(again - back).max() < 0.5


@pytest.fixture(scope="module", params=[0, 1])
def subject(request) -> Phantom:
    """Stored on axes P S R, and A S L."""
    return phantom(3, request.param)


def test_markers_in_a_phantom_land_where_the_transform_says(subject: Phantom):
    native = subject.scan.grid
    marks = apply_affine(OBLIQUE, MARKS + 0.7)
    scan = Volume(values=brightened(subject.scan.values, native.affine, marks), grid=native)
    image = brought(scan, subject.brain, Way(affine=OBLIQUE), model_grid(), PLAIN)
    expected = on_model(marks, model_grid(), OBLIQUE)
    by_nibabel = apply_affine(np.linalg.inv(model_grid().affine), MARKS + 0.7)
    np.testing.assert_allclose(expected, by_nibabel, atol=1e-6)
    found = centroids(image, expected, 1.5 * float(subject.scan.values.max()))
    assert np.abs(found - expected).max() < 0.5


# Spheres


@pytest.fixture(scope="module")
def traces(ixi: Marked, shared_data: Path) -> dict[str, Trace]:
    """Scans of 2 mm or less: registered, and brought by a known affine."""
    fine = read_volume(shared_data / "mslub/sub-07/anat/sub-07_space-MNI_T1w.nii.gz").volume
    made = phantom(3, 2)
    about_origin = np.eye(4)
    about_origin[:3, :3] = OBLIQUE[:3, :3] / 0.82  # a phantom is as large as the template
    about_origin[:3, 3] = -about_origin[:3, :3] @ MIDDLE_MM
    known = {
        "sub-07, 1 mm": (fine.grid, OBLIQUE, fine.values > 0),
        "phantom, 2 mm": (made.scan.grid, about_origin, made.brain),
    }
    return {"IXI012, 2 mm": ixi.prepared.trace} | {
        name: Trace(native=native, model=model_grid(), to_native=to_native, brain=brain)
        for name, (native, to_native, brain) in known.items()
    }


def surface(trace: Trace, radius_mm: float) -> np.ndarray:
    """A middle for a sphere that the surface of the brain cuts, straight above a marker."""
    up = MARKS[1] + np.arange(0, 90, 0.5)[:, None] * (0, 0, 1)
    at = apply_affine(trace.to_native, up)
    voxel = np.rint(apply_affine(np.linalg.inv(trace.native.affine), at)).astype(int)
    within = ((voxel >= 0) & (voxel < trace.native.shape)).all(1)
    last = np.flatnonzero(trace.brain[tuple(voxel[within].T)])[-1]
    return at[last] - 0.6 * radius_mm * (at[-1] - at[0]) / np.linalg.norm(at[-1] - at[0])


def part(grid: Grid, middle_mm: np.ndarray, reach_mm: float) -> tuple[Grid, tuple[slice, ...]]:
    """The voxels of a grid in a box around a place."""
    corners = middle_mm + reach_mm * (np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T)
    voxels = apply_affine(np.linalg.inv(grid.affine), corners)
    low = np.maximum(np.floor(voxels.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(voxels.max(0)).astype(int) + 1, grid.shape)
    affine = grid.affine.copy()
    affine[:3, 3] = grid.positions(low[None])[0]
    i, j, k = (int(n) for n in high - low)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return Grid(shape=(i, j, k), affine=affine), box


def around(trace: Trace, middle_mm: np.ndarray, reach_mm: float) -> Trace:
    """The way there and back of a box around a native position."""
    native, box = part(trace.native, middle_mm, reach_mm)
    there = apply_affine(np.linalg.inv(trace.to_native), middle_mm)
    model, _ = part(trace.model, there, 1.5 * reach_mm)
    return replace(trace, native=native, model=model, brain=trace.brain[box])


def there_and_back(painted: np.ndarray, trace: Trace, way: str) -> np.ndarray:
    """The lesions that `detect` writes if a map of the model grid shows just what was painted."""
    values = painted.astype(np.float32)
    if way == "map":
        moved = resample(values, trace.native, trace.model, transform=trace.to_native)
    else:
        volume = Volume(values=values, grid=trace.native)
        moved = brought(volume, trace.brain, trace.way, trace.model, PLAIN)
    inside = resample_mask(trace.brain, trace.native, trace.model, transform=trace.to_native)
    z = np.where(inside, 2 * Z0 * moved, np.float32(0))  # the border of what was painted is at z0
    labels, masses = components(z, inside, trace.model, z0=Z0)
    return native_mask(labels, len(masses), trace.undo(z), trace, z0=Z0) > 0


@pytest.mark.parametrize("way", ["map", "image"])
@pytest.mark.parametrize("name", ["IXI012, 2 mm", "sub-07, 1 mm", "phantom, 2 mm"])
def test_spheres_survive_to_the_model_and_back(name, way, traces):
    whole = traces[name]
    for ml in (1.05, 2.0, 15.0):
        radius = (ml * 3000 / 4 / np.pi) ** (1 / 3)
        cut = surface(whole, radius * 1.1)
        for middle in (*apply_affine(whole.to_native, MARKS), cut):
            trace = around(whole, middle, radius + 14)
            at = trace.native.positions(np.argwhere(np.ones(trace.native.shape, bool)))
            near = np.linalg.norm(at - middle, axis=1) < radius * (1.1 if middle is cut else 1)
            truth = near.reshape(trace.native.shape) & trace.brain
            found = there_and_back(truth, trace, way)
            assert truth.sum() * trace.native.voxel_ml > 0.7 * ml
            assert dice(found, truth) >= 0.85
            assert found.sum() == pytest.approx(truth.sum(), rel=0.05)
            moved = np.argwhere(found).mean(0) - np.argwhere(truth).mean(0)
            assert np.abs(moved).max() < 0.1  # voxels: half a voxel leaves Dice at 0.9


# A single slice


@pytest.fixture(scope="module")
def one_slice(shared_data: Path) -> RawScan:
    return read_raw({Contrast.FLAIR: shared_data / SLICE})


@pytest.fixture
def nothing_may_move(monkeypatch):
    def fail(*_args, **_more):
        pytest.fail("a slice was extracted or registered")

    monkeypatch.setattr("hale.prep.chain.find_brain", fail)
    monkeypatch.setattr("hale.prep.chain.way_to", fail)


def test_a_slice_is_refused_where_volumes_are_registered(one_slice, nothing_may_move):
    settings = Preparation(slots=((Contrast.FLAIR,),))
    with pytest.raises(Refused, match=r"157 x 189 x 1 voxels: slices, not a volume"):
        prepare(one_slice, settings, Cache(), space_of(settings))


def test_a_slice_that_is_prepared_already_fits_a_one_slice_model(one_slice, nothing_may_move):
    settings = Preparation(slots=((Contrast.FLAIR,),), mode=Mode.GIVEN)
    space = space_of(settings, one_slice)
    assert space.grid.shape == (157, 189, 1)
    prepared = prepare(one_slice, settings, Cache(), space)
    assert np.array_equal(prepared.scan.brain, one_slice.reference.values != 0)
    moved = Grid(shape=space.grid.shape, affine=space.grid.affine + np.eye(4, k=3) * 9)
    with pytest.raises(Refused, match="or elsewhere in space"):
        prepare(one_slice, settings, Cache(), replace(space, grid=moved))


@pytest.mark.parametrize("recipe", ["intensity", "intensity-flair-slice"])
def test_a_method_for_single_scans_takes_a_slice(recipe, one_slice, nothing_may_move):
    """By name it works where the scan lies (prep.mode native), by recipe on a given grid."""
    model = single_scan_model(single_scan_recipe(recipe, Contrast.FLAIR, []), one_slice)
    assert model.recipe.prep.mode is (Mode.NATIVE if recipe == "intensity" else Mode.GIVEN)
    found = detect(model, one_slice)
    brain = one_slice.reference.values != 0
    assert found.anomaly.shape == brain.shape
    assert found.anomaly[brain].max() > 0
    assert not found.anomaly[~brain].any()
