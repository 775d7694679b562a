"""Corrections stay beside the result, with who and when; exports show what was left."""

import csv
import gzip
import io
import json

import nibabel as nib
import numpy as np
import pytest
from masks import drawn, mask_of

from hale.core.errors import Refused
from hale.serve.corrections import inflated, renumbered


def labels_of(body: bytes) -> np.ndarray:
    return np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(body)).dataobj)


def test_verdicts_are_kept_with_who_and_when(browser, ill):
    url, folder = ill
    first = {"who": "Dr. Ä", "lesions": {"1": "accept", "2": "reject"}, "comment": "motion"}
    browser.put(f"{url}/review", json=first)
    state = browser.put(f"{url}/review", json={"who": "B", "lesions": {"2": None}}).json()
    assert state["lesions"]["1"]["verdict"] == "accept"
    assert state["lesions"]["1"]["who"] == "Dr. Ä"
    assert "2" not in state["lesions"]
    assert state["comment"] == "motion"
    assert [step["who"] for step in state["history"]] == ["Dr. Ä", "B"]
    assert state["history"][0]["when"].endswith("+00:00")
    assert json.loads((folder / "review/review.json").read_text()) == state
    assert browser.get(url).json()["review"] == state
    row = next(r for r in browser.get("/api/results").json() if r["path"] == "ill")
    assert row["reviewed"] is True


@pytest.mark.parametrize(
    "said",
    [
        {"who": "", "lesions": {}},
        {"who": "a\nb", "lesions": {}},
        {"who": "A", "lesions": {"0": "accept"}},
        {"who": "A", "lesions": {"../1": "accept"}},
        {"who": "A", "lesions": {"1": "maybe"}},
        {"who": "A", "path": "/etc"},
        {"lesions": {"1": "accept"}},
    ],
)
def test_what_is_no_review_is_refused(browser, ill, said):
    url, folder = ill
    assert browser.put(f"{url}/review", json=said).status_code == 422
    assert not (folder / "review").exists()


def test_a_rejected_lesion_leaves_the_mask_and_stays_in_the_table(browser, ill):
    url, folder = ill
    browser.put(f"{url}/review", json={"who": "A", "lesions": {"1": "reject", "2": "accept"}})
    mask = labels_of(browser.get(f"{url}/export/mask.nii.gz").content)
    np.testing.assert_array_equal(mask, np.where(mask_of(folder) == 1, 0, mask_of(folder)))
    answer = browser.get(f"{url}/export/lesions.tsv")
    assert 'filename="sub-91_lesions.tsv"' in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text), delimiter="\t"))
    assert [(row["lesion"], row["verdict"], row["who"]) for row in rows] == [
        ("2", "accept", "A"),
        ("1", "reject", "A"),
    ]
    told = json.loads((folder / "detection.json").read_text())["lesions"][1]
    assert float(rows[0]["volume_ml"]) == pytest.approx(told["volume_ml"], abs=1e-3)
    assert float(rows[0]["p"]) == pytest.approx(told["p"], abs=1e-4)
    assert [float(rows[0][f"{axis}_mm"]) for axis in "xyz"] == pytest.approx(
        told["centre_mm"], abs=0.1
    )


def test_a_drawn_mask_is_kept_and_the_one_before_it_too(browser, ill):
    url, folder = ill
    labels = mask_of(folder).copy()
    labels[labels == 2] = 0
    labels[2, 12, 12] = 1  # paint far from any lesion: a new one
    who = {"x-who": "Dr.%20%C3%84"}
    state = browser.put(f"{url}/mask", content=drawn(labels), headers=who).json()
    assert state["mask"]["who"] == "Dr. Ä"
    first = (folder / "review/mask.nii.gz").read_bytes()
    kept = nib.load(folder / "review/mask.nii.gz")
    np.testing.assert_allclose(kept.affine, nib.load(folder / "mask.nii.gz").affine)
    now = np.asarray(kept.dataobj)
    np.testing.assert_array_equal(now == 1, mask_of(folder) == 1)
    assert now[2, 12, 12] == 3  # 2 was erased, and its number is not given again
    assert not (now == 2).any()
    assert browser.get(url).json()["files"]["reviewed"] == "reviewed.nii.gz"
    np.testing.assert_array_equal(
        labels_of(browser.get(f"{url}/files/reviewed.nii.gz").content), now
    )
    browser.put(f"{url}/mask", content=drawn(now), headers=who)
    assert (folder / "review/mask.1.nii.gz").read_bytes() == first
    rows = csv.DictReader(
        io.StringIO(browser.get(f"{url}/export/lesions.tsv").text), delimiter="\t"
    )
    assert [(row["lesion"], row["drawn"], row["p"] == "n/a") for row in rows] == [
        ("1", "no", False),
        ("3", "yes", True),
    ]


