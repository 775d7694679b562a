"""Why a place is flagged, by hand; and two methods on one scan."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import nibabel as nib
import numpy as np
import pytest

from hale.core.grid import Grid
from hale.pipeline.model import load_model
from hale.serve.compare import agreement, sides
from hale.serve.place import MADE
from hale.serve.results import Found
from hale.serve.volumes import Result, read_result, voxel_at
from hale.serve.why import NO_MODEL, NO_WAY, percentile

SAME = {"provenance": {"input_sha256": ["0" * 64]}}
GRID = Grid(shape=(8, 8, 8), affine=np.eye(4))


def values_at(folder, name, position) -> float:
    image = nib.load(folder / name)
    grid = Grid(shape=image.shape, affine=image.affine)
    return float(np.asarray(image.dataobj)[voxel_at(grid, position)])


@pytest.fixture
def peak(station) -> tuple[float, float, float]:
    """The highest place of the first lesion, mm."""
    told = json.loads((station.folder / "ill/detection.json").read_text())
    return tuple(told["lesions"][0]["peak_mm"])


def asked(browser, name, place) -> dict:
    return browser.get(
        f"/api/results/{name}/why", params=dict(zip("xyz", place, strict=True))
    ).json()


def test_a_place_is_told_from_the_files(browser, ids, station, peak, lab):
    told = asked(browser, ids["ill"], peak)
    folder = station.folder / "ill"
    assert told["z"] == pytest.approx(values_at(folder, "anomaly.nii.gz", peak), abs=1e-3)
    assert told["p"] == pytest.approx(values_at(folder, "pvalue.nii.gz", peak), rel=1e-4)
    assert told["scan"]["T1w"] == values_at(lab.ill.parent, lab.ill.name, peak)
    assert told["in_brain"] is True
    assert told["percentile"] > 99


def test_with_the_way_back_it_is_held_against_healthy_scans_at_that_place(
    browser, ids, station, peak, lab
):
    grid = nib.as_closest_canonical(nib.load(lab.ill))
    place = {
        "affine": np.eye(4).tolist(),
        "model_shape": list(grid.shape),
        "model_affine": grid.affine.tolist(),
        "warped": False,
    }
    (station.folder / "ill" / MADE).write_text(json.dumps({"place": place}))
    told = asked(browser, ids["ill"], peak)
    mean, spread = told["healthy"]["mean"], told["healthy"]["spread"]
    assert spread > 0
    assert told["score"] == pytest.approx(mean + told["z"] * spread, abs=1e-3)


@pytest.fixture
def said(station) -> Callable[[], AbstractContextManager[dict]]:
    """What ``detection.json`` of the ill scan says; changes are written when it is left."""
    path = station.folder / "ill/detection.json"

    @contextmanager
    def changing() -> Iterator[dict]:
        table = json.loads(path.read_text())
        yield table
        path.write_text(json.dumps(table))

    return changing


@pytest.mark.parametrize("where", ["kept", "moved", "given"])
def test_a_plain_result_is_held_against_healthy_scans_of_its_model(
    browser, ids, peak, lab, said, where
):
    """Of `hale detect`: by the place it keeps, or, before it kept one, where the model's scans lie.

    Moved: a registration put what is at the peak 6 mm farther to the right.
    """
    model = load_model(lab.models / "ball", device="cpu")
    x, y, z = peak
    with said() as table:
        if where == "moved":
            table["place"]["affine"][0][3] = -6.0
            table["provenance"]["recipe"]["prep"]["mode"] = "full"
            x += 6
        elif where == "given":
            del table["place"]
    voxel = voxel_at(model.space.grid, (x, y, z))
    told = asked(browser, ids["ill"], peak)
    norm = model.calibration.norm
    assert told["healthy"]["mean"] == pytest.approx(norm.mean[voxel], abs=1e-5)
    assert told["healthy"]["spread"] == pytest.approx(norm.spread[voxel], abs=1e-5)
    assert told["score"] == pytest.approx(
        norm.mean[voxel] + told["z"] * norm.spread[voxel], abs=0.01
    )
    assert told["healthy_unknown"] == ""


@pytest.mark.parametrize("why", [NO_MODEL, NO_WAY])
def test_where_the_healthy_mean_is_not_known_it_is_said_why(browser, ids, said, peak, why):
    """The model is another one, or the scan was deformed and the deformation is not here."""
    with said() as table:
        if why == NO_MODEL:
            table["provenance"]["model_sha256"] = "0" * 64
        else:
            table["provenance"]["recipe"]["prep"]["mode"] = "full"
            table["place"]["warped"] = True
    told = asked(browser, ids["ill"], peak)
    assert told["healthy"] is None
    assert told["score"] is None
    assert told["healthy_unknown"] == why


def test_left_is_held_against_right(browser, ids, peak):
    told = asked(browser, ids["ill"], peak)
    x, y, z = told["mirror"]["mm"]
    assert (x, y, z) == pytest.approx((-peak[0], peak[1], peak[2]), abs=3.1)  # the ball's middle
    assert told["mirror"]["how"] == "middle of the brain"
    assert told["mirror"]["z"] < told["z"]
    assert set(told["mirror"]["scan"]) == {"T1w"}


def test_an_uncalibrated_score_claims_no_z(browser, ids, peak):
    told = asked(browser, ids["plain"], peak)
    assert (told["z"], told["p"], told["healthy"]) == (None, None, None)
    assert told["healthy_unknown"] == ""
    assert told["score"] > 0


def test_a_place_outside_is_refused(browser, ids):
    answer = browser.get(f"/api/results/{ids['ill']}/why?x=1000&y=0&z=0")
    assert answer.status_code == 400
    assert browser.get(f"/api/results/{ids['ill']}/why?x=nan&y=0&z=0").status_code == 422


def test_percentile_by_hand():
    values = np.arange(512, dtype=np.float32).reshape(GRID.shape)
    result = Result(anomaly=values, brain=np.ones(GRID.shape, bool), grid=GRID)
    assert percentile(result, 256.0) == 50.0
    assert percentile(result, 0.0) == 0.0


def two(tmp_path, first, second) -> dict:
    pairs = []
    for name, (values, mask) in {"a": first, "b": second}.items():
        folder = tmp_path / name
        folder.mkdir()
        for file, array in (("anomaly", values), ("brain", np.ones(GRID.shape, "u1"))):
            nib.save(nib.Nifti1Image(array, GRID.affine), folder / f"{file}.nii.gz")
        if mask is not None:
            nib.save(nib.Nifti1Image(mask, GRID.affine), folder / "mask.nii.gz")
        found = Found(id=name, folder=folder, path=name, detection=SAME)
        pairs.append((found, read_result(folder)))
    one, other, _ = sides(*pairs)
    return agreement(one, other)


def test_agreement_by_hand(tmp_path):
    values = np.arange(512, dtype=np.float32).reshape(GRID.shape)
    mask, other = np.zeros(GRID.shape, np.uint8), np.zeros(GRID.shape, np.uint8)
    mask[0, 0, :4], mask[4, 4, :2] = 1, 2
    other[0, 0, 2:6] = 1
    told = two(tmp_path, (values, mask), (10 * values**2, other))
    assert told["correlation"] == 1.0  # of ranks: scales do not matter
    assert told["dice"] == pytest.approx(2 * 2 / (6 + 4), abs=1e-4)
    first, second, third = told["table"]
    assert (first["of"], first["label"], first["shared"], first["other_label"]) == ("a", 1, 0.5, 1)
    assert (second["label"], second["shared"], second["other_label"]) == (2, 0.0, None)
    assert (third["of"], third["shared"]) == ("b", 0.5)
    assert first["volume_ml"] == pytest.approx(0.004)
    assert first["centre_mm"] == [0.0, 0.0, 1.5]


def test_a_method_without_mask_is_taken_by_its_highest_voxels(tmp_path):
    values = np.zeros(GRID.shape, np.float32)
    values[2, 2, 2:7] = 5.0
    values[6, 6, 6] = 4.0
    told = two(tmp_path, (values, None), (values, None))
    assert told["a_found"] == "the highest 1 %"
    assert told["dice"] == 1.0
    assert told["table"][0]["shared"] == 1.0


def test_nothing_found_on_both_sides_is_no_agreement(tmp_path):
    values = np.arange(512, dtype=np.float32).reshape(GRID.shape)
    nothing = np.zeros(GRID.shape, np.uint8)
    assert two(tmp_path, (values, nothing), (values, nothing))["dice"] is None


def test_the_station_compares_two_results_of_a_scan(browser, ids, station):
    pair = {"a": ids["ill"], "b": ids["plain"]}
    told = browser.get("/api/compare", params=pair).json()
    assert told["correlation"] > 0
    assert {row["of"] for row in told["table"]} == {"a", "b"}
    body = browser.get("/api/compare/disagreement.nii.gz", params=pair).content
    values = np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(body)).dataobj)
    brain = np.asarray(nib.load(station.folder / "ill/brain.nii.gz").dataobj) > 0
    assert np.abs(values).max() <= 1
    assert not values[~brain].any()
    backwards = browser.get(
        "/api/compare/disagreement.nii.gz", params={"a": pair["b"], "b": pair["a"]}
    ).content
    np.testing.assert_allclose(
        np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(backwards)).dataobj), -values
    )


def test_components_that_are_not_listed_count_for_dice(tmp_path):
    """Of a method without mask: 40 single voxels on the one side, 30 of them listed."""
    grid = np.zeros((17, 17, 17), np.float32)
    places = np.argwhere(np.ones((5, 5, 5)))[:40] * 4
    grid[tuple(places.T)] = 5.0
    nib.save(nib.Nifti1Image(grid, np.eye(4)), tmp_path / "anomaly.nii.gz")
    brain = nib.Nifti1Image(np.ones(grid.shape, np.uint8), np.eye(4))
    nib.save(brain, tmp_path / "brain.nii.gz")
    found = Found(id="a", folder=tmp_path, path="a", detection=SAME)
    one, other, _ = sides((found, read_result(tmp_path)), (found, read_result(tmp_path)))
    told = agreement(one, other)
    assert int((one.labels > 0).sum()) == 40
    assert len(told["table"]) == 60
    assert {row["other_label"] for row in told["table"]} == set(range(1, 31))


def test_two_people_are_not_compared(browser, ids, station):
    """On one grid, as all scans of a study are, but not of one scan."""
    answer = browser.get("/api/compare", params={"a": ids["ill"], "b": ids["well"]})
    assert answer.status_code == 400
    assert "are not of one scan" in answer.json()["error"]
    answer = browser.get(
        "/api/compare/disagreement.nii.gz", params={"a": ids["ill"], "b": ids["well"]}
    )
    assert answer.status_code == 400


def test_results_of_different_grids_are_not_compared(browser, ids, station):
    told = station.folder / "well/detection.json"
    table = json.loads(told.read_text())
    ill = json.loads((station.folder / "ill/detection.json").read_text())
    table["provenance"]["input_sha256"] = ill["provenance"]["input_sha256"]
    told.write_text(json.dumps(table))
    path = station.folder / "well/anomaly.nii.gz"
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[1:], image.affine), path)
    brain = station.folder / "well/brain.nii.gz"
    nib.save(nib.Nifti1Image(np.asarray(nib.load(brain).dataobj)[1:], image.affine), brain)
    answer = browser.get("/api/compare", params={"a": ids["ill"], "b": ids["well"]})
    assert answer.status_code == 400
    assert "different grids" in answer.json()["error"]
