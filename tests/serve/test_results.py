"""What a station shows of a folder of results: the table, details, files, pictures."""

import csv
import gzip
import io
import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import nibabel as nib
import numpy as np
from PIL import Image


def test_a_folder_of_earlier_results_opens(browser):
    rows = {row["path"]: row for row in browser.get("/api/results").json()}
    assert sorted(rows) == ["ill", "plain", "well"]
    ill, plain = rows["ill"], rows["plain"]
    assert (ill["name"], ill["method"], ill["model"]) == ("sub-91", "intensity", "ball")
    assert ill["flagged"] is True
    assert ill["lesions"] == 2
    assert ill["lesions_ml"] >= ill["largest_ml"] > 0
    assert (plain["flagged"], plain["lesions"], plain["p_values_hold"]) == (None, None, None)
    assert not any(row["reviewed"] for row in rows.values())


def test_maps_of_a_benchmark_are_no_results(browser, station):
    folder = station.folder / "bench"
    shutil.copytree(station.folder / "ill", folder / "maps/vae.s0.f0/odd/sub-91")
    assert "bench/maps/vae.s0.f0/odd/sub-91" in {
        row["path"] for row in browser.get("/api/results").json()
    }

    (folder / "suite.toml").write_text('name = "made"\n', encoding="utf-8")
    paths = [row["path"] for row in browser.get("/api/results").json()]
    assert sorted(paths) == ["ill", "plain", "well"]


def test_one_tsv_holds_the_cohort(browser):
    answer = browser.get("/api/results.tsv")
    table = list(csv.DictReader(io.StringIO(answer.text), delimiter="\t"))
    assert [row["path"] for row in table] == ["ill", "plain", "well"]
    assert table[1]["lesions"] == "n/a"
    assert "attachment" in answer.headers["content-disposition"]


def test_a_cell_of_the_tsv_is_never_a_formula(station, browser):
    path = station.folder / "ill/detection.json"
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, "id": "=1+1\tx"}))
    assert (
        "\n" + browser.get("/api/results").json()[0]["id"] + "\t'=1+1 x\t"
        in browser.get("/api/results.tsv").text
    )


def test_details_name_the_files_and_the_scan_is_known_again_by_its_hash(browser, ids, lab):
    details = browser.get(f"/api/results/{ids['ill']}").json()
    assert details["files"]["scan"] == {"T1w": "scan_T1w.nii.gz"}
    assert details["files"]["mask"] == "mask.nii.gz"
    assert details["grid"] == {"shape": [24, 24, 24], "spacing": [6.0, 6.0, 6.0]}
    assert details["calibrated"] is True
    span = browser.get(f"/api/results/{ids['ill']}/range").json()
    assert span["min"] == 2.0 < span["max"]
    scan = browser.get(f"/api/results/{ids['ill']}/files/scan_T1w.nii.gz").content
    assert scan == lab.ill.read_bytes()


def test_a_scan_that_changed_is_not_shown_as_the_result_s(browser, ids, lab, station):
    other = station.folder / "ill/detection.json"
    table = json.loads(other.read_text())
    table["provenance"]["input_sha256"] = ["0" * 64]
    other.write_text(json.dumps(table))
    assert browser.get(f"/api/results/{ids['ill']}").json()["files"]["scan"] == {}


def test_maps_come_as_they_were_written(browser, ids, station):
    body = browser.get(f"/api/results/{ids['ill']}/files/anomaly.nii.gz").content
    assert body == (station.folder / "ill/anomaly.nii.gz").read_bytes()
    assert nib.Nifti1Image.from_bytes(gzip.decompress(body)).shape == (24, 24, 24)


def test_only_listed_files_come(browser, ids):
    for name in ("detection.json", "lesions.tsv", "..%2Fwell%2Fanomaly.nii.gz", "reviewed.nii.gz"):
        assert browser.get(f"/api/results/{ids['ill']}/files/{name}").status_code == 404
    assert browser.get("/api/results/0123456789abcdef").status_code == 404
    assert browser.get("/api/results/..%2f..%2fetc").status_code == 404


def test_a_thumbnail_shows_scan_and_lesion(browser, ids, station):
    for path in ("ill", "plain"):
        picture = browser.get(f"/api/results/{ids[path]}/thumbnail.png")
        pixels = np.asarray(Image.open(io.BytesIO(picture.content)))
        assert picture.headers["content-type"] == "image/png"
        assert (pixels.max(2) != pixels.min(2)).any()  # coloured where it is abnormal
        assert (pixels.max(2) == pixels.min(2)).any()  # grey elsewhere
    assert len(list(station.thumbnails.iterdir())) == 2


def test_small_pictures_are_drawn_one_at_a_time(browser, ids, monkeypatch):
    """A table asks for all of them at once, and each takes the memory of a volume."""
    at_once, most = [], []

    def drawn(found, _) -> np.ndarray:
        at_once.append(found.id)
        most.append(len(at_once))
        time.sleep(0.2)
        at_once.pop()
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr("hale.serve.thumbnail._drawn", drawn)
    with ThreadPoolExecutor(3) as threads:
        urls = [f"/api/results/{name}/thumbnail.png" for name in ids.values()]
        assert [answer.status_code for answer in threads.map(browser.get, urls)] == [200] * 3
    assert most == [1, 1, 1]


def test_models_and_methods_are_offered(browser):
    offers = {offer["name"]: offer for offer in browser.get("/api/models").json()}
    ball = offers["ball"]
    assert (ball["kind"], ball["calibrated"], ball["contrasts"]) == ("model", True, [["T1w"]])
    assert offers["intensity"]["kind"] == "single"
    assert "FLAIR" in offers["intensity"]["contrasts"][0]


def test_a_damaged_result_does_not_hide_the_others(browser, station):
    (station.folder / "well/detection.json").write_text("{")
    assert [row["path"] for row in browser.get("/api/results").json()] == ["ill", "plain"]


def test_a_result_without_its_map_says_so(browser, ids, station):
    (station.folder / "well/anomaly.nii.gz").write_bytes(b"<html>")
    answer = browser.get(f"/api/results/{ids['well']}")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("anomaly.nii.gz: cannot be read")


def test_a_table_that_is_not_ours_does_not_hide_the_others(browser, station):
    """Whatever lies in a folder under the name of a result."""
    path = station.folder / "well/detection.json"
    table = json.loads(path.read_text())
    odd = [
        [],
        {"id": 1, "provenance": None},
        {**table, "provenance": []},
        {**table, "lesions": [3]},
        {**table, "lesions": [{"volume_ml": "much"}]},
        {**table, "lesions": 3},
        {**table, "quality": "good"},
        {**table, "p_values": 1},
        {**table, "seconds": {"read": None}},
        {**table, "contrasts": 4},
    ]
    for text in [*map(json.dumps, odd), "[" * 100_000]:
        path.write_text(text)
        rows = browser.get("/api/results")
        assert rows.status_code == 200
        assert [row["path"] for row in rows.json()] == ["ill", "plain"]