def test_masks_of_another_size_or_kind_are_refused(browser, ill):
    url, folder = ill
    who = {"x-who": "A"}
    for body in (b"", b"no gzip", gzip.compress(b"\1" * 10), gzip.compress(bytes(2**24))):
        answer = browser.put(f"{url}/mask", content=body, headers=who)
        assert answer.status_code == 400
    assert browser.put(f"{url}/mask", content=drawn(mask_of(folder))).status_code == 422
    assert not (folder / "review").exists()


def test_a_bomb_is_not_inflated_beyond_the_mask():
    bomb = gzip.compress(b"\0" * 2**28)
    with pytest.raises(Refused, match="is not of 64 voxels"):
        inflated(bomb, 64)


def test_numbers_of_paint_by_hand():
    before = np.zeros((12, 3, 3), np.int32)
    before[1, 1, 1], before[5, 1, 1] = 1, 2
    paint = np.zeros_like(before)
    paint[1:3, 1, 1] = 1  # lesion 1, grown
    paint[6, 1, 1] = 1  # touches lesion 2, which was erased
    paint[8, 1, 1] = 7  # a number of the reader's own
    paint[10, 1, 1] = 1  # a new piece
    now = renumbered(paint, before)
    assert now[1:3, 1, 1].tolist() == [1, 1]
    assert sorted({int(now[6, 1, 1]), int(now[10, 1, 1])} - {1, 2, 7}) == [8, 9]
    assert now[8, 1, 1] == 7
    assert now[5, 1, 1] == 0


def test_paint_on_a_result_without_mask_is_numbered_from_1():
    paint = np.zeros((12, 3, 3), np.int32)
    paint[1], paint[5] = 1, 1
    now = renumbered(paint, np.zeros_like(paint))
    assert (now[1].min(), now[1].max(), now[5].min(), now[5].max()) == (1, 1, 2, 2)


def test_the_report_shows_the_reviewed_state_and_prints(browser, ill):
    url, _ = ill
    said = {"who": "<b>A</b>", "lesions": {"1": "reject", "2": "accept"}, "comment": "<script>"}
    browser.put(f"{url}/review", json=said)
    answer = browser.get(f"{url}/export/report.html")
    page = answer.text
    assert "Reviewed: 1 component left standing" in page
    assert "&lt;b&gt;A&lt;/b&gt;" in page
    assert "<script" not in page
    assert "@media print" in page
    assert "sandbox" in answer.headers["content-security-policy"]


def test_a_report_of_a_scan_that_is_gone_says_what_to_do(browser, ids, station, lab):
    told = station.folder / "ill/detection.json"
    table = json.loads(told.read_text())
    table["provenance"]["input_files"] = ["elsewhere.nii.gz"]
    told.write_text(json.dumps(table))
    answer = browser.get(f"/api/results/{ids['ill']}/export/report.html")
    assert answer.status_code == 400
    assert "--scans" in answer.json()["error"]


def test_what_is_no_format_and_what_has_no_mask(browser, ids):
    assert browser.get(f"/api/results/{ids['ill']}/export/state.pt").status_code == 404
    plain = browser.get(f"/api/results/{ids['plain']}/export/mask.nii.gz")
    assert "not calibrated" in plain.json()["error"]
    seg = browser.get(f"/api/results/{ids['ill']}/export/mask.seg.dcm")
    assert "did not come as DICOM" in seg.json()["error"]


