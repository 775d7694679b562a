"""What is measured of a case: where all methods are ranked, what is kept, what is left out."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hale.bench.measure import Ruler, measure
from hale.bench.measured import Measured
from hale.bench.suite import Kind
from hale.core.scan import Contrast
from hale.data.cohort import Entry
from hale.data.layouts.labels import Labels
from hale.data.references import MapFiles
from hale.metrics import voxel

sys.path.insert(0, str(Path(__file__).parent))
from made_data import SHAPE, write, write_scan


@pytest.fixture
def entry(tmp_path) -> Entry:
    path = write_scan(tmp_path / "ill", "sub-21", ill=True)
    return Entry(
        id="sub-21",
        person="sub-21",
        files={Contrast.FLAIR: path},
        lesion=path.with_name("sub-21_desc-lesion_mask.nii.gz"),
    )


@pytest.fixture
def ruler(tmp_path) -> Ruler:
    return Ruler(
        labels=Labels(lesion=(1,)),
        kind=Kind.PATIENTS,
        extracted=True,
        baseline=tmp_path / "baseline",
        kept=tmp_path / "kept",
    )


def noise() -> np.ndarray:
    return np.random.default_rng(5).random(SHAPE).astype(np.float32)


def maps_of(folder: Path, **parts) -> dict[str, MapFiles]:
    for name, values in parts.items():
        write(folder / f"sub-21/{name}.nii.gz", values)
    files = {name: folder / f"sub-21/{name}.nii.gz" for name in parts}
    return {"sub-21": MapFiles(**files)}


def test_a_brain_that_leaves_out_what_is_not_lesion_gains_nothing(entry, ruler, tmp_path):
    """On noise: ranked in its own brain of one voxel, every lesion voxel would be among the top."""
    brain = np.zeros(SHAPE, np.uint8)
    brain[16, 18, 8] = 1
    whole = measure(entry, maps=maps_of(tmp_path / "a", anomaly=noise()), ruler=ruler)
    tiny = measure(entry, maps=maps_of(tmp_path / "b", anomaly=noise(), brain=brain), ruler=ruler)

    assert isinstance(whole, Measured)
    assert isinstance(tiny, Measured)
    assert whole.row.auprc < 0.1
    assert tiny.row.auprc <= whole.row.auprc + 0.01
    assert sum(tiny.tallies["map"].normal) == sum(whole.tallies["map"].normal)


def test_an_empty_brain_and_a_mask_of_fractions_are_failures(entry, ruler, tmp_path):
    empty = maps_of(tmp_path / "a", anomaly=noise(), brain=np.zeros(SHAPE, np.uint8))
    soft = maps_of(tmp_path / "b", anomaly=noise(), mask=np.full(SHAPE, 0.7, np.float32))

    assert "is empty" in measure(entry, maps=empty, ruler=ruler).reason
    assert "holds fractions" in measure(entry, maps=soft, ruler=ruler).reason


def test_voxels_that_a_data_set_leaves_out_are_left_out_of_everything(entry, ruler, tmp_path):
    values = np.zeros(SHAPE, np.uint8)
    values[10:14, 15:19, 3:6] = 1
    values[18:22, 15:19, 3:6] = 2  # another disease, nobody's business
    write(entry.lesion, values)
    anomaly = noise() + 5 * (values == 2) + 3 * (values == 1)
    mask = (values > 0).astype(np.uint8)
    maps = maps_of(tmp_path / "a", anomaly=anomaly, mask=mask)

    found = measure(
        entry, maps=maps, ruler=replace(ruler, labels=Labels(lesion=(1,), ignored=(2,)))
    )

    assert found.row.auprc == pytest.approx(1)
    assert found.row.dice_at_alpha == 1
    counted = measure(entry, maps=maps, ruler=ruler)
    assert counted.row.auprc < 0.6


def test_figures_are_kept_until_a_file_or_the_patient_changes(entry, ruler, tmp_path, monkeypatch):
    maps = maps_of(tmp_path / "a", anomaly=noise())
    first = measure(entry, maps=maps, ruler=ruler)
    stamp = (ruler.kept / "sub-21/figures.json").stat().st_mtime_ns

    again = measure(entry, maps=maps, ruler=ruler)
    assert (ruler.kept / "sub-21/figures.json").stat().st_mtime_ns == stamp
    np.testing.assert_equal(vars(again.row), vars(first.row))
    assert (again.tallies["map"].level == first.tallies["map"].level).all()

    other = measure(replace(entry, person="sub-1"), maps=maps, ruler=ruler)
    assert other.row.patient == "sub-1"
    maps = maps_of(tmp_path / "a", anomaly=1 - noise())
    assert measure(entry, maps=maps, ruler=ruler).row.auprc != first.row.auprc


def test_the_region_is_what_auprc_is_of(entry, ruler, tmp_path):
    import nibabel as nib

    found = measure(entry, maps=maps_of(tmp_path / "a", anomaly=noise()), ruler=ruler)
    inside = np.asarray(nib.load(entry.path).dataobj) > 0
    truth = np.asarray(nib.load(entry.lesion).dataobj) > 0

    expected = voxel.average_precision(noise()[inside | truth], (truth)[inside | truth])
    assert found.row.auprc == pytest.approx(expected)


def test_a_healthy_scan_is_compared_with_its_picture_a_patient_is_not(entry, ruler, tmp_path):
    import nibabel as nib

    maps = maps_of(tmp_path / "a", anomaly=noise())
    values = np.asarray(nib.load(entry.path).dataobj, np.float32)
    write(tmp_path / "a/sub-21/pseudo_healthy.nii.gz", values * 0.9)
    healthy = replace(ruler, kind=Kind.HEALTHY)
    found = measure(replace(entry, lesion=None), maps=maps, ruler=healthy)

    inside = values > 0
    unit = np.percentile(values[inside], 99)
    assert found.rebuilt["l1"] == pytest.approx(0.1 * values[inside].mean() / unit, rel=1e-4)
    assert measure(entry, maps=maps, ruler=ruler).rebuilt == {}
    write(tmp_path / "a/sub-21/pseudo_healthy.nii.gz", values)
    again = measure(replace(entry, lesion=None), maps=maps, ruler=healthy)
    assert again.rebuilt["l1"] == 0
    kept = measure(replace(entry, lesion=None), maps=maps, ruler=healthy)
    assert kept.rebuilt == again.rebuilt
