import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.data.lesions import EDGE_MM, Kind, Material, corrupted, shape
from hale.data.lesions.solid import component, masks_at


@pytest.fixture
def bar(tmp_path):
    """A bar of 25 x 6 x 6 mm."""
    mask = np.zeros((40, 30, 30), np.uint8)
    mask[5:30, 10:16, 10:16] = 1
    nib.save(nib.Nifti1Image(mask, np.eye(4)), tmp_path / "bar.nii.gz")
    return tmp_path / "bar.nii.gz"


def test_a_bar_that_is_not_turned_is_a_bar_in_mm_with_a_soft_edge(monkeypatch, bar):
    class Upright(shape.Rotation):
        """What is drawn does not turn it."""

        @classmethod
        def from_quat(cls, quat):
            assert quat.shape == (4,)
            return cls.identity()

    monkeypatch.setattr(shape, "Rotation", Upright)
    grid = Grid(shape=(120, 50, 24), affine=np.diag([0.5, 0.5, 1.0, 1.0]))
    image, brain = np.full((1, *grid.shape), 0.5, np.float32), np.ones(grid.shape, bool)
    monkeypatch.setattr(shape.Host, "centre", lambda host, rng: np.array(grid.shape) // 2)
    changed, mask = corrupted(
        image, brain, Kind.SHAPE, rng=np.random.default_rng(0), grid=grid,
        material=Material(shapes=bar),
    )  # fmt: skip
    change = np.abs(changed - image)[0]
    half = change >= change.max() / 2
    extent = (np.ptp(np.argwhere(half), axis=0) + 1) * grid.spacing
    np.testing.assert_allclose(extent, [25, 6, 6], atol=2)
    outward = distance_transform_edt(~half, sampling=grid.spacing)
    inward = distance_transform_edt(half, sampling=grid.spacing)
    assert outward[mask].max() <= EDGE_MM / 2 + 1  # and the widest side of a voxel
    assert change[inward > EDGE_MM / 2 + 1].min() > 0.99 * change.max()
    edge = mask & (change < 0.95 * change.max())
    assert edge.any()
    assert (inward[edge] <= EDGE_MM / 2 + 2).all()


def test_outlines_are_turned_freely_and_lie_in_the_brain(bar):
    brain = ((np.indices((48, 48, 48)) - 23.5) ** 2).sum(0) < 20**2
    image = brain[None] * np.float32(0.5)
    longest = []
    for seed in range(30):
        _, mask = corrupted(
            image, brain, Kind.SHAPE, rng=np.random.default_rng(seed), material=Material(shapes=bar)
        )
        assert mask.any()
        assert not (mask & ~brain).any()
        longest.append(int(np.ptp(np.argwhere(mask), axis=0).argmax()))
    assert set(longest) == {0, 1, 2}


def test_a_slice_cuts_the_outline(bar):
    brain = np.ones((64, 64, 1), bool)
    image = np.full((2, 64, 64, 1), 0.5, np.float32)
    for seed in range(10):
        changed, mask = corrupted(
            image, brain, Kind.SHAPE, rng=np.random.default_rng(seed), material=Material(shapes=bar)
        )
        assert 4 <= mask.sum() < 27 * 8.5 * 1.5
        np.testing.assert_array_equal(changed[:, ~mask], image[:, ~mask])


def test_without_masks_it_is_refused(tmp_path):
    image, brain = np.ones((1, 8, 8, 1), np.float32), np.ones((8, 8, 1), bool)
    rng = np.random.default_rng(0)
    with pytest.raises(Refused, match="no shapes"):
        corrupted(image, brain, Kind.SHAPE, rng=rng)
    with pytest.raises(Refused, match="no lesion mask"):
        corrupted(image, brain, Kind.SHAPE, rng=rng, material=Material(shapes=tmp_path))


def test_real_outlines_in_a_real_brain(shared_data):
    anat = shared_data / "ixi/sub-IXI012/anat"
    scan = nib.load(anat / "sub-IXI012_T1w.nii.gz")
    brain = np.asarray(nib.load(anat / "sub-IXI012_desc-brain_mask.nii.gz").dataobj) > 0
    image = scan.get_fdata(dtype=np.float32)[None] * brain
    image = (image / np.percentile(image[:, brain], 99)).clip(0, 1)
    grid = Grid(shape=brain.shape, affine=np.asarray(scan.affine, np.float64))
    folder = shared_data / "lesion_shapes"
    few = masks_at(folder)[:3]
    for path in few:
        piece, step_mm = component(path)
        for seed in range(2):
            changed, mask = corrupted(
                image, brain, Kind.SHAPE, rng=np.random.default_rng(seed), grid=grid,
                material=Material(shapes=path),
            )  # fmt: skip
            assert mask.any()
            assert not (mask & ~brain).any()
            np.testing.assert_array_equal(changed[:, ~mask], image[:, ~mask])
            assert changed.min() >= 0
            assert changed.max() <= 1
            grown_ml = 1.5 * 4 * (piece.sum() * step_mm.prod() / 1000 + 1)
            assert mask.sum() * grid.voxel_ml < grown_ml
    _, mask = corrupted(
        image, brain, Kind.SHAPE, rng=np.random.default_rng(1), grid=grid,
        material=Material(shapes=folder),
    )  # fmt: skip
    assert mask.any()