def test_nothing_is_left_of_an_export(browser, ids, station):
    browser.get(f"/api/results/{ids['ill']}/export/mask.nii.gz")
    browser.get(f"/api/results/{ids['plain']}/export/mask.nii.gz")
    assert list((station.inside / "exports").iterdir()) == []


def test_paint_on_a_lesion_takes_its_p_and_mass_away(browser, ill):
    """A lesion that was redrawn was never held against healthy scans."""
    url, folder = ill
    labels = mask_of(folder).copy()
    where = np.argwhere(labels == 1)[0]
    labels[tuple(where)] = 0
    browser.put(f"{url}/mask", content=drawn(labels), headers={"x-who": "A"})
    text = browser.get(f"{url}/export/lesions.tsv").text
    first, second = csv.DictReader(io.StringIO(text), delimiter="\t")
    assert (first["lesion"], first["p"], first["mass_ml"], first["drawn"]) == (
        "1",
        "n/a",
        "n/a",
        "yes",
    )
    told = json.loads((folder / "detection.json").read_text())["lesions"][1]
    assert float(second["p"]) == pytest.approx(told["p"], abs=1e-4)
    assert second["drawn"] == "no"


def test_paint_beside_what_was_rejected_is_a_new_lesion(browser, ill):
    before = np.zeros((9, 3, 3), np.int32)
    before[1, 1, 1] = 1
    paint = before.copy()
    paint[2, 1, 1] = 1
    assert renumbered(paint, before, [1])[1:3, 1, 1].tolist() == [1, 2]
    assert renumbered(paint, before)[1:3, 1, 1].tolist() == [1, 1]
    url, folder = ill
    browser.put(f"{url}/review", json={"who": "A", "lesions": {"1": "reject"}})
    labels = mask_of(folder).copy()
    i, j, k = np.argwhere(labels == 1).min(0)
    labels[i - 1, j, k] = 1
    browser.put(f"{url}/mask", content=drawn(labels), headers={"x-who": "A"})
    left = labels_of(browser.get(f"{url}/export/mask.nii.gz").content)
    assert left[i - 1, j, k] == 3
    assert 1 not in left


def test_a_mask_that_was_drawn_on_another_grid_is_refused(browser, ill):
    """A browser that turned the volume says so by its affine; the voxels' number is the same."""
    url, folder = ill
    affine = nib.load(folder / "anomaly.nii.gz").affine
    turned = affine @ np.diag([-1.0, 1, 1, 1])
    far = affine + 0.01 * np.eye(4, k=3)
    odd = [(turned, None), (far, None), (affine, "24,24,23"), (np.eye(3), None)]
    for told, shape in odd:
        headers = {"x-who": "A", "x-affine": ",".join(map(str, told.ravel()))}
        headers |= {"x-shape": shape} if shape else {}
        answer = browser.put(f"{url}/mask", content=drawn(mask_of(folder)), headers=headers)
        assert answer.status_code == 400
    for text in ("nan " * 16, "x"):
        headers = {"x-who": "A", "x-affine": text}
        answer = browser.put(f"{url}/mask", content=drawn(mask_of(folder)), headers=headers)
        assert answer.status_code == 400
    assert not (folder / "review").exists()
    close = affine.astype(np.float32) + 1e-4
    headers = {"x-who": "A", "x-affine": ",".join(map(str, close.ravel())), "x-shape": "24,24,24"}
    answer = browser.put(f"{url}/mask", content=drawn(mask_of(folder)), headers=headers)
    assert answer.status_code == 200


def test_a_comment_on_an_uncalibrated_result_comes_with_its_report(browser, ids):
    url = f"/api/results/{ids['plain']}"
    browser.put(f"{url}/review", json={"who": "A", "comment": "seen twice"})
    answer = browser.get(f"{url}/export/report.html")
    assert answer.status_code == 200
    assert "Comment: seen twice" in answer.text
