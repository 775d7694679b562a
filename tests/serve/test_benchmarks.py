"""Any case of a benchmark against its mask: true, missed and false."""

import gzip
import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from starlette.testclient import TestClient

from hale.serve.app import application

SUITE = """
title = "Two patients"
healthy = "healthy"
baseline = "maps"

[[cohorts]]
name = "ill"
data = "patients"
kind = "patients"
contrast = "T1w"

[[methods]]
name = "maps"
maps = "maps"
"""
SHAPE, AFFINE = (6, 7, 8), np.diag([2.0, 2.0, 2.0, 1.0])
CASE = {"run": "maps.s0.f0", "cohort": "ill", "case": "sub-01"}


def write(path, values) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, AFFINE), path)


@pytest.fixture
def bench(station, tmp_path):
    """A benchmark's folder among the results, and its data."""
    data, out = tmp_path / "data", station.folder / "bench"
    z = np.arange(336, dtype=np.float32).reshape(SHAPE)
    lesion, found = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    lesion[2, 2, :4] = 1
    found[2, 2, 2:7] = 1
    for name in ("sub-01", "sub-02"):
        anat = data / "patients" / name / "anat"
        write(anat / f"{name}_T1w.nii.gz", (z + 1).astype(np.int16))
        write(anat / f"{name}_desc-lesion_mask.nii.gz", lesion)
        maps = out / "maps/maps.s0.f0/ill" / name
        write(maps / "anomaly.nii.gz", z)
        if name == "sub-01":
            write(maps / "mask.nii.gz", found)
    (out / "suite.toml").write_text(SUITE)
    (out / "leaderboard").mkdir()
    board = {"suite": {"name": "two", "title": "Two patients"}, "rows": []}
    (out / "leaderboard/leaderboard.json").write_text(json.dumps(board))
    return data


@pytest.fixture
def reader(station, keys, bench) -> TestClient:
    other = replace(station, scans=bench)
    client = TestClient(application(other, keys), base_url="http://127.0.0.1:8737")
    client.get("/", params={"token": keys.token})
    return client


@pytest.fixture
def url(reader) -> str:
    (one,) = reader.get("/api/benchmarks").json()
    assert one["title"] == "Two patients"
    return f"/api/benchmarks/{one['id']}"


def test_a_leaderboard_opens_with_the_runs_whose_maps_are_there(reader, url):
    board = reader.get(url).json()
    assert board["suite"]["name"] == "two"
    assert board["runs"] == {"maps.s0.f0": ["ill"]}


def test_an_outcome_by_hand(reader, url):
    told = reader.get(f"{url}/case", params=CASE).json()
    ml = 0.008
    assert told["true_ml"] == pytest.approx(2 * ml, abs=1e-3)
    assert told["missed_ml"] == pytest.approx(2 * ml, abs=1e-3)
    assert told["false_ml"] == pytest.approx(3 * ml, abs=1e-3)
    assert told["found_by"] == "its mask"
    body = reader.get(f"{url}/case/{told['files']['outcome']}", params=CASE).content
    values = np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(body)).dataobj)
    assert values[2, 2].tolist() == [2, 2, 1, 1, 3, 3, 3, 0]
    assert (values > 0).sum() == 7


def test_scan_and_map_of_a_case_come_too(reader, url, bench):
    files = reader.get(f"{url}/case", params=CASE).json()["files"]
    scan = reader.get(f"{url}/case/{files['scan']}", params=CASE).content
    assert scan == (bench / "patients/sub-01/anat/sub-01_T1w.nii.gz").read_bytes()
    assert reader.get(f"{url}/case/{files['anomaly']}", params=CASE).status_code == 200


def test_without_a_mask_it_is_an_oracle_and_says_so(reader, url):
    told = reader.get(f"{url}/case", params={**CASE, "case": "sub-02"}).json()
    assert "oracle" in told["found_by"]
    assert told["true_ml"] + told["false_ml"] == pytest.approx(4 * 0.008, abs=2e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"run": "../../.."},
        {"run": ""},
        {"cohort": ".."},
        {"cohort": "well"},
        {"case": "../sub-01"},
        {"case": "sub-03"},
    ],
)
def test_names_of_a_case_are_no_paths(reader, url, wrong):
    assert reader.get(f"{url}/case", params={**CASE, **wrong}).status_code == 404
    assert reader.get(f"{url}/case/..%2f..%2fsuite.toml", params=CASE).status_code == 404


def test_without_its_data_it_says_what_to_do(browser, bench):
    (one,) = browser.get("/api/benchmarks").json()
    answer = browser.get(f"/api/benchmarks/{one['id']}/case", params=CASE)
    assert answer.status_code in (400, 404)  # the station's scans are others


def test_a_damaged_leaderboard_is_refused(reader, url, station):
    (station.folder / "bench/leaderboard/leaderboard.json").write_text("{")
    assert reader.get(url).status_code == 400
